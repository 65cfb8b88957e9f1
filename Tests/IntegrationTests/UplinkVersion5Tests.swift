import TestSupport
import Testing

/// What an outside broker of MQTT 5.0 may ask for in its CONNACK and answer to a message, and what must become of the messages.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct UplinkVersion5Tests {
    private static func stage(
        _ script: BrokerScript = .init(),
        qos: Int = 1,
        keepAlive: String = "1s"
    ) async throws -> UplinkStage {
        let stage = try await UplinkStage(
            script,
            uplink: ["protocol = \"5\"", "keep_alive = \"\(keepAlive)\""],
            qos: qos
        )
        try await stage.broker.connected(1)
        return stage
    }

    private static func limited(_ limits: WireProperty...) -> BrokerScript {
        var script = BrokerScript()
        script.limits = limits
        return script
    }

    @Test("limits of the CONNACK are kept, and nothing is lost", arguments: [1, 2])
    func limits(qos: Int) async throws {
        let stage = try await Self.stage(
            Self.limited(
                .number(WireProperty.receiveMaximum, 3),
                .number(WireProperty.topicAliasMaximum, 2),
                .number(WireProperty.retainAvailable, 0),
                .number(WireProperty.maximumPacketSize, 1_000)
            ),
            qos: qos
        )
        for topic in ["a", "b", "c"] { try await stage.publish(1...50, topic: "nodes/lamp/\(topic)") }
        try await stage.publish(51...100)
        try await stage.broker.taken(payload: "100")
        #expect(stage.broker.taken.count == 200)
        for topic in ["a", "b", "c"] {
            let numbers = stage.broker.taken.filter { $0.topic == "sites/attic/lamp/\(topic)" }.map(\.text)
            #expect(numbers == (1...50).map(String.init))
        }
        #expect(stage.broker.taken.allSatisfy { $0.qos == qos })
        #expect(stage.broker.taken.contains { $0.properties.number(WireProperty.topicAlias) != nil })
        #expect(stage.broker.violations.isEmpty)
    }

    @Test("Maximum QoS lowers what is sent", arguments: [0, 1])
    func maximumQoS(most: UInt32) async throws {
        let stage = try await Self.stage(Self.limited(.number(WireProperty.maximumQoS, most)), qos: 2)
        try await stage.publish(1...50)
        try await stage.expectAll(1...50)
        #expect(stage.broker.taken.allSatisfy { $0.qos == UInt8(most) })
    }

    @Test("the server's keep alive is kept in place of the gateway's own")
    func serverKeepAlive() async throws {
        let stage = try await Self.stage(
            Self.limited(.number(WireProperty.serverKeepAlive, 1)),
            keepAlive: "60s"
        )
        _ = try await stage.broker.log.lines(count: 2) { $0.hasPrefix("PINGREQ #1") }
    }

    @Test("a session is asked for, found again, and resent as what it is")
    func session() async throws {
        let stage = try await Self.stage(.init(.init(payload: "7", times: 1, .takeAndClose)))
        try await stage.publish(1...20)
        try await stage.expectAll(1...20)
        #expect(stage.broker.messages.contains { $0.text == "7" && $0.isDuplicate && $0.connection == 2 })
        try await stage.gateway.logged("uplink connected", "session-present=true")
    }

    @Test("DISCONNECT with a reason is told in words, and the messages come on the next connection")
    func disconnect() async throws {
        let stage = try await Self.stage(.init(.init(payload: "7", times: 1, .disconnect(0x97))))
        try await stage.publish(1...20)
        try await stage.expectAll(1...20)
        try await stage.gateway.logged("uplink down", "quota")
    }

    @Test("a message that is refused by reason code again and again goes to the dead letters, with the broker's words")
    func refused() async throws {
        let stage = try await Self.stage(.init(.init(payload: "7", .refuse(0x99, reason: "no number"))))
        try await stage.publish(1...20)
        try await stage.gateway.logged("dead letters", "no number")
        try await stage.broker.taken(payload: "20")
        #expect(Set(stage.broker.taken.map(\.text)) == Set((1...20).filter { $0 != 7 }.map(String.init)))
        #expect(stage.broker.messages.count { $0.text == "7" } == 3)
        #expect(stage.broker.violations.isEmpty)
    }

    @Test("a message that is refused once for a quota is sent again, and arrives")
    func quota() async throws {
        let stage = try await Self.stage(.init(.init(payload: "7", times: 1, .refuse(0x97))))
        try await stage.publish(1...20)
        _ = try await stage.broker.taken(20)
        #expect(Set(stage.broker.taken.map(\.text)) == Set((1...20).map(String.init)))
    }

    @Test("a message over Maximum Packet Size goes to the dead letters at once, and holds nothing up")
    func tooLarge() async throws {
        let stage = try await Self.stage(Self.limited(.number(WireProperty.maximumPacketSize, 100)))
        let node = MosquittoTarget(port: try stage.gateway.port())
        let large = String(repeating: "x", count: 200)
        for payload in ["1", large, "2"] {
            _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: payload)
        }
        try await stage.broker.taken(payload: "2")
        try await stage.gateway.logged("dead letters", "100 bytes")
        #expect(stage.broker.taken.map(\.text) == ["1", "2"])
        #expect(stage.broker.violations.isEmpty)
    }

    /// A step of QoS 2 at which the link ends.
    enum Step: CaseIterable {
        case afterPublish, afterPubRel, anyTime
    }

    @Test("QoS 2 over links that end at every step is exactly once", arguments: Step.allCases)
    func exactlyOnce(step: Step) async throws {
        var script = BrokerScript()
        switch step {
        case .afterPublish:
            script.rules = ["3", "20", "21", "44"].map { .init(payload: $0, times: 1, .takeAndClose) }
        case .afterPubRel: script.closesOnReleases = 4
        case .anyTime: break
        }
        let stage = try await Self.stage(script, qos: 2)
        for round in 0..<3 {
            async let published: Void = stage.publish(20 * round + 1...20 * round + 20)
            if step == .anyTime {
                try await stage.broker.log.line(containing: " = \(20 * round + 5)")
                stage.broker.cut()
            }
            try await published
        }
        try await stage.expectAll(1...60)
        #expect(stage.broker.taken.map(\.text) == (1...60).map(String.init))
        try await eventually { stage.broker.heldCount == 0 }
    }

    @Test("properties of a message go out, and those of a command come in")
    func properties() async throws {
        let stage = try await Self.stage()
        try await stage.broker.log.line(containing: "SUBSCRIBE #1 ")
        let node = try MQTTPeer(port: try stage.gateway.port(), .init(id: "lamp"))
        try node.subscribe("nodes/lamp/cmd/#", qos: 1)
        let properties: [WireProperty] = [
            .text(WireProperty.contentType, "text/plain"), .user("unit", "C"), .user("unit", "K"),
            .number(WireProperty.messageExpiry, 100),
        ]
        let bytes = properties.flatMap { Array(Wire.properties([$0]).dropFirst()) }
        try node.publishSafely("nodes/lamp/data", "21.5", properties: bytes)
        let came = try #require(try await stage.broker.taken(payload: "21.5"))
        #expect(came.properties.text(WireProperty.contentType) == "text/plain")
        #expect(came.properties.user("unit") == ["C", "K"])
        #expect((90...100).contains(came.properties.number(WireProperty.messageExpiry) ?? 0))
        stage.broker.send("sites/attic/lamp/cmd/on", "now", properties: [.user("by", "me")], to: "attic")
        let command = try node.message()
        #expect(command.payload == "now")
        #expect(command.properties.starts(with: Array(Wire.properties([.user("by", "me")]).dropFirst())))
    }
}
