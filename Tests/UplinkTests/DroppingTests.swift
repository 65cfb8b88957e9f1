import MQTTCodec
import NIOCore
import Testing
import Uplink

/// Messages that only the gateway's own limits forbid: they must not stand in the way of those behind them.
@Suite struct DroppingTests {
    /// A topic of 129 levels, one more than the gateway takes, behind its length of 257 bytes.
    private static let deep = "0101 61" + String(repeating: "2f61", count: 128)

    private func receipt(_ actions: [UplinkAction]) -> UplinkReceipt? {
        guard case .message(_, let receipt) = actions.first else { return nil }
        return receipt
    }

    @Test("a skipped message is acknowledged at QoS 1 only, and in its turn")
    func skipped() throws {
        let broker = Broker.accepted()
        #expect(broker.skip(0x30, 0) == .none)
        #expect(broker.sent().isEmpty)
        #expect(broker.skip(0x33, 7) == .none)
        #expect(broker.sent() == ["40 0007"])
        let before = try #require(self.receipt(broker.receive("32 05 0001 61 0008")))
        #expect(broker.skip(0x3A, 9) == .none)
        #expect(broker.sent().isEmpty)
        broker.acknowledge(before)
        #expect(broker.sent() == ["40 0008", "40 0009"])
    }

    @Test("a message with too deep a topic is dropped, and acknowledged at QoS 1 in its turn")
    func tooDeep() throws {
        let broker = Broker.accepted()
        func isDropped(_ hex: String) -> Bool {
            guard case .dropped(let error) = broker.receive(hex).last else { return false }
            return error.kind == .topicName(.tooDeep)
        }
        #expect(isDropped("31 8402" + Self.deep + "78"))
        #expect(broker.sent().isEmpty)
        #expect(isDropped("33 8602" + Self.deep + "0007 78"))
        #expect(isDropped("3a 8502" + Self.deep + "0008"))
        #expect(broker.sent() == ["40 0007", "40 0008"])
        let before = try #require(self.receipt(broker.receive("32 05 0001 61 0009")))
        #expect(isDropped("32 8502" + Self.deep + "000a"))
        #expect(broker.sent().isEmpty)
        broker.acknowledge(before)
        #expect(broker.sent() == ["40 0009", "40 000a"])
    }

    @Test(
        "a header that no broker may send ends the connection, also when the message is skipped",
        arguments: [(0x38, 0), (0x32, 0), (0x34, 0), (0x36, 7)] as [(UInt8, UInt16)]
    )
    func skippedBadly(firstByte: UInt8, packetID: UInt16) {
        let broker = Broker.accepted()
        guard case .close = broker.skip(firstByte, packetID) else { Issue.record(); return }
        #expect(broker.sent().isEmpty)
        #expect(broker.client.phase == .waiting)
    }

    @Test(
        "a topic that is too deep excuses nothing else",
        arguments: [
            ("no packet identifier", "32 8302" + deep), ("half a packet identifier", "32 8402" + deep + "00"),
            ("packet identifier 0", "32 8502" + deep + "0000"), ("QoS 2 without one", "34 8302" + deep),
            ("QoS 3", "36 8502" + deep + "0007"), ("DUP at QoS 0", "38 8302" + deep),
            ("ill-formed UTF-8", "30 8302 0101 ff" + deep.dropFirst(7)),
            ("NUL", "30 8302 0101 00" + deep.dropFirst(7)), ("a wildcard", "30 8302 0101 23" + deep.dropFirst(7)),
        ]
    )
    func tooDeepAndWrong(name: String, hex: String) {
        let broker = Broker.accepted()
        guard case .close = broker.receive(hex).first else { Issue.record("\(name) was taken"); return }
        #expect(broker.sent().isEmpty)
    }

    @Test("a skipped message before CONNACK ends the connection, and outside of one it is nothing")
    func skippedElsewhere() {
        let broker = Broker()
        #expect(broker.skip(0x32, 7) == .none)
        _ = broker.client.start(now: broker.now)
        #expect(broker.skip(0x32, 7) == .none)
        broker.up()
        _ = broker.sent()
        guard case .close(.protocolError, _) = broker.skip(0x32, 7) else { Issue.record(); return }
        #expect(broker.skip(0x32, 7) == .none)
        broker.stop()
        #expect(broker.skip(0x32, 7) == .none)
        #expect(broker.sent().isEmpty)
    }

    @Test("a broker that takes minutes to send a message that is skipped is neither silent nor owing")
    func slow() {
        let broker = Broker.accepted()
        #expect(broker.send(1, "t", "x"))
        #expect(broker.skip(0x32, 7) == .none)
        for _ in 0..<10 {
            broker.pass(.seconds(50))
            broker.client.skipping(now: broker.now)
            #expect(broker.tick() == .none)
        }
        #expect(broker.receive("40 02 0001") == [.acknowledged(sequence: 1)])
        broker.pass(.seconds(90))
        guard case .close(.silent, _) = broker.tick() else { Issue.record(); return }
    }

    @Test("an alias that stands for too deep a topic drops the messages that use it, until it stands for another")
    func tooDeepAlias() {
        let broker = Broker.accepted(.v5)
        func outcomes(_ hex: String) -> [String] {
            broker.receive(hex).map { action in
                switch action {
                case .message(let publish, _): publish.topic.description
                case .dropped: "dropped"
                default: "\(action)"
                }
            }
        }
        #expect(outcomes("30 8702" + Self.deep + "03 23 0005") == ["dropped"])
        #expect(outcomes("30 07 0000 03 23 0005 78") == ["dropped"])
        #expect(outcomes("32 09 0000 0007 03 23 0005 78") == ["dropped"])
        #expect(broker.sent() == ["40 0007"])
        #expect(outcomes("30 08 0001 62 03 23 0005 78 30 07 0000 03 23 0005 78") == ["b", "b"])
        // Which aliases a message changes that is skipped, nobody knows.
        #expect(broker.skip(0x30, 0) == .none)
        guard case .close = broker.receive("30 07 0000 03 23 0005 78").last else { Issue.record(); return }
        #expect(broker.sent() == ["e0 94"])
    }

    @Test("too deep a Response Topic does not end the connection either")
    func responseTopic() {
        let broker = Broker.accepted(.v5)
        guard case .dropped = broker.receive("32 8b02 0001 61 0007 8402 08" + Self.deep).last
        else { Issue.record(); return }
        #expect(broker.sent() == ["40 0007"])
    }
}
