import MQTTCodec
import NIOCore
import Testing
import Uplink

/// What a broker may not do ends the connection and nothing else: the messages in flight stay.
@Suite struct HostileBrokerTests {
    /// One well-formed packet of each type that MQTT 3.1.1 knows.
    static let packets: [(name: String, hex: String)] = [
        ("CONNECT", "10 0d 0004 4d515454 04 02 003c 0001 61"),
        ("CONNACK", "20 02 00 00"),
        ("PUBLISH QoS 0", "30 04 0001 61 78"),
        ("PUBLISH QoS 1", "32 06 0001 61 0001 78"),
        ("PUBLISH QoS 2", "34 06 0001 61 0001 78"),
        ("PUBACK", "40 02 0001"),
        ("PUBREC", "50 02 0001"),
        ("PUBREL", "62 02 0001"),
        ("PUBCOMP", "70 02 0001"),
        ("SUBSCRIBE", "82 06 0001 0001 61 00"),
        ("SUBACK", "90 03 ffff 00"),
        ("UNSUBSCRIBE", "a2 05 0001 0001 61"),
        ("UNSUBACK", "b0 02 0001"),
        ("PINGREQ", "c0 00"),
        ("PINGRESP", "d0 00"),
        ("DISCONNECT", "e0 00"),
    ]

    /// A connected client with one message in flight under identifier 1 and one subscription asked for.
    private func connected() throws -> Broker {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.subscriptions = [Subscription(filter: try TopicFilter("c/#"), qos: .atLeastOnce)]
        let broker = Broker.accepted(configuration)
        #expect(broker.send(1, "t", "x"))
        _ = broker.sent()
        return broker
    }

    @Test("before CONNACK nothing but CONNACK is taken", arguments: packets)
    func beforeConnAck(packet: (name: String, hex: String)) {
        let broker = Broker()
        _ = broker.client.start(now: broker.now)
        broker.up()
        let action = broker.receive(packet.hex).first
        if packet.name == "CONNACK" {
            #expect(action == .connected(UplinkSession(isPresent: false)))
        } else if case .close(let failure, _) = action {
            #expect(!failure.description.isEmpty)
            #expect(broker.client.phase == .waiting)
        } else {
            Issue.record("\(packet.name) was taken before CONNACK")
        }
    }

    @Test("in a connection only what a broker may send is taken", arguments: packets)
    func whenConnected(packet: (name: String, hex: String)) throws {
        let broker = try self.connected()
        let action = broker.receive(packet.hex).first
        switch packet.name {
        case "PUBLISH QoS 0", "PUBLISH QoS 1", "PUBLISH QoS 2":
            guard case .message = action else { Issue.record(); return }
        case "PUBREL":  // [MQTT-4.3.3-2 of 3.1.1], also of an identifier that is not known
            #expect(action == UplinkAction.none)
            #expect(broker.sent() == ["70 0001"])
        case "PUBACK": #expect(action == .acknowledged(sequence: 1))
        case "SUBACK": #expect(action == .subscribed(refused: []))
        case "PINGRESP": #expect(action == UplinkAction.none)
        default:
            guard case .close = action else { Issue.record("\(packet.name) was taken"); return }
            #expect(broker.client.phase == .waiting)
            #expect(broker.client.inFlightCount == 1)
        }
    }

    @Test("what arrives behind the end of a connection is ignored", arguments: packets)
    func afterTheEnd(packet: (name: String, hex: String)) throws {
        let idle = Broker()
        #expect(idle.receive(packet.hex) == [.none])
        _ = idle.client.start(now: idle.now)
        #expect(idle.receive(packet.hex) == [.none])
        #expect(idle.client.phase == .connecting)

        let waiting = try self.connected()
        _ = waiting.down()
        let deadline = waiting.client.nextDeadline
        #expect(waiting.receive(packet.hex) == [.none])
        #expect(waiting.client.nextDeadline == deadline)
        #expect(waiting.sent().isEmpty)

        let stopped = try self.connected()
        stopped.stop()
        _ = stopped.sent()
        #expect(stopped.receive(packet.hex) == [.none])
        #expect(stopped.sent().isEmpty)
    }

