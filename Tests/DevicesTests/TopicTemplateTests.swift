import Devices
import MQTTCodec
import NIOCore
import Testing

@Suite("Topic templates")
struct TopicTemplateTests {
    static let longID = String(repeating: "i", count: 64)

    static let expansions: [(template: String, filter: String, all: String)] = [
        ("nodes/%d/#", "nodes/kitchen/#", "nodes/+/#"),
        ("%g/%d", "attic/kitchen", "attic/+"),
        ("node-%d/+/x", "node-kitchen/+/x", "+/+/x"),
        ("a/%g-%d.%g/b", "a/attic-kitchen.attic/b", "a/+/b"),
        ("%d/%d", "kitchen/kitchen", "+/+"),
        ("100%%/%%d", "100%/%d", "100%/%d"),
        ("%g%g", "atticattic", "atticattic"),
        ("mytopic/sessionID", "mytopic/sessionID", "mytopic/sessionID"),
        ("/%d/", "/kitchen/", "/+/"),
        ("#", "#", "#"),
        ("caf\u{E9}/%d", "caf\u{E9}/kitchen", "caf\u{E9}/+"),
    ]

    @Test("expand to a filter for one device, and to one that covers all", arguments: Self.expansions)
    func expands(template text: String, filter: String, all: String) throws {
        let template = try TopicTemplate(text)
        let one = template.expand(device: try DeviceID("kitchen"), gateway: "attic")
        let every = template.expand(device: nil, gateway: "attic")
        #expect(one == (try TopicFilter(filter)))
        #expect(every == (try TopicFilter(all)))
        #expect(every.covers(one))
    }

    static let bad: [(String, TopicTemplateError)] = [
        ("", .topic(.empty)),
        ("nodes/%x", .unknownPlaceholder("x")),
        ("nodes/%D", .unknownPlaceholder("D")),
        ("nodes/%/a", .unknownPlaceholder("/")),
        ("nodes/%", .unfinishedPlaceholder),
        ("nodes/%d%", .unfinishedPlaceholder),
        ("%d-%d/a", .deviceTwiceInLevel(1)),
        ("a/b/%d%d", .deviceTwiceInLevel(3)),
        ("a/%d+", .topic(.misplacedWildcard)),
        ("a/+%d/b", .topic(.misplacedWildcard)),
        ("a/#/%d", .topic(.misplacedWildcard)),
        ("a/%g#", .topic(.misplacedWildcard)),
        ("a\0", .topic(.nullCharacter)),
        (String(repeating: "a/", count: 128), .topic(.tooDeep)),
    ]

    @Test("refuse what no filter can come of", arguments: Self.bad)
    func refused(text: String, error: TopicTemplateError) {
        #expect(throws: error) { try TopicTemplate(text) }
    }

    @Test("refuse what would be too long for a long id, at once and not at the first such device")
    func tooLong() throws {
        let text = String(repeating: "x", count: 65_535 - 64) + "%d"
        #expect(throws: TopicTemplateError.topic(.tooLong(bytes: 65_536))) { try TopicTemplate("y" + text) }
        let template = try TopicTemplate(text)
        let filter = template.expand(device: try DeviceID(Self.longID), gateway: "attic")
        #expect(filter.buffer.readableBytes == 65_535)
    }

