import TestSupport
import Testing

/// What an outside broker does that a good one would not, and what must become of the messages: none is lost, they arrive in
/// order, the link comes back, and the operator is told in words.
@Suite(.inTurn, .timeLimit(.minutes(5))) struct UplinkStoryTests {
    /// How many messages a story has.
    private static let count = 200

    /// One behaviour, while messages 1 to ``count`` are published.
    struct Story: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var script = BrokerScript()
        /// What happens when the first hundred is acknowledged to the node.
        var incident: (@Sendable (UplinkStage) async throws -> Void)?
        /// What a line of the log says.
        var words: [String] = []

        init(_ name: String, _ script: BrokerScript = .init(), words: String...) {
            self.testDescription = name
            self.script = script
            self.words = words
        }

        init(_ name: String, words: String..., incident: @escaping @Sendable (UplinkStage) async throws -> Void) {
            self.testDescription = name
            self.words = words
            self.incident = incident
        }
    }

    static let stories: [Story] = [
        Story("a good broker", words: "uplink connected"),
        Story("takes a message and closes before it acknowledges", .init(.init(payload: "7", times: 1, .takeAndClose))),
        Story("closes on a message, three times", .init(.init(payload: "7", times: 3, .close)), words: "uplink down"),
        Story(
            "acknowledges what was never sent",
            .init(.init(payload: "7", times: 1, .takeAndWrite([0x40, 2, 0xEE, 0xEE]))),
            words: "PUBACK"
        ),
        Story(
            "answers with bytes that are no packet",
            .init(.init(payload: "7", times: 1, .takeAndWrite([0, 0, 0, 0]))),
            words: "malformed"
        ),
        Story(
            "answers with a length that never ends",
            .init(
                .init(
                    payload: "7",
                    times: 1,
                    .takeAndWrite([0x40, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
                )
            ),
            words: "malformed"
        ),
        Story(
            "sends a second CONNACK",
            .init(.init(payload: "7", times: 1, .takeAndWrite([0x20, 2, 0, 0]))),
            words: "unexpected connack"
        ),
        Story(
            "takes a message and says nothing from then on",
            .init(.init(payload: "7", times: 1, .takeAndFreeze)),
            words: "silent"
        ),
        Story("drops one message silently, and the link ends") { stage in
            let broker = stage.broker
            broker.change { $0.rules = [.init(payload: "101", times: 1, .ignore)] }
            try await broker.log.line(containing: "= 102")
            broker.cut()
        },
        Story("is cut off five times") { stage in
            let broker = stage.broker
            for number in 1...5 {
                try await broker.connected(number)
                broker.cut()
            }
        },
        Story("refuses connections for a while", words: "connection refused") { stage in
            let broker = stage.broker
            broker.stop()
            try await stage.gateway.logged("connection refused")
            try broker.start()
        },
        Story("closes after each of three CONNACKs") { stage in
            let broker = stage.broker
            let first = broker.connections
            broker.change { $0.welcome = .acceptAndClose }
            broker.cut()
            try await broker.connected(first + 3)
            broker.change { $0.welcome = .accept }
        },
        Story("does not authorize for a while", words: "not authorized") { stage in
            let broker = stage.broker
            let first = broker.connections
            broker.change { $0.welcome = .refuse(5) }
            broker.cut()
            try await broker.connected(first + 1)
            broker.change { $0.welcome = .accept }
        },
        Story("leaves the link half-open", words: "silent") { $0.broker.freeze() },
        Story("does not answer pings", words: "silent") { stage in
            let broker = stage.broker
            broker.change { $0.answersPings = false }
            try await broker.connected(broker.connections + 1)
            broker.change { $0.answersPings = true }
        },
        Story("loses its sessions") { stage in
            let broker = stage.broker
            broker.change { $0.keepsSessions = false }
            broker.cut()
        },
    ]

    @Test("nothing is lost and the order holds over a broker that", arguments: stories)
    func story(_ story: Story) async throws {
        let stage = try await UplinkStage(story.script)
        try await stage.broker.connected(1)
        try await stage.publish(1...100)
        async let incident: Void? = story.incident?(stage)
        try await stage.publish(101...Self.count)
        _ = try await incident
        try await stage.expectAll(1...Self.count)
        if !story.words.isEmpty {
            try await stage.gateway.log.line("\(story.words)") { line in story.words.allSatisfy { line.contains($0) } }
        }
        #expect(try await stage.gateway.stop() == .status(0))
    }
}