    @Test(
        "a crafted packet closes, and everything in flight is sent again",
        arguments: [
            ("CONNACK twice", "20 02 00 00"),
            ("CONNACK with reserved flags", "20 02 02 00"),
            ("PUBLISH whose topic ends beyond the packet", "30 04 00ff 61 78"),
            ("PUBLISH whose topic length is cut", "30 01 00"),
            ("PUBLISH without the packet identifier", "32 03 0001 61"),
            ("PUBLISH with half a packet identifier", "32 04 0001 61 00"),
            ("PUBLISH with packet identifier 0", "32 05 0001 61 0000"),
            ("PUBLISH with QoS 3", "36 05 0001 61 0001"),
            ("PUBLISH at QoS 0 with DUP", "38 03 0001 61"),
            ("PUBLISH with an empty topic", "30 03 0000 78"),
            ("PUBLISH with a wildcard", "30 04 0001 23 78"),
            ("PUBLISH with ill-formed UTF-8", "30 04 0001 ff 78"),
            ("PUBLISH with NUL", "30 04 0001 00 78"),
            ("PUBACK of an unknown identifier", "40 02 0003"),
            ("PUBACK of identifier 0", "40 02 0000"),
            ("PUBACK of SUBSCRIBE's identifier", "40 02 ffff"),
            ("PUBACK of one byte", "40 01 00"),
            ("PUBACK of three bytes", "40 03 000100"),
            ("PUBACK with flags", "41 02 0001"),
            ("PUBACK twice", "40 02 0001 40 02 0001"),
            ("SUBACK with too few codes", "90 02 ffff"),
            ("SUBACK with too many codes", "90 04 ffff 00 00"),
            ("SUBACK with a code that does not exist", "90 03 ffff 03"),
            ("SUBACK of an unknown identifier", "90 03 0001 00"),
            ("SUBACK twice", "90 03 ffff 00 90 03 ffff 00"),
            ("PINGRESP with a body", "d0 01 00"),
            ("packet type 0", "00 00"),
            ("packet type 15", "f0 00"),
        ]
    )
    func crafted(name: String, hex: String) throws {
        let broker = try self.connected()
        #expect(broker.send(2, "t", "y"))
        _ = broker.sent()
        guard case .close(let failure, let retryAt) = broker.receive(hex).last else {
            Issue.record("\(name) was taken")
            return
        }
        #expect(failure.description.contains("the broker"))
        #expect(retryAt > broker.now)
        #expect(broker.client.oldestInFlight == (name == "PUBACK twice" ? 2 : 1))
        broker.reconnect()
        #expect(broker.sent().last == "3a 000174000279")
    }

    @Test(
        "CONNACK that breaks the protocol",
        arguments: [("21 02 00 00"), ("20 01 00"), ("20 03 00 00 00"), ("20 02 02 00")]
    )
    func connAcks(hex: String) {
        let broker = Broker()
        _ = broker.client.start(now: broker.now)
        broker.up()
        guard case .close = broker.receive(hex).last else { Issue.record(); return }
    }

    @Test("a session in CONNACK that was not asked for is refused [MQTT-3.2.2-1 of 3.1.1]")
    func unwantedSession() {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.cleanSession = true
        let broker = Broker(configuration)
        _ = broker.client.start(now: broker.now)
        broker.up()
        guard case .close(.protocolError, _) = broker.receive("20 02 01 00").last else { Issue.record(); return }
    }

