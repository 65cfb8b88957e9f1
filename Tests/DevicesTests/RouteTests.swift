import Devices
import MQTTCodec
import NIOCore
import Testing

extension Route {
    static func make(
        _ direction: Direction,
        _ from: String,
        _ to: String,
        uplink: String = "cloud",
        qos: QoS = .atLeastOnce,
        line: Int = 60
    ) throws -> Route {
        Route(
            direction: direction,
            from: try TopicTemplate(from),
            to: try TopicTemplate(to),
            uplink: uplink,
            qos: qos,
            line: line
        )
    }
}

@Suite("Routes")
struct RouteTests {
    static let mappings: [(from: String, to: String, topic: String, mapped: String?, device: String?)] = [
        ("nodes/%d/#", "sites/%g/%d/#", "nodes/kitchen/temp", "sites/attic/kitchen/temp", "kitchen"),
        ("nodes/%d/#", "sites/%g/%d/#", "nodes/kitchen/a/b/c", "sites/attic/kitchen/a/b/c", "kitchen"),
        ("nodes/%d/#", "sites/%g/%d/#", "nodes/kitchen", "sites/attic/kitchen", "kitchen"),
        ("nodes/%d/#", "sites/%g/%d/#", "nodes/kitchen/", "sites/attic/kitchen/", "kitchen"),
        ("nodes/%d/#", "sites/%g/%d/#", "nodes/kitchen//x", "sites/attic/kitchen//x", "kitchen"),
        ("nodes/%d/#", "sites/%g/%d/#", "nodes/a b/temp", nil, nil),
        ("nodes/%d/#", "sites/%g/%d/#", "nodes", nil, nil),
        ("nodes/%d/#", "sites/%g/%d/#", "sites/attic/kitchen/temp", nil, nil),
        ("sites/%g/%d/cmd/#", "nodes/%d/cmd/#", "sites/attic/kitchen/cmd/on", "nodes/kitchen/cmd/on", "kitchen"),
        ("sites/%g/%d/cmd/#", "nodes/%d/cmd/#", "sites/cellar/kitchen/cmd/on", nil, nil),
        ("sites/%g/%d/cmd/#", "nodes/%d/cmd/#", "sites/attic/../cmd/on", "nodes/../cmd/on", ".."),
        ("a/+/b/+", "+/x/+", "a/1/b/2", "1/x/2", nil),
        ("a/+/b/+", "+/x/+", "a//b/", "/x/", nil),
        ("a/+/b/+", "+/x/+", "a/$1/b/2", nil, nil),
        ("a/+/b/+", "x/+/+", "a/$1/b/2", "x/$1/2", nil),
        ("a/+/#", "b/+/c/#", "a/1/2/3", "b/1/c/2/3", nil),
        ("a/+/#", "b/+/c/#", "a/1", "b/1/c", nil),
        ("#", "out/#", "a/b", "out/a/b", nil),
        ("#", "out/#", "$SYS/x", nil, nil),
        ("in/#", "#", "in/a", "a", nil),
        ("in/#", "#", "in", nil, nil),
        ("in/#", "#", "in/", nil, nil),
        ("in/#", "#", "in//", "/", nil),
        ("in/#", "#", "in/$SYS/x", nil, nil),
        ("in/+", "+", "in/$SYS", nil, nil),
        ("in/+", "+", "in/", nil, nil),
        ("n-%d/t", "%g/x.%d.y/%d", "n-k/t", "attic/x.k.y/k", "k"),
        ("a/b", "c", "a/b", "c", nil),
        ("a/b", "c", "a/c", nil, nil),
        ("%d/temp", "all/temp", "kitchen/temp", "all/temp", "kitchen"),
        ("a/+", "caf\u{E9}/+", "a/e\u{301}", "caf\u{E9}/e\u{301}", nil),
    ]

