import MQTTCodec
import NIOCore
import Testing
import Uplink

@Suite("Topic aliases") struct TopicAliasTests {
    @Test("a topic is sent once, then its alias, up to the broker's maximum [MQTT-3.2.2-17]")
    func outbound() {
        let broker = Broker.accepted(.v5, connAck: "20 06 00 00 03 22 0002")
        for topic in ["aaaa", "bbbb", "aaaa", "cccc", "bbbb", "abc"] {
            #expect(broker.send(UplinkMessage(1, topic, "x", qos: .atMostOnce)) == .sentAtMostOnce)
        }
        #expect(
            broker.sent() == [
                "30 000461616161" + "03230001" + "78", "30 000462626262" + "03230002" + "78",
                "30 0000" + "03230001" + "78", "30 000463636363" + "00" + "78", "30 0000" + "03230002" + "78",
                "30 0003616263" + "00" + "78",
            ]
        )
    }

    @Test("none is used unless the broker says that it takes some [MQTT-3.2.2-18], nor more than the gateway wants")
    func limits() {
        let none = Broker.accepted(.v5)
        for _ in 1...2 { _ = none.send(UplinkMessage(1, "aaaa", "x", qos: .atMostOnce)) }
        #expect(none.sent() == ["30 0004616161610078", "30 0004616161610078"])
        var configuration = UplinkClient.Configuration.v5
        configuration.maxOutboundTopicAliases = 0
        let unwanted = Broker.accepted(configuration, connAck: "20 06 00 00 03 22 ffff")
        for _ in 1...2 { _ = unwanted.send(UplinkMessage(1, "aaaa", "x", qos: .atMostOnce)) }
        #expect(unwanted.sent() == ["30 0004616161610078", "30 0004616161610078"])
    }

    @Test("aliases die with the connection: what is sent again carries its topic [MQTT-3.3.2-7]")
    func reconnection() {
        let broker = Broker.accepted(.v5, connAck: "20 06 00 00 03 22 0005")
        for sequence in 1...3 { #expect(broker.send(Int64(sequence), "aaaa", "x")) }
        #expect(broker.sent().last == "32 0000" + "0003" + "03230001" + "78")
        _ = broker.down()
        #expect(broker.reconnect("20 06 01 00 03 22 0005") == .connected(UplinkSession(isPresent: true)))
        #expect(
            broker.sent() == [
                "3a 000461616161" + "0001" + "03230001" + "78", "3a 0000" + "0002" + "03230001" + "78",
                "3a 0000" + "0003" + "03230001" + "78",
            ]
        )
        _ = broker.down()
        #expect(broker.reconnect("20 03 01 00 00") == .connected(UplinkSession(isPresent: true)))
        #expect(broker.sent().allSatisfy { $0.hasPrefix("3a 000461616161") })
    }

    @Test("no alias is given where the packet has no room for it")
    func noRoom() {
        // 19 bytes: the message with its topic is one of 18.
        let broker = Broker.accepted(.v5, connAck: "20 0b 00 00 08 22 0005 27 00000013")
        for _ in 1...2 {
            #expect(broker.send(UplinkMessage(1, "aaaa", "123456789", qos: .atMostOnce)) == .sentAtMostOnce)
        }
        #expect(broker.sent().allSatisfy { $0.hasPrefix("30 00046161616100") })
    }

    @Test("whatever topics come, and however the aliases move, the broker understands every message")
    func understood() throws {
        let broker = Broker.accepted(.v5, connAck: "20 06 00 00 03 22 0004")
        var generator = JitterGenerator(seed: 11)
        var known: [UInt16: TopicName] = [:]
        var sent: [String] = []
        for round in 0..<5000 {
            // Few are hot, and which ones they are changes.
            let isHot = Int.random(in: 0..<4, using: &generator) > 0
            let hot = round / 1000 * 10 + Int.random(in: 0..<3, using: &generator)
            let number = isHot ? hot : .random(in: 0..<500, using: &generator)
            sent.append("topic/\(number)")
            _ = broker.send(UplinkMessage(1, "topic/\(number)", "", qos: .atMostOnce))
        }
        var bytes = broker.sentBytes()
        let total = bytes.readableBytes
        for topic in sent {
            let frame = try #require(try MQTTFrameDecoder.nextFrame(&bytes, maxPacketSize: 1000))
            let publish = try Publish(frame: frame, version: .v5, from: .client)
            let alias = publish.properties.topicAlias
            #expect((alias ?? 1) <= 4)
            if let alias, !publish.namesTopicByAliasOnly { known[alias] = publish.topic }
            let meant = publish.namesTopicByAliasOnly ? alias.flatMap { known[$0] } : publish.topic
            #expect(meant?.description == topic)
        }
        // Hot ones mostly go by their aliases, so that it was worth it.
        #expect(total < sent.count * 13)
    }

    @Test("a broker's alias stands for its last topic")
    func inbound() {
        let broker = Broker.accepted(.v5)
        let actions = broker.receive(
            "30 08 0001 61 03 23 0001 78  30 07 0000 03 23 0001 79  30 08 0001 62 03 23 0001 78  30 07 0000 03 23 0001 79"
                + "30 08 0001 63 03 23 0020 78  30 07 0000 03 23 0001 79"
        )
        let topics = actions.map { if case .message(let publish, nil) = $0 { publish.topic.description } else { "?" } }
        #expect(topics == ["a", "a", "b", "b", "c", "b"])
        _ = broker.down()
        broker.reconnect()
        _ = broker.sent()
        guard case .close = broker.receive("30 07 0000 03 23 0001 79").first else { Issue.record(); return }
    }

    @Test(
        "an alias that is not allowed or means nothing ends the connection",
        arguments: [
            ("30 07 0000 03 23 0001 78", "94"), ("30 08 0001 61 03 23 0021 78", "94"),
            ("30 08 0001 61 03 23 0000 78", "94"), ("30 04 0000 00 78", "82"),
            ("30 0b 0001 61 06 23 0001 23 0001 78", "82"), ("32 09 0000 0001 03 23 0002 78", "94"),
        ]
    )
    func refused(hex: String, code: String) {
        let broker = Broker.accepted(.v5)
        guard case .close = broker.receive(hex).first else { Issue.record("\(hex) was taken"); return }
        #expect(broker.sent() == ["e0 " + code])
    }

    @Test("no alias is taken if none was offered")
    func notOffered() {
        var configuration = UplinkClient.Configuration.v5
        configuration.inboundTopicAliasMaximum = 0
        let broker = Broker.accepted(configuration)
        guard case .close = broker.receive("30 08 0001 61 03 23 0001 78").first else { Issue.record(); return }
        #expect(broker.sent() == ["e0 94"])
    }
}
