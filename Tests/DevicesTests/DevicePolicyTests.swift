import Devices
import MQTTCodec
import Testing

@Suite("Device policy")
struct DevicePolicyTests {
    enum Answer: Sendable {
        case allowed, denied, notListed, reserved

        func matches(_ reason: Decision.Reason) -> Bool {
            switch (self, reason) {
            case (.allowed, .allowed), (.denied, .denied), (.notListed, .notListed), (.reserved, .reserved): true
            default: false
            }
        }
    }

    /// Of device "kitchen", gateway "attic".
    static func sensor() throws -> Profile {
        try .make(
            publish: ["nodes/%d/#", "$SYS/#", "shared/%g/+"],
            subscribe: ["nodes/%d/sessionID", "nodes/%d/cmd/#", "news/#", "$SYS/attic/#", "a/+", "b/+/c"],
            deny: ["nodes/%d/secret/#", "news/+/staff", "closed/#", "news/closed/#"],
            sessionTopic: "nodes/%d/sessionID"
        )
    }

    static let publishes: [(String, Answer)] = [
        ("nodes/kitchen/temp", .allowed),
        ("nodes/kitchen", .allowed),
        ("nodes/kitchen/", .allowed),
        ("nodes/Kitchen/temp", .notListed),
        ("nodes/kitchen2/temp", .notListed),
        ("nodes/kitche/temp", .notListed),
        ("nodes/cellar/temp", .notListed),
        ("Nodes/kitchen/temp", .notListed),
        ("/nodes/kitchen/temp", .notListed),
        ("nodes//kitchen/temp", .notListed),
        ("nodes", .notListed),
        ("news/a", .notListed),
        ("shared/attic/x", .allowed),
        ("shared/attic/x/y", .notListed),
        ("shared/cellar/x", .notListed),
        ("nodes/kitchen/secret", .denied),
        ("nodes/kitchen/secret/a/b", .denied),
        ("nodes/kitchen/secrets", .allowed),
        ("nodes/kitchen/sessionID", .reserved),
        ("nodes/cellar/sessionID", .reserved),
        ("nodes/kitchen/sessionID/x", .allowed),
        ("nodes/kitchen/SessionID", .allowed),
        ("$SYS/broker/load", .reserved),
        ("$share/g/nodes/kitchen/temp", .reserved),
        ("$", .reserved),
    ]

    @Test("publishing: deny wins, reserved topics are nobody's, the rest must be listed", arguments: Self.publishes)
    func publish(topic: String, answer: Answer) throws {
        let decision = try Self.sensor().policy().decide(publish: try TopicName(topic))
        #expect(answer.matches(decision.reason), "\(decision.explanation)")
        #expect(decision.isAllowed == (answer == .allowed))
        #expect(decision.action == .publish)
    }

    static let subscriptions: [(String, Answer)] = [
        ("nodes/kitchen/cmd/#", .allowed),
        ("nodes/kitchen/cmd", .allowed),
        ("nodes/kitchen/cmd/+", .allowed),
        ("nodes/kitchen/cmd/+/#", .allowed),
        ("nodes/kitchen/sessionID", .allowed),
        ("nodes/kitchen/#", .notListed),
        ("nodes/kitchen/+", .notListed),
        ("nodes/+/sessionID", .notListed),
        ("nodes/+/cmd/#", .notListed),
        ("nodes/#", .notListed),
        ("#", .notListed),
        ("+/+", .notListed),
        ("+/kitchen/cmd/x", .notListed),
        ("nodes/cellar/cmd/#", .notListed),
        ("news/#", .allowed),
        ("news/+/staff", .denied),
        ("news/today/staff", .denied),
        ("news/+/+", .allowed),
        ("news/closed/x", .denied),
        ("news/closed/#", .denied),
        ("closed/#", .denied),
        ("a/+", .allowed),
        ("a/#", .notListed),
        ("a/x", .allowed),
        ("a", .notListed),
        ("b/+/c", .allowed),
        ("b/x/c", .allowed),
        ("b/+/+", .notListed),
        ("b/#", .notListed),
        ("$SYS/#", .notListed),
        ("$SYS/attic/#", .allowed),
        ("$SYS/attic/load", .allowed),
        ("+/attic/load", .notListed),
        ("$share/g/news/x", .notListed),
    ]