    @Test("wildcards and %d of `to` stand for what those of `from` matched", arguments: Self.mappings)
    func maps(from: String, to: String, topic: String, mapped: String?, device: String?) throws {
        let route = try Route.make(.out, from, to).compile(gateway: "attic")
        let name = try TopicName(topic)
        let result = route.map(name)
        #expect(result?.topic == (try mapped.map { text in try TopicName(text) }))
        #expect(result?.device?.text == device)
        #expect(route.mapTopic(name) == result?.topic)
        if let result {
            // What leaves is a well-formed topic under the filter that the route names.
            _ = try TopicName(validating: result.topic.buffer)
            #expect(route.target.matches(result.topic))
            #expect(route.subscription.matches(name))
        }
    }

    @Test("takes a topic that is a slice of a larger buffer")
    func slices() throws {
        var packet = ByteBuffer(string: "XXnodes/kitchen/tempYY")
        packet.moveReaderIndex(forwardBy: 2)
        let slice = packet.readSlice(length: 18) ?? ByteBuffer()
        let route = try Route.make(.out, "nodes/%d/#", "s/%d/#").compile(gateway: "attic")
        #expect(route.mapTopic(try TopicName(validating: slice)) == (try TopicName("s/kitchen/temp")))
    }

    @Test("does not take a topic that would be too long or too deep on the other side")
    func limits() throws {
        let route = try Route.make(.out, "a/#", "sites/%g/#").compile(gateway: "attic")
        let long = try TopicName("a/" + String(repeating: "x", count: 65_533))
        #expect(route.map(long) == nil)
        let fits = try TopicName("a/" + String(repeating: "x", count: 65_535 - 12))
        #expect(route.mapTopic(fits)?.buffer.readableBytes == 65_535)
        let deep = try TopicName("a" + String(repeating: "/", count: 127))
        #expect(route.map(deep) == nil)
        #expect(route.map(try TopicName("a" + String(repeating: "/", count: 126))) != nil)
    }

    static let bad: [(Route.Direction, String, String, RouteError.Kind)] = [
        (.out, "a/+", "b", .plusCount(from: 1, to: 0)),
        (.out, "a", "b/+", .plusCount(from: 0, to: 1)),
        (.out, "a/+/+/#", "b/+/#", .plusCount(from: 2, to: 1)),
        (.out, "a/b", "c/#", .hashOnlyInTo),
        (.out, "a/#", "c", .hashOnlyInFrom),
        (.out, "nodes/a/#", "sites/%d/#", .deviceOnlyInTo),
        (.in, "$share/g/a", "b", .sharedSubscription),
        (.in, "a/#", "$SYS/#", .reservedTarget),
        (.in, "a", "$x", .reservedTarget),
    ]

    @Test("refuses a route whose two sides do not fit", arguments: Self.bad)
    func refused(direction: Route.Direction, from: String, to: String, kind: RouteError.Kind) throws {
        let route = try Route.make(direction, from, to, line: 7)
        #expect(throws: RouteError(kind: kind, line: 7)) { try route.compile(gateway: "attic") }
    }

    @Test("subscribes with + for each level that names a device")
    func subscription() throws {
        let route = try Route.make(.in, "sites/%g/n-%d/cmd/#", "nodes/%d/cmd/#").compile(gateway: "attic")
        #expect(route.subscription == (try TopicFilter("sites/attic/+/cmd/#")))
    }
}

@Suite("Route table")
struct RouteTableTests {
    static func table(_ routes: [Route]) throws -> RouteTable {
        let profile = try Profile.make(sessionTopic: "nodes/%d/sessionID")
        return try RouteTable(
            routes: routes,
            uplinks: ["cloud", "lab"],
            gateway: "attic",
            reserved: ReservedTopics(profiles: [profile], gateway: "attic")
        )
    }

