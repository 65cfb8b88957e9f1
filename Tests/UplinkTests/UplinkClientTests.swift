import MQTTCodec
import NIOCore
import Testing
import Uplink

@Suite struct UplinkClientTests {
    @Test("CONNECT carries client id, session, keep alive, user name and password")
    func connect() {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.userName = "u"
        configuration.password = Password(ByteBuffer(bytes: [0x00, 0xFF]))
        configuration.keepAliveSeconds = 30
        var broker = Broker(configuration)
        #expect(broker.client.start(now: broker.now) == .connect)
        #expect(broker.sent().isEmpty)
        broker.up()
        #expect(broker.sent() == ["10 00044d51545404c0001e00056174746963000175000200ff"])
        #expect(broker.client.phase == .awaitingConnAck)

        var clean = UplinkClient.Configuration(clientID: "a")
        clean.cleanSession = true
        broker = Broker(clean)
        _ = broker.client.start(now: broker.now)
        broker.up()
        #expect(broker.sent() == ["10 00044d5154540402003c000161"])
    }

    @Test("nothing is sent before CONNACK, and messages flow after it")
    func sending() {
        let broker = Broker()
        _ = broker.client.start(now: broker.now)
        #expect(!broker.send(1, "a/b", "x"))
        broker.up()
        #expect(!broker.send(1, "a/b", "x"))
        #expect(broker.client.freeSlots == 0)
        #expect(broker.receive("20 02 00 00") == [.connected(UplinkSession(isPresent: false))])
        _ = broker.sent()
        #expect(broker.send(1, "a/b", "x"))
        #expect(broker.send(2, "a/b", "", qos: .atMostOnce))
        #expect(broker.send(3, "c", "yz"))
        #expect(broker.sent() == ["32 0003612f62000178", "30 0003612f62", "32 0001630002797a"])
        #expect(broker.client.freeSlots == 98)
    }

    @Test(
        "a long PUBLISH has its length in as many bytes as it needs",
        arguments: [120, 121, 16_376, 16_377, 2_097_144]
    )
    func lengths(payload: Int) throws {
        let broker = Broker.accepted()
        #expect(broker.send(1, "a/b", String(repeating: "x", count: payload)))
        let sent = try #require(broker.sent().first)
        #expect(sent.count == 3 + 2 * (7 + payload))
    }

