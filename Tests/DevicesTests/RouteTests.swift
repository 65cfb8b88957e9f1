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
            from: try TopicTemplate(from, hasCaptures: true),
            to: try TopicTemplate(to, hasCaptures: true),
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
        ("nodes/%d/+type/#", "sites/%g/+type/%d/#", "nodes/k/temp/1", "sites/attic/temp/k/1", "k"),
        ("nodes/%d/+type/#", "sites/%g/+type/%d/#", "nodes/k/temp", "sites/attic/temp/k", "k"),
        ("nodes/%d/+type/#", "sites/%g/+type/%d/#", "nodes/k", nil, nil),
        ("a/+x/+y", "+y/b/+x", "a/1/2", "2/b/1", nil),
        ("a/+x/+y", "+y/b/+x", "a/1/$2", nil, nil),
        ("a/+x", "+x/b/+x/+x", "a/12", "12/b/12/12", nil),
        ("a/+x/+y/+_0", "b/+_0", "a/1/2/3", "b/3", nil),
        ("a/+x/#", "b/#", "a/1/2/3", "b/2/3", nil),
        ("a/+/+x/+", "+x/+/+", "a/1/2/3", "2/1/3", nil),
        ("a/+/+x/+", "+/+x/+", "a//2/", "/2/", nil),
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

    @Test("a capture that is used often makes no topic that is too long")
    func captureLimits() throws {
        let route = try Route.make(.out, "a/+x", "+x/+x/+x").compile(gateway: "attic")
        let fits = String(repeating: "x", count: 65_533 / 3)
        #expect(route.mapTopic(try TopicName("a/" + fits))?.buffer.readableBytes == 65_533 / 3 * 3 + 2)
        #expect(route.mapTopic(try TopicName("a/x" + fits)) == nil)
    }

    @Test("a + with a name of other characters, or in a profile, is none", arguments: ["+a-b", "+a/+b c", "+%d", "++"])
    func badCaptures(text: String) throws {
        #expect(throws: TopicTemplateError.self) { try TopicTemplate("a/" + text, hasCaptures: true) }
        #expect(throws: TopicTemplateError.self) { try TopicTemplate("a/+name") }
    }

    static let bad: [(Route.Direction, String, String, RouteError.Kind)] = [
        (.out, "a/+", "b", .plusCount(from: 1, to: 0)),
        (.out, "a", "b/+", .plusCount(from: 0, to: 1)),
        (.out, "a/+/+/#", "b/+/#", .plusCount(from: 2, to: 1)),
        (.out, "a/+x", "b/+", .plusCount(from: 0, to: 1)),
        (.in, "a/+/+x", "b/+x", .plusCount(from: 1, to: 0)),
        (.out, "a/+x/+x", "b/+x", .captureTwice("x")),
        (.out, "a/+x/+y", "b/+z", .unknownCapture("z", known: ["x", "y"])),
        (.in, "a/b", "b/+z", .unknownCapture("z", known: [])),
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

    @Test("a message never goes back to the uplink that it came from, and to another one only by a route that says so")
    func noReturn() throws {
        var crossing = try Route.make(.out, "nodes/%d/#", "lab/%d/#", uplink: "lab", line: 3)
        crossing.fromUplinks = true
        var back = try Route.make(.out, "nodes/%d/#", "back/%d/#", line: 4)
        back.fromUplinks = true
        let table = try Self.table([
            .make(.out, "nodes/%d/#", "sites/%g/%d/#", line: 1),
            .make(.out, "nodes/%d/#", "lab/%d/#", uplink: "lab", line: 2),
            crossing,
            back,
            .make(.in, "sites/%g/%d/cmd/#", "nodes/%d/cmd/#", line: 5),
        ])
        let incoming = try #require(table.incoming(uplink: 0, topic: try TopicName("sites/attic/k/cmd/on")))
        #expect(incoming.topic.description == "nodes/k/cmd/on")
        #expect(incoming.device?.text == "k")
        #expect(table.outgoing(for: incoming.topic, from: 0).map(\.line) == [3])
        #expect(table.outgoing(for: try TopicName("nodes/k/temp")).map(\.line) == [1, 2])
    }

    @Test("a way across carries what its route says")
    func rules() throws {
        var out = try Route.make(.out, "nodes/%d/#", "sites/%g/%d/#")
        out.priority = .high
        out.retain = .never
        out.ttl = .seconds(60)
        var back = try Route.make(.in, "sites/%g/%d/cmd/#", "cmd/%d/#")
        back.retain = .always
        back.ttl = .seconds(30)
        back.keep = .last
        back.seal = false
        let table = try Self.table([out, back])
        let routed = try #require(table.outgoing(for: try TopicName("nodes/k/temp")).first)
        #expect(routed.priority == .high)
        #expect(!routed.retain(true))
        #expect(routed.ttl == .seconds(60))
        let incoming = try #require(table.incoming(uplink: 0, topic: try TopicName("sites/attic/k/cmd/on")))
        #expect(incoming.retain(false))
        #expect(incoming.ttl == .seconds(30))
        #expect(incoming.keep == .last)
        #expect(!incoming.seal)
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

    @Test("asks for what is for one device, on a connection of its own")
    func subscriptionsOfDevice() throws {
        let table = try Self.table([
            .make(.in, "sites/%g/%d/cmd/#", "nodes/%d/cmd/#"),
            .make(.in, "all/#", "nodes/all/#"),
            .make(.in, "sites/%g/%d/cmd/#", "nodes/%d/also/#", qos: .exactlyOnce),
        ])
        let found = table.subscriptions(uplink: 0, device: try DeviceID("lamp"), gateway: "attic")
        #expect(found.map(\.filter.description) == ["sites/attic/lamp/cmd/#"])
        #expect(found.map(\.qos) == [.exactlyOnce])
    }

    @Test("refuses a route to an uplink that does not exist")
    func unknownUplink() throws {
        let route = try Route.make(.out, "a", "b", uplink: "clod", line: 9)
        #expect(throws: RouteError(kind: .unknownUplink("clod"), line: 9)) { try Self.table([route]) }
    }
}