    @Test("random bytes never do more than close")
    func noise() {
        var generator = JitterGenerator(seed: 42)
        for _ in 0..<3000 {
            let broker = Broker.accepted()
            _ = broker.send(1, "t", "x")
            let length = Int.random(in: 0...40, using: &generator)
            let type = UInt8.random(in: 0...255, using: &generator)
            let body = ByteBuffer(bytes: (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) })
            var output = ByteBuffer()
            _ = broker.client.received(MQTTFrame(firstByte: type, body: body), now: broker.now, into: &output)
            #expect(broker.client.phase == .connected || broker.client.phase == .waiting)
            #expect(broker.client.inFlightCount <= 1)
        }
    }

    @Test(
        "a crafted packet of 5.0 closes with a reason, and everything in flight is sent again",
        arguments: [
            ("CONNACK twice", "20 03 00 00 00", "82"), ("AUTH", "f0 00", "82"),
            ("PUBLISH without properties", "30 03 0001 61", "81"),
            ("PUBLISH whose properties end beyond it", "30 06 0001 61 0a 01 00", "81"),
            ("Payload Format twice", "30 09 0001 61 04 0100 0101 78", "82"),
            ("Content Type twice", "30 0c 0001 61 08 03000161 03000161", "82"),
            ("Payload Format 2", "30 07 0001 61 02 0102 78", "82"),
            ("a property of CONNACK", "30 08 0001 61 03 210001 78", "81"),
            ("Subscription Identifier 0", "30 07 0001 61 02 0b00 78", "82"),
            ("a wildcard in Response Topic", "30 09 0001 61 04 0800012b 78", "90"),
            ("QoS 3", "36 06 0001 61 0001 00", "81"), ("DUP at QoS 0", "38 04 0001 61 00", "81"),
            ("PUBACK of an unknown identifier", "40 02 0003", "82"), ("PUBACK of 0", "40 02 0000", "82"),
            ("PUBACK with a code that it does not have", "40 03 0001 01", "81"),
            ("PUBACK with two Reason Strings", "40 0c 0001 00 08 1f000161 1f000161", "82"),
            ("PUBACK with bytes behind", "40 05 0001 00 00 00", "81"), ("PUBREC of QoS 1", "50 02 0001", "82"),
            ("PUBREL with a code that it does not have", "62 03 0001 80", "81"),
            ("PUBREL with other flags", "60 02 0001", "81"), ("PUBCOMP of QoS 1", "70 02 0001", "82"),
            ("SUBACK with too few codes", "90 03 ffff 00", "82"),
            ("SUBACK with too many codes", "90 05 ffff 00 00 00", "82"),
            ("SUBACK with a code that it does not have", "90 04 ffff 00 03", "81"),
            ("SUBACK of an unknown identifier", "90 04 0001 00 00", "82"), ("UNSUBACK", "b0 04 0001 00 00", "82"),
            ("PINGREQ", "c0 00", "82"), ("SUBSCRIBE", "82 07 0001 00 0001 61 00", "82"),
            ("DISCONNECT with a code of clients", "e0 01 04", "82"),
            ("DISCONNECT with Session Expiry", "e0 07 00 05 1100000001", "82"),
            ("a padded length", "d0 80 00", "81"), ("packet type 0", "00 00", "81"),
        ]
    )
    func craftedV5(name: String, hex: String, code: String) throws {
        var configuration = UplinkClient.Configuration.v5
        configuration.subscriptions = [Subscription(filter: try TopicFilter("c/#"), qos: .atLeastOnce)]
        let broker = Broker.accepted(configuration)
        #expect(broker.send(1, "t", "x"))
        _ = broker.sent()
        guard case .close(let failure, _) = broker.receive(hex).last else {
            Issue.record("\(name) was taken")
            return
        }
        #expect(failure.description.contains("the broker"))
        #expect(broker.sent() == ["e0 " + code], "\(name): \(failure)")
        broker.reconnect()
        #expect(broker.sent().last == "3a 00017400010078")
    }

    @Test(
        "a broker of 5.0 says why it ends the connection",
        arguments: [
            ("e0 00", "no reason given (0x00)"), ("e0 01 8b", "it is shutting down (0x8B)"),
            ("e0 01 8e", "another connection with the same client id took the session over"),
            ("e0 01 95", "larger than it takes"), ("e0 01 99", "not what its format says"),
            ("e0 07 9c 05 1c 0002 613a", #"use another server for now (0x9C): it names another server: "a:""#),
            ("e0 01 9d", "moved for good"), ("e0 01 97", "quota"), ("e0 01 98", "administrator"),
            ("e0 01 93", "Receive Maximum"), ("e0 01 94", "topic alias"), ("e0 01 8d", "heard nothing"),
            ("e0 06 87 04 1f 0001 0a", #"not authorized (0x87): "\u{a}""#),
        ]
    )
    func disconnects(hex: String, words: String) {
        let broker = Broker.accepted(.v5)
        guard case .close(let failure, _) = broker.receive(hex).last else { Issue.record(); return }
        #expect(failure.description.hasPrefix("the broker ended the connection: "))
        #expect(failure.description.contains(words), "\(failure)")
        #expect(broker.sent().isEmpty)
        #expect(broker.client.phase == .waiting)
    }

    @Test("random packets of 5.0 do no more than close, and get one answer at most", arguments: [1, 2, 3] as [UInt64])
    func noiseV5(seed: UInt64) {
        var generator = JitterGenerator(seed: seed)
        for _ in 0..<2000 {
            let broker = Broker.accepted(.v5, connAck: "20 09 00 00 06 22 0004 21 0004")
            _ = broker.send(1, "tttt", "x")
            _ = broker.send(2, "tttt", "x", qos: .exactlyOnce)
            for _ in 0..<4 {
                let length = Int.random(in: 0...12, using: &generator)
                // Mostly packets that a broker may send, with identifiers that mean something.
                let types: [UInt8] = [0x30, 0x32, 0x34, 0x3C, 0x40, 0x50, 0x62, 0x70, 0x90, 0xE0]
                let type = types.randomElement(using: &generator) ?? 0
                let bytes: [UInt8] = [0, 1, 2, 0x23, 0x80, 0x61]
                let body = (0..<length).map { _ in bytes.randomElement(using: &generator) ?? 0 }
                var output = ByteBuffer()
                let frame = MQTTFrame(firstByte: type, body: ByteBuffer(bytes: body))
                if case .message(_, let receipt?) = broker.client.received(frame, now: broker.now, into: &output) {
                    broker.client.acknowledge(receipt, into: &output)
                }
                #expect(output.readableBytes <= 5)
            }
            #expect(broker.client.phase == .connected || broker.client.phase == .waiting)
            #expect(broker.client.inFlightCount <= 2)
        }
    }
}