    @Test("each PUBACK names its message, in whatever order the broker sends them")
    func acknowledgements() {
        let broker = Broker.accepted()
        #expect(broker.client.oldestInFlight == nil)
        // Numbers need not rise: what is urgent overtakes.
        for sequence in [11, 14, 12, 13] { #expect(broker.send(Int64(sequence), "t", "x")) }
        #expect(broker.client.oldestInFlight == 11)
        #expect(broker.receive("40 02 0001") == [.acknowledged(sequence: 11)])
        #expect(broker.client.oldestInFlight == 14)
        // Out of order, which the standard forbids and a window must survive.
        #expect(broker.receive("40 02 0003") == [.acknowledged(sequence: 12)])
        #expect(broker.client.inFlightCount == 3)
        #expect(broker.receive("40 02 0002 40 02 0004") == [.acknowledged(sequence: 14), .acknowledged(sequence: 13)])
        #expect(broker.client.inFlightCount == 0)
        #expect(broker.client.oldestInFlight == nil)
    }

    @Test("the window is limited by count, and by bytes unless one message is alone")
    func windowLimits() {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.inFlight = 3
        configuration.inFlightBytes = 10
        let broker = Broker.accepted(configuration)
        for sequence in 1...3 { #expect(broker.send(Int64(sequence), "t", "x")) }
        #expect(broker.client.freeSlots == 0)
        #expect(!broker.send(4, "t", "x"))
        #expect(broker.send(4, "t", "x", qos: .atMostOnce))
        #expect(broker.receive("40 02 0001 40 02 0002").count == 2)
        #expect(broker.client.freeSlots == 2)
        #expect(!broker.send(5, "t", "12345678"))
        #expect(broker.send(5, "t", "1234567"))
        #expect(broker.receive("40 02 0003 40 02 0004").count == 2)
        #expect(broker.send(6, "t", "far more than ten bytes"))
        #expect(!broker.send(7, "t", "x"))
    }

    @Test("packet identifiers run in a ring past 32,767 and none is used twice")
    func identifiersWrap() {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.inFlight = 50
        let broker = Broker.accepted(configuration)
        var inUse: [UInt16] = []
        var expected: UInt16 = 1
        var mistakes = 0  // An #expect for each of 70,000 messages would take longer than all other tests.
        for sequence in 1...70_000 {
            if !broker.send(Int64(sequence), "t", "") { mistakes += 1 }
            if broker.sent() != ["32 000174" + self.hex(expected)] { mistakes += 1 }
            inUse.append(expected)
            expected = expected == 32_767 ? 1 : expected + 1
            if inUse.count == 50 {
                // The second half first: what is acknowledged out of order waits for its turn.
                for id in inUse[25...] + inUse[..<25] {
                    if case .acknowledged = broker.receive("40 02" + self.hex(id)).first { continue }
                    mistakes += 1
                }
                inUse = []
                if broker.client.freeSlots != 50 { mistakes += 1 }
            }
        }
        #expect(mistakes == 0)
    }

    @Test("routes in are subscribed to after every CONNACK, eight filters at a time, and refusals are told")
    func subscriptions() throws {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.subscriptions = try (0..<10).map {
            Subscription(
                filter: try TopicFilter("f/\($0)"),
                qos: $0 == 0 ? .atMostOnce : $0 == 1 ? .exactlyOnce : .atLeastOnce
            )
        }
        let broker = Broker(configuration)
        _ = broker.client.start(now: broker.now)
        for sessionPresent in ["00", "01"] {
            broker.up()
            _ = broker.sent()
            _ = broker.receive("20 02 \(sessionPresent) 00")
            let entries = (0..<8).map { "0003662f3\($0)0\($0 == 0 ? 0 : $0 == 1 ? 2 : 1)" }.joined()
            #expect(broker.sent() == ["82 ffff" + entries])
            #expect(broker.receive("90 0a ffff 00 02 01 80 01 01 01 01") == [.none])
            #expect(broker.sent() == ["82 ffff0003662f38010003662f3901"])
            let refused = try ["f/3", "f/9"].map {
                RefusedSubscription(filter: try TopicFilter($0), code: .unspecifiedError)
            }
            #expect(broker.receive("90 04 ffff 00 80") == [.subscribed(refused: refused)])
            _ = broker.down()
            broker.pass(.minutes(3))
            #expect(broker.tick() == .connect)
        }
    }

    @Test("a PUBACK to the broker waits for the gateway, and for those before it")
    func inbound() throws {
        let broker = Broker.accepted()
        let actions = broker.receive("32 06 0001 61 0007 78  30 04 0001 62 79  32 05 0001 63 0009")
        var receipts: [UplinkReceipt] = []
        var topics: [String] = []
        for case .message(let publish, let receipt) in actions {
            topics.append(publish.topic.description)
            if let receipt { receipts.append(receipt) }
        }
        #expect(topics == ["a", "b", "c"])
        #expect(receipts.map(\.packetID) == [7, 9])
        #expect(broker.sent().isEmpty)
        broker.acknowledge(receipts[1])
        #expect(broker.sent().isEmpty)
        broker.acknowledge(receipts[0])
        #expect(broker.sent() == ["40 0007", "40 0009"])
        broker.acknowledge(receipts[0])
        #expect(broker.sent().isEmpty)
    }

    @Test("reading should pause while too many messages wait for the gateway")
    func inboundLimit() throws {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.inboundLimit = 2
        let broker = Broker.accepted(configuration)
        let first = broker.receive("32 05 0001 61 0001")
        #expect(broker.client.wantsRead)
        _ = broker.receive("32 05 0001 61 0002")
        #expect(!broker.client.wantsRead)
        guard case .message(_, let receipt?) = first.first else { Issue.record("no message"); return }
        broker.acknowledge(receipt)
        #expect(broker.client.wantsRead)
    }

    @Test("a receipt of an earlier connection acknowledges nothing on the next")
    func staleReceipt() throws {
        let broker = Broker.accepted()
        guard case .message(_, let stale?) = broker.receive("32 05 0001 61 0001").first else { Issue.record(); return }
        _ = broker.down()
        broker.reconnect()
        guard case .message(_, let fresh?) = broker.receive("32 05 0001 7a 0001").first else { Issue.record(); return }
        broker.acknowledge(stale)
        #expect(broker.sent().isEmpty)
        broker.acknowledge(fresh)
        #expect(broker.sent() == ["40 0001"])
    }

    @Test("a stop says DISCONNECT, and only in a connection")
    func stop() {
        var broker = Broker.accepted()
        broker.stop()
        #expect(broker.sent() == ["e0 "])
        #expect(broker.client.phase == .stopped)
        #expect(broker.down() == .none)
        #expect(broker.tick() == .none)
        #expect(broker.client.nextDeadline == nil)

        broker = Broker()
        _ = broker.client.start(now: broker.now)
        broker.up()
        _ = broker.sent()
        broker.stop()
        #expect(broker.sent().isEmpty)
        #expect(broker.receive("20 02 00 00") == [.none])
    }

    @Test("descriptions hold no password")
    func redacted() {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.password = Password(ByteBuffer(string: "hunter2"))
        #expect(!"\(configuration)".contains("hunter2"))
        #expect(!"\(configuration)".contains("104"))
    }

    private func hex(_ value: UInt16) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }
}