    static let found: [(template: String, topic: String, device: String?)] = [
        ("nodes/%d/#", "nodes/kitchen/temp", "kitchen"),
        ("nodes/%d/#", "nodes/kitchen/a/b/c", "kitchen"),
        ("nodes/%d/#", "nodes/kitchen", "kitchen"),
        ("nodes/%d/#", "nodes/kitchen/", "kitchen"),
        ("nodes/%d/#", "nodes//temp", nil),
        ("nodes/%d/#", "nodes", nil),
        ("nodes/%d/#", "other/kitchen/temp", nil),
        ("nodes/%d/#", "nodes/a b/temp", nil),
        ("nodes/%d/#", "nodes/$x/temp", nil),
        ("nodes/%d/#", "nodes/caf\u{E9}/temp", nil),
        ("nodes/%d/#", "nodes/cafe\u{301}/temp", nil),
        ("nodes/%d/#", "nodes/" + longID + "/temp", longID),
        ("nodes/%d/#", "nodes/" + longID + "i/temp", nil),
        ("nodes/%d/temp", "nodes/kitchen/temp", "kitchen"),
        ("nodes/%d/temp", "nodes/kitchen/temp/x", nil),
        ("nodes/%d/temp", "nodes/kitchen", nil),
        ("nodes/%d/+", "nodes/kitchen/", "kitchen"),
        ("nodes/%d/+", "nodes/kitchen", nil),
        ("%d", "kitchen", "kitchen"),
        ("%d", "$SYS", nil),
        ("+/%d", "x/kitchen", "kitchen"),
        ("+/%d", "$SYS/kitchen", nil),
        ("node-%d/x", "node-kitchen/x", "kitchen"),
        ("node-%d/x", "node-/x", nil),
        ("node-%d/x", "nod-kitchen/x", nil),
        ("node-%d-%g/x", "node-a-attic-attic/x", "a-attic"),
        ("node-%d-%g/x", "node--attic/x", nil),
        ("node-%d-%g/x", "node-attic/x", nil),
        ("aba%daba", "ababa", nil),
        ("%d/%g/%d", "k/attic/k", "k"),
        ("%d/%g/%d", "k/attic/j", nil),
        ("%d/%g/%d", "k/attic/kk", nil),
        ("%d/%g/x%d", "k/attic/xk", "k"),
        ("%d/%g", "k/other", nil),
        ("a/%%d", "a/%d", nil),
        ("mytopic/#", "mytopic/x", nil),
        ("caf\u{E9}/%d", "caf\u{E9}/k", "k"),
        ("caf\u{E9}/%d", "cafe\u{301}/k", nil),
    ]

    @Test("find the device id in a topic, or none", arguments: Self.found)
    func extracts(template text: String, topic: String, device: String?) throws {
        let template = try TopicTemplate(text)
        let topic = try TopicName(topic)
        let id = template.device(in: topic, gateway: "attic")
        #expect(id?.text == device)
        if let id {
            #expect(template.expand(device: id, gateway: "attic").matches(topic))
        }
    }

    static let coverage: [(template: String, filter: String, device: String?)] = [
        ("nodes/%d/#", "nodes/kitchen/#", "kitchen"),
        ("nodes/%d/#", "nodes/kitchen/+/x", "kitchen"),
        ("nodes/%d/#", "nodes/+/temp", nil),
        ("nodes/%d/#", "nodes/#", nil),
        ("nodes/%d/#", "#", nil),
        ("nodes/%d/+", "nodes/kitchen/#", nil),
        ("nodes/%d/+", "nodes/kitchen/+", "kitchen"),
        ("nodes/%d/x", "nodes/kitchen/+", nil),
    ]

    @Test("find the device id in a subscription only if they cover it as a whole", arguments: Self.coverage)
    func extractsFromFilter(template text: String, filter: String, device: String?) throws {
        let pattern = try TopicTemplate(text).pattern(gateway: "attic")
        #expect(pattern.device(in: try TopicFilter(filter))?.text == device)
    }

    @Test("name a topic only without wildcards")
    func topics() throws {
        let kitchen = try DeviceID("kitchen")
        let own = try TopicTemplate("nodes/%d/sessionID")
        #expect(own.expandTopic(device: kitchen, gateway: "attic") == (try TopicName("nodes/kitchen/sessionID")))
        #expect(own.expandTopic(device: nil, gateway: "attic") == nil)
        let shared = try TopicTemplate("mytopic/sessionID")
        #expect(shared.expandTopic(device: nil, gateway: "attic") == (try TopicName("mytopic/sessionID")))
        #expect(try TopicTemplate("nodes/%d/+").expandTopic(device: kitchen, gateway: "attic") == nil)
    }

    @Test("are equal by bytes, not by canonical equivalence")
    func equality() throws {
        #expect(try TopicTemplate("caf\u{E9}") != TopicTemplate("cafe\u{301}"))
        #expect(try Set([TopicTemplate("caf\u{E9}"), TopicTemplate("cafe\u{301}")]).count == 2)
        #expect(try TopicTemplate("a/%d") == TopicTemplate("a/%d"))
    }
}