    @Test("subscribing: one line must cover the filter as a whole", arguments: Self.subscriptions)
    func subscribe(filter: String, answer: Answer) throws {
        let decision = try Self.sensor().policy().decide(subscribe: try TopicFilter(filter))
        #expect(answer.matches(decision.reason), "\(decision.explanation)")
        #expect(decision.isAllowed == (answer == .allowed))
        #expect(decision.action == .subscribe)
    }

    static let deliveries: [(String, Bool)] = [
        ("nodes/kitchen/cmd/on", true),
        ("nodes/kitchen/sessionID", true),
        ("nodes/cellar/sessionID", false),
        ("nodes/kitchen/temp", false),
        ("news/today", true),
        ("news/today/staff", false),
        ("news/closed", false),
        ("$SYS/attic/load", true),
        ("$SYS/cellar/load", false),
    ]

    @Test("every delivery is held against deny and subscribe again", arguments: Self.deliveries)
    func delivery(topic: String, allowed: Bool) throws {
        #expect(try Self.sensor().policy().mayReceive(try TopicName(topic)) == allowed)
    }

    @Test("an empty profile refuses everything")
    func empty() throws {
        let policy = try Profile.make().policy()
        #expect(!policy.decide(publish: try TopicName("a")).isAllowed)
        #expect(!policy.decide(subscribe: try TopicFilter("#")).isAllowed)
        #expect(!policy.mayReceive(try TopicName("a")))
    }

    @Test("compares bytes: a composed and a decomposed letter are two topics")
    func bytes() throws {
        let policy = try Profile.make(publish: ["caf\u{E9}/+"], deny: ["caf\u{E9}/x"]).policy()
        #expect(policy.decide(publish: try TopicName("caf\u{E9}/y")).isAllowed)
        #expect(!policy.decide(publish: try TopicName("cafe\u{301}/y")).isAllowed)
        #expect(!policy.decide(publish: try TopicName("caf\u{E9}/x")).isAllowed)
    }

    @Test("without a device, lines with %d allow nothing and refuse for all")
    func guest() throws {
        let guest = try Profile.make(
            publish: ["nodes/%d/#", "home/#"],
            subscribe: ["nodes/%d/#", "home/#"],
            deny: ["home/%d/private"]
        ).policy(nil)
        #expect(guest.decide(publish: try TopicName("home/a")).isAllowed)
        #expect(guest.decide(subscribe: try TopicFilter("home/#")).isAllowed)
        #expect(!guest.decide(publish: try TopicName("nodes/kitchen/x")).isAllowed)
        #expect(!guest.decide(subscribe: try TopicFilter("nodes/+/#")).isAllowed)
        #expect(!guest.decide(publish: try TopicName("home/anyone/private")).isAllowed)
        #expect(!guest.mayReceive(try TopicName("home/anyone/private")))
    }

    @Test("a session topic with text around %d reserves no more than itself")
    func reservedInsideLevel() throws {
        let profile = try Profile.make(publish: ["+", "x/+"], sessionTopic: "s-%d")
        let policy = try profile.policy()
        #expect(policy.decide(publish: try TopicName("s-anyone")).reason == .reserved)
        #expect(policy.decide(publish: try TopicName("temp")).isAllowed)
        #expect(policy.decide(publish: try TopicName("x/s-anyone")).isAllowed)
    }

    @Test("explains in words, with the line of gateway.conf")
    func explanations() throws {
        let policy = try Profile.make(
            publish: ["nodes/%d/#", "plain/#"],
            deny: ["nodes/%d/secret"],
            sessionTopic: "nodes/%d/sessionID"
        ).policy()
        func explain(_ topic: String) throws -> String { policy.decide(publish: try TopicName(topic)).explanation }
        #expect(try explain("nodes/kitchen/x") == "allowed by publish line 21: nodes/%d/# (= nodes/kitchen/#)")
        #expect(try explain("plain/x") == "allowed by publish line 21: plain/#")
        #expect(
            try explain("nodes/kitchen/secret")
                == "refused by deny line 23: nodes/%d/secret (= nodes/kitchen/secret)"
        )
        #expect(
            try explain("nodes/other/temp")
                == "refused: no publish line of profile sensor (line 20) covers nodes/other/temp"
        )
        #expect(
            try explain("nodes/x/sessionID") == "refused: nodes/x/sessionID is one of the gateway's own topics"
        )
        #expect(
            policy.decide(subscribe: try TopicFilter("#")).explanation
                == "refused: no subscribe line of profile sensor (line 20) covers #"
        )
        #expect(try explain("a\u{1B}b").hasSuffix("covers a\\u{1b}b"))
    }
}
