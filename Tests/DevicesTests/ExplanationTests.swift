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
        var crossing = Explanation.Crossing(
            uplink: "cloud",
            outside: "sites/attic/kitchen/cmd/#",
            local: "nodes/kitchen/cmd/#",
            qos: 1,
            line: 66
        )
        crossing.keep = "all"
        crossing.sealed = true
        #expect(explanation.crossings == [crossing])
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
                "outside":"sites/attic/kitchen/temp","priority":"normal","qos":1,"retain":"keep","uplink":"cloud"}],"device":"kitchen",\
                "expanded_filter":"nodes/kitchen/#","filter":"nodes/%d/#","line":21,"profile":"sensor",\
                "profile_line":20,"reason":"allowed by publish line 21: nodes/%d/# (= nodes/kitchen/#)",\
                "receivers":[],"stops":[],"topic":"nodes/kitchen/temp","verdict":"allowed"}
                """
        )
    }
}

@Suite("Explanation of every hop")
struct HopTests {
    private static func profiles() throws -> [Profile] {
        var hub = try Profile.make(
            "hub",
            line: 40,
            publish: ["nodes/#"],
            subscribe: ["nodes/#"],
            deny: ["nodes/+/secret"]
        )
        hub.relay = false
        return [
            try .make(
                publish: ["nodes/%d/#"],
                subscribe: ["nodes/%d/sessionID", "nodes/%d/cmd/#"],
                sessionTopic: "nodes/%d/sessionID",
                seal: .v1
            ),
            hub,
        ]
    }

    private static func site() throws -> (DeviceRegistry, RouteTable) {
        let registry = DeviceRegistry(gateway: "attic")
        _ = registry.replace(devices: [try .make("kitchen"), try .make("ha", "hub")], profiles: try Self.profiles())
        var alarm = try Route.make(.out, "nodes/%d/+type/alarm", "alarms/+type/%d", line: 61)
        alarm.priority = .high
        alarm.retain = .always
        alarm.ttl = .seconds(600)
        var onward = try Route.make(.out, "nodes/%d/#", "lab/%d/#", uplink: "lab", line: 63)
        onward.fromUplinks = true
        var command = try Route.make(.in, "sites/%g/%d/cmd/+what", "nodes/%d/cmd/+what", line: 64)
        command.keep = .last
        command.ttl = .seconds(60)
        var plain = try Route.make(.in, "plain/%d/#", "nodes/%d/cmd/#", line: 65)
        plain.seal = false
        let routes = try RouteTable(
            routes: [
                alarm,
                .make(.out, "nodes/%d/#", "sites/%g/%d/#", line: 62),
                onward,
                command,
                plain,
                .make(.in, "own/%d/#", "nodes/%d/#", line: 66),
            ],
            uplinks: ["cloud", "lab"],
            gateway: "attic",
            reserved: registry.reserved
        )
        return (registry, routes)
    }

    private func lines(_ device: String, _ action: PolicyAction, _ topic: String) throws -> [String] {
        let (registry, routes) = try Self.site()
        let id = try DeviceID(device)
        return Array(
            try Explanation(device: id, action: action, topic: topic, registry: registry, routes: routes).lines
                .dropFirst()
        )
    }

    private func incoming(_ topic: String) throws -> UplinkExplanation {
        let (registry, routes) = try Self.site()
        return try UplinkExplanation(uplink: 0, topic: topic, registry: registry, routes: routes)
    }

    @Test("the way out: captures and rules of the route, routes that are passed over, who may get it here")
    func out() throws {
        #expect(
            try self.lines("kitchen", .publish, "nodes/kitchen/gas/alarm") == [
                "  goes to uplink cloud as alarms/gas/kitchen "
                    + "(QoS 1, route line 61, +type = gas, retain always, priority high, ttl 600 s)",
                "  goes to uplink lab as lab/kitchen/gas/alarm (QoS 1, route line 63)",
                "  not to uplink cloud as sites/attic/kitchen/gas/alarm by route line 62: the route of line 61 takes it first",
                "  whoever has profile hub may get it by subscribe line 42",
            ]
        )
        #expect(
            try self.lines("kitchen", .publish, "nodes/kitchen/secret") == [
                "  goes to uplink cloud as sites/attic/kitchen/secret (QoS 1, route line 62)",
                "  goes to uplink lab as lab/kitchen/secret (QoS 1, route line 63)",
            ]
        )
    }

    @Test("a command that is published here: the echo that is held back, for whom it is sealed, and session IDs for it")
    func command() throws {
        #expect(
            try self.lines("ha", .publish, "nodes/kitchen/cmd/on") == [
                "  goes to uplink lab as lab/kitchen/cmd/on (QoS 1, route line 63)",
                "  not to uplink cloud as sites/attic/kitchen/cmd/on by route line 62: "
                    + "the route of line 64 would bring it back here",
                "  device kitchen may get it, sealed, by subscribe line 22",
                "  whoever has profile hub may get it by subscribe line 42",
                "  sealed for device kitchen, under the session IDs that it publishes on nodes/kitchen/cmd/on/sessionID",
            ]
        )
        #expect(
            try self.lines("kitchen", .publish, "nodes/kitchen/cmd/on/sessionID") == [
                "  a session ID for the commands on nodes/kitchen/cmd/on: for the gateway alone"
            ]
        )
        #expect(
            try self.lines("kitchen", .subscribe, "nodes/kitchen/cmd/#").first
                == "  nodes/kitchen/cmd/+ comes from uplink cloud, there sites/attic/kitchen/cmd/+ "
                + "(QoS 1, route line 64, ttl 60 s, keep last), sealed for it"
        )
    }

    @Test("the way in: which route, which device, who may get it, sealed or not, and where it goes on")
    func incoming() throws {
        let sealed = try self.incoming("sites/attic/kitchen/cmd/on")
        #expect(
            sealed.lines == [
                "cloud sites/attic/kitchen/cmd/on: taken as nodes/kitchen/cmd/on "
                    + "(QoS 1, route line 64, +what = on, ttl 60 s, keep last)",
                "  device kitchen may get it, sealed, by subscribe line 22",
                "  whoever has profile hub may get it by subscribe line 42",
                "  sealed for device kitchen, under the session IDs that it publishes on nodes/kitchen/cmd/on/sessionID",
                "  goes on to uplink lab as lab/kitchen/cmd/on (QoS 1, route line 63)",
                "  not to uplink cloud as sites/attic/kitchen/cmd/on by route line 62: it came from there",
            ]
        )
        #expect(sealed.device == "kitchen" && sealed.sealedFor == "kitchen")
        let plain = try self.incoming("plain/kitchen/on")
        #expect(plain.sealedFor == nil)
        #expect(plain.receivers.allSatisfy { !$0.sealed })
        let reserved = try self.incoming("own/kitchen/sessionID")
        #expect(!reserved.taken && reserved.verdict == .reserved)
        #expect(try self.incoming("sites/attic/nobody/cmd/on").verdict == .unknownDevice)
        #expect(try self.incoming("elsewhere").lines == ["cloud elsewhere: not taken: no route in takes it"])
        #expect(throws: Explanation.Failure.topic(.misplacedWildcard)) { try self.incoming("a/#") }
    }
}
