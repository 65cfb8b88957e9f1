import Devices
import Foundation
import MQTTCodec
import Testing

@Suite("Explanation")
struct ExplanationTests {
    static func explain(
        _ device: String,
        _ action: PolicyAction,
        _ topic: String
    ) throws -> Explanation {
        let registry = try DeviceRegistryTests.registry([.make("kitchen"), .make("porch", "plain")])
        let routes = try RouteTable(
            routes: [
                .make(.out, "nodes/%d/#", "sites/%g/%d/#", line: 61),
                .make(.in, "sites/%g/%d/cmd/#", "nodes/%d/cmd/#", line: 66),
            ],
            uplinks: ["cloud"],
            gateway: "attic",
            reserved: registry.reserved
        )
        return try Explanation(
            device: try DeviceID(device),
            action: action,
            topic: topic,
            registry: registry,
            routes: routes
        )
    }

    @Test("says which line allows a message and where it goes")
    func publish() throws {
        let explanation = try Self.explain("kitchen", .publish, "nodes/kitchen/temp")
        #expect(explanation.allowed)
        #expect(explanation.line == 21)
        #expect(explanation.profileLine == 20)
        #expect(
            explanation.lines == [
                "kitchen publish nodes/kitchen/temp: "
                    + "allowed by publish line 21: nodes/%d/# (= nodes/kitchen/#)",
                "  goes to uplink cloud as sites/attic/kitchen/temp (QoS 1, route line 61)",
            ]
        )
    }

    @Test("says that no route takes a message")
    func stays() throws {
        let explanation = try Self.explain("porch", .publish, "plain/porch/temp")
        #expect(explanation.lines.last == "  stays here: no route takes it")
    }

    @Test("says which routes bring messages to a subscription", arguments: ["", "$share/g/"])
    func subscribe(prefix: String) throws {
        let explanation = try Self.explain("kitchen", .subscribe, prefix + "nodes/kitchen/cmd/#")
        #expect(explanation.allowed)
        #expect(
            explanation.crossings == [
                Explanation.Crossing(
                    uplink: "cloud",
                    outside: "sites/attic/kitchen/cmd/#",
                    local: "nodes/kitchen/cmd/#",
                    qos: 1,
                    line: 66
                )
            ]
        )
        let session = try Self.explain("kitchen", .subscribe, prefix + "nodes/kitchen/sessionID")
        #expect(session.allowed && session.crossings.isEmpty)
    }

    static let refusals: [(String, PolicyAction, String, Explanation.Verdict)] = [
        ("kitchen", .publish, "nodes/porch/temp", .notListed),
        ("kitchen", .publish, "nodes/kitchen/sessionID", .reserved),
        ("kitchen", .subscribe, "#", .notListed),
        ("kitchen", .subscribe, "$share/g/#", .notListed),
        ("nobody", .publish, "nodes/nobody/temp", .unknownDevice),
    ]

    @Test("says why not, and names no way for what is refused", arguments: Self.refusals)
    func refused(device: String, action: PolicyAction, topic: String, verdict: Explanation.Verdict) throws {
        let explanation = try Self.explain(device, action, topic)
        #expect(!explanation.allowed)
        #expect(explanation.verdict == verdict)
        #expect(explanation.crossings.isEmpty)
        #expect(explanation.lines.count == 1)
    }

    @Test("refuses text that is no topic")
    func noTopic() {
        #expect(throws: Explanation.Failure.topic(.misplacedWildcard)) { try Self.explain("kitchen", .publish, "a/#") }
        #expect(throws: Explanation.Failure.topic(.empty)) { try Self.explain("kitchen", .subscribe, "") }
        #expect(throws: Explanation.Failure.shared(.emptyGroup)) {
            try Self.explain("kitchen", .subscribe, "$share//a")
        }
    }

    @Test("is JSON with stable keys")
    func json() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let data = try encoder.encode(Self.explain("kitchen", .publish, "nodes/kitchen/temp"))
        #expect(
            String(decoding: data, as: UTF8.self) == """
                {"action":"publish","allowed":true,"crossings":[{"line":61,"local":"nodes/kitchen/temp",\
                "outside":"sites/attic/kitchen/temp","qos":1,"uplink":"cloud"}],"device":"kitchen",\
                "expanded_filter":"nodes/kitchen/#","filter":"nodes/%d/#","line":21,"profile":"sensor",\
                "profile_line":20,"reason":"allowed by publish line 21: nodes/%d/# (= nodes/kitchen/#)",\
                "topic":"nodes/kitchen/temp","verdict":"allowed"}
                """
        )
    }
}
