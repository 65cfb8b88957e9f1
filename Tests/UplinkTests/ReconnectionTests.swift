import MQTTCodec
import NIOCore
import Testing
import Uplink

extension Broker {
    /// Waits for the client's next attempt and accepts it; what it writes up to then is thrown away.
    func reconnect(sessionPresent: Bool = true) {
        _ = self.passToDeadline()
        self.up()
        _ = self.sent()
        let present = sessionPresent ? "01" : "00"
        _ = self.receive(self.client.configuration.version == .v5 ? "20 03 \(present) 00 00" : "20 02 \(present) 00")
    }

    /// The same, with this CONNACK, and gives what came of it.
    func reconnect(_ connAck: String) -> UplinkAction? {
        _ = self.passToDeadline()
        self.up()
        _ = self.sent()
        return self.receive(connAck).first
    }
}

@Suite struct ReconnectionTests {
    @Test("what was in flight is sent again first, in order, with the same identifiers and DUP")
    func resends() {
        let broker = Broker.accepted()
        for sequence in 1...5 { #expect(broker.send(Int64(sequence), "t", "\(sequence)")) }
        #expect(broker.receive("40 02 0001 40 02 0003").count == 2)
        guard case .close(.transport("connection reset"), let retryAt) = broker.down() else { Issue.record(); return }
        #expect(retryAt - broker.now >= .milliseconds(500) && retryAt - broker.now <= .seconds(1))
        #expect(!broker.send(6, "t", "6"))
        _ = broker.sent()
        broker.reconnect()
        #expect(broker.sent() == ["3a 000174000232", "3a 000174000434", "3a 000174000535"])
        #expect(broker.send(6, "t", "6"))
        #expect(broker.sent() == ["32 000174000636"])
        #expect(broker.receive("40 02 0002 40 02 0004 40 02 0005 40 02 0006").count == 4)
        #expect(broker.client.inFlightCount == 0)
        #expect(broker.client.freeSlots == 100)
    }

    @Test("in a clean session the same messages are new to the broker: no DUP")
    func resendsClean() {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.cleanSession = true
        let broker = Broker.accepted(configuration)
        #expect(broker.send(1, "t", "1"))
        _ = broker.down()
        _ = broker.sent()
        broker.reconnect(sessionPresent: false)
        #expect(broker.sent() == ["32 000174000131"])
    }

    @Test("a client that rests says goodbye, remembers what is in flight, and begins again when it is told to")
    func rests() {
        let broker = Broker.accepted()
        #expect(broker.client.isForgettable)
        #expect(broker.send(1, "t", "1"))
        _ = broker.sent()
        broker.rest()
        #expect(broker.sent() == ["e0 "])
        #expect(broker.client.phase == .idle && broker.client.nextDeadline == nil && !broker.client.isForgettable)
        #expect(!broker.send(2, "t", "2"))
        #expect(broker.down() == .none)
        #expect(broker.client.start(now: broker.now) == .connect)
        broker.up()
        _ = broker.sent()
        _ = broker.receive("20 02 01 00")
        #expect(broker.sent() == ["3a 000174000131"])
        #expect(broker.receive("40 02 0001") == [.acknowledged(sequence: 1)])
        broker.rest()
        #expect(broker.client.isForgettable)
    }

    @Test("a client that rests while it connects, or waits, does not say anything")
    func restsEarly() {
        let broker = Broker()
        _ = broker.client.start(now: broker.now)
        broker.rest()
        #expect(broker.sent() == [] && broker.client.phase == .idle)
        _ = broker.client.start(now: broker.now)
        _ = broker.down()
        broker.rest()
        #expect(broker.sent() == [] && broker.client.nextDeadline == nil)
        #expect(broker.client.start(now: broker.now) == .connect)
    }

    @Test("messages survive any number of connections, retained flag included")
    func survives() throws {
        let broker = Broker.accepted()
        var message = UplinkMessage(1, "t", "x")
        message.retain = true
        #expect(broker.send(message) == .sent)
        for _ in 0..<10 {
            _ = broker.down()
            broker.reconnect()
            #expect(broker.sent() == ["3b 000174000178"])
        }
    }

    @Test("waits grow while connections fail, and start again only after the link proved good")
    func backoffResets() throws {
        let all = Subscription(filter: try TopicFilter("#"), qos: .atLeastOnce)
        func failures(_ live: (Broker) -> Void) -> [TimeAmount] {
            var configuration = UplinkClient.Configuration(clientID: "attic")
            configuration.subscriptions = [all]
            let broker = Broker(configuration)
            _ = broker.client.start(now: broker.now)
            var waits: [TimeAmount] = []
            for round in 0..<6 {
                broker.up()
                _ = broker.receive("20 02 00 00")
                if round == 4 { live(broker) }
                guard case .close(_, let retryAt) = broker.down() else { Issue.record(); return [] }
                waits.append(retryAt - broker.now)
                _ = broker.passToDeadline()
            }
            return waits
        }
        let never = failures { _ in }
        #expect(never[4] >= .seconds(8) && never[5] >= .seconds(16))
        let acknowledged = failures {
            _ = $0.send(1, "t", "x")
            _ = $0.receive("40 02 0001")
        }
        #expect(acknowledged[3] >= .seconds(4) && acknowledged[4] <= .seconds(1))
        // As far as two gateways with one client id get before each is ousted by the other.
        let subscribed = failures { #expect($0.receive("90 03 ffff 01") == [.subscribed(refused: [])]) }
        #expect(subscribed[4] >= .seconds(8) && subscribed[5] >= .seconds(16))
        let aged = failures { $0.pass(.seconds(30)) }
        #expect(aged[4] <= .seconds(1))
        let young = failures { $0.pass(.seconds(29)) }
        #expect(young[4] >= .seconds(8))
    }

    @Test("CONNACK must come in time")
    func connAckTimeout() {
        let broker = Broker()
        _ = broker.client.start(now: broker.now)
        #expect(broker.client.nextDeadline == nil)
        broker.up()
        broker.pass(.milliseconds(9999))
        #expect(broker.tick() == .none)
        broker.pass(.milliseconds(1))
        guard case .close(.noConnAck, _) = broker.tick() else { Issue.record(); return }
    }

    @Test(
        "a refused CONNECT is explained",
        arguments: [
            ("20 02 00 01", "MQTT 3.1.1"), ("20 02 00 02", "client id"), ("20 02 00 03", "unavailable"),
            ("20 02 00 04", "user name or password"), ("20 02 00 05", "not authorized"),
        ]
    )
    func refusals(connAck: String, words: String) {
        let broker = Broker()
        _ = broker.client.start(now: broker.now)
        broker.up()
        guard case .close(let failure, _) = broker.receive(connAck).first else { Issue.record(); return }
        #expect(failure.description.contains(words))
        #expect(broker.client.phase == .waiting)
    }

    @Test("a broker that stays but acknowledges nothing is left after a minute")
    func notAcknowledging() {
        let broker = Broker.accepted()
        broker.pass(.seconds(20))
        #expect(broker.tick() == .none)
        #expect(broker.send(1, "t", "x"))
        #expect(broker.tick() == .none)
        for _ in 0..<2 {
            broker.pass(.seconds(29))
            #expect(broker.receive("d0 00") == [.none])
            #expect(broker.tick() == .none)
        }
        broker.pass(.seconds(2))
        guard case .close(.notAcknowledging, _) = broker.tick() else { Issue.record(); return }
        _ = broker.sent()
        broker.reconnect()
        #expect(broker.sent() == ["3a 000174000178"])
    }

    @Test("a message after a long silence has all the time for its acknowledgement")
    func notAcknowledgingAfterSilence() {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.keepAliveSeconds = 0
        let broker = Broker.accepted(configuration)
        broker.pass(.hours(2))
        #expect(broker.send(1, "t", "x"))
        #expect(broker.tick() == .none)
        broker.pass(.seconds(59))
        #expect(broker.tick() == .none)
        #expect(broker.receive("40 02 0001") == [.acknowledged(sequence: 1)])
        broker.pass(.hours(2))
        #expect(broker.tick() == .none)
        #expect(broker.send(2, "t", "x"))
        broker.pass(.seconds(1))
        #expect(broker.passToDeadline() == UplinkAction.none)
        guard case .close(.notAcknowledging, _) = broker.passToDeadline() else { Issue.record(); return }
    }
}