    @Test("a message goes to each uplink at most once, by the first route that takes it")
    func outgoing() throws {
        let table = try Self.table([
            .make(.out, "nodes/%d/alarm/#", "alarms/%d/#", qos: .atLeastOnce, line: 1),
            .make(.out, "nodes/%d/#", "sites/%g/%d/#", qos: .atMostOnce, line: 2),
            .make(.out, "nodes/%d/#", "lab/%d/#", uplink: "lab", line: 3),
        ])
        let alarm = table.outgoing(for: try TopicName("nodes/k/alarm/fire"))
        #expect(alarm.map(\.uplink) == [0, 1])
        #expect(alarm.map(\.topic.description) == ["alarms/k/fire", "lab/k/alarm/fire"])
        #expect(alarm.map(\.line) == [1, 3])
        let temp = table.outgoing(for: try TopicName("nodes/k/temp"))
        #expect(temp.map(\.topic.description) == ["sites/attic/k/temp", "lab/k/temp"])
        #expect(temp.map(\.qos) == [.atMostOnce, .atLeastOnce])
        #expect(table.outgoing(for: try TopicName("other/k")).isEmpty)
    }

    @Test("a message is never sent back to the uplink that it came from")
    func noReturn() throws {
        let table = try Self.table([
            .make(.out, "nodes/%d/#", "sites/%g/%d/#", line: 1),
            .make(.out, "nodes/%d/#", "lab/%d/#", uplink: "lab", line: 2),
            .make(.in, "sites/%g/%d/cmd/#", "nodes/%d/cmd/#", line: 3),
        ])
        let incoming = try #require(table.incoming(uplink: 0, topic: try TopicName("sites/attic/k/cmd/on")))
        #expect(incoming.topic.description == "nodes/k/cmd/on")
        #expect(incoming.device?.text == "k")
        #expect(table.outgoing(for: incoming.topic, from: 0).map(\.uplink) == [1])
    }

    @Test("finds routes that can hand each other a message")
    func echoes() throws {
        let echoing = try Self.table([
            .make(.out, "nodes/%d/#", "sites/%g/%d/#", line: 1),
            .make(.in, "sites/%g/%d/cmd/#", "nodes/%d/cmd/#", line: 3),
        ])
        #expect(echoing.echoes().map(\.out.line) == [1])
        #expect(echoing.echoes().map(\.back.line) == [3])
        let apart = try Self.table([
            .make(.out, "nodes/%d/#", "sites/%g/up/%d/#", line: 1),
            .make(.in, "sites/%g/down/%d/#", "nodes/%d/cmd/#", line: 3),
            .make(.in, "sites/%g/up/%d/#", "nodes/%d/cmd/#", uplink: "lab", line: 4),
        ])
        #expect(apart.echoes().isEmpty)
    }

    static let reserved = ["sites/attic/k/sessionID", "sites/attic/other/sessionID"]

    @Test("no message from outside ends on a session topic", arguments: Self.reserved)
    func reservedTopics(topic: String) throws {
        let table = try Self.table([.make(.in, "sites/%g/%d/#", "nodes/%d/#")])
        #expect(table.incoming(uplink: 0, topic: try TopicName(topic)) == nil)
        #expect(table.incoming(uplink: 0, topic: try TopicName("sites/attic/k/x")) != nil)
        #expect(table.incoming(uplink: 1, topic: try TopicName("sites/attic/k/x")) == nil)
    }

    @Test("subscribes to each filter once, with the highest quality of service asked for")
    func subscriptions() throws {
        let table = try Self.table([
            .make(.in, "a/%d/x", "n/%d/x", qos: .atMostOnce),
            .make(.in, "a/+/x", "m/+/x", qos: .atLeastOnce),
            .make(.in, "b/#", "o/#", qos: .atMostOnce),
            .make(.out, "c/#", "d/#"),
        ])
        let found = table.subscriptions(uplink: 0)
        #expect(found.map(\.filter.description) == ["a/+/x", "b/#"])
        #expect(found.map(\.qos) == [.atLeastOnce, .atMostOnce])
        #expect(table.subscriptions(uplink: 1).isEmpty)
    }

    @Test("refuses a route to an uplink that does not exist")
    func unknownUplink() throws {
        let route = try Route.make(.out, "a", "b", uplink: "clod", line: 9)
        #expect(throws: RouteError(kind: .unknownUplink("clod"), line: 9)) { try Self.table([route]) }
    }
}
