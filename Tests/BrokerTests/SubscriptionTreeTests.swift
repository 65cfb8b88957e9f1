import Broker
import MQTTCodec
import Testing

@Suite("Subscription tree")
struct SubscriptionTreeTests {
    final class Subscriber {
        let name: String
        init(_ name: String) { self.name = name }
    }

    /// Filter, topic, whether it matches: MQTT 3.1.1 §4.7.
    static let cases: [(filter: String, topic: String, matches: Bool)] = [
        ("a/b", "a/b", true), ("a/b", "a/b/c", false), ("a/b", "a", false),
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/#", "sport", true), ("#", "a/b/c", true), ("#", "/", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false), ("sport/+", "sport/", true),
        ("+/+", "/finance", true), ("/+", "/finance", true), ("+", "/finance", false),
        ("#", "$SYS/x", false), ("+/x", "$SYS/x", false), ("$SYS/#", "$SYS/x", true), ("$SYS/+", "$SYS/x", true),
        ("\u{e9}", "e\u{301}", false), ("\u{e9}", "\u{e9}", true),
    ]

    @Test("matches as the standard says, and as TopicFilter does", arguments: cases)
    func matches(_ row: (filter: String, topic: String, matches: Bool)) throws {
        var tree = SubscriptionTree<Subscriber>()
        let subscriber = Subscriber("a")
        let filter = try TopicFilter(row.filter)
        let topic = try TopicName(row.topic)
        let isNew = tree.insert(filter, .init(qos: .atLeastOnce), for: subscriber)
        #expect(isNew)
        var found = 0
        tree.forEachMatch(
            of: topic,
            plain: { _, options in
                found += 1
                #expect(options.qos == .atLeastOnce)
            },
            shared: { _ in Issue.record("nothing is shared") }
        )
        #expect((found > 0) == row.matches)
        #expect(filter.matches(topic) == row.matches)
    }

    @Test("replaces the subscription of the same subscriber, and keeps others")
    func replaces() throws {
        var tree = SubscriptionTree<Subscriber>()
        let first = Subscriber("first")
        let second = Subscriber("second")
        let filter = try TopicFilter("a/+/#")
        let areNew = [
            tree.insert(filter, .init(qos: .atMostOnce), for: first),
            tree.insert(filter, .init(qos: .atMostOnce), for: second),
            tree.insert(filter, .init(qos: .atLeastOnce), for: first),
        ]
        #expect(areNew == [true, true, false])
        #expect(tree.count == 2)
        var qos: [String: QoS] = [:]
        tree.forEachMatch(of: try TopicName("a/b/c"), plain: { qos[$0.name] = $1.qos }, shared: { _ in })
        #expect(qos == ["first": .atLeastOnce, "second": .atMostOnce])
    }

    @Test("is the same before and after a subscription that came and went")
    func removes() throws {
        var tree = SubscriptionTree<Subscriber>()
        let subscriber = Subscriber("a")
        let filters = try ["a", "a/b", "a/+", "a/#", "#", "+/+/+", "a/b/c/d"].map { try TopicFilter($0) }
        for filter in filters { tree.insert(filter, .init(qos: .atMostOnce), for: subscriber) }
        #expect(tree.count == filters.count)
        for filter in filters {
            let wereThere = [tree.remove(filter, for: subscriber), tree.remove(filter, for: subscriber)]
            #expect(wereThere == [true, false])
        }
        #expect(tree.count == 0)
        for topic in ["a", "a/b", "a/b/c/d"] {
            tree.forEachMatch(
                of: try TopicName(topic),
                plain: { _, _ in Issue.record("\(topic) still matches") },
                shared: { _ in }
            )
        }
    }

    @Test("takes filters of the greatest depth without trouble")
    func deepest() throws {
        var tree = SubscriptionTree<Subscriber>()
        let subscriber = Subscriber("a")
        let levels = TopicName.maxLevels
        let filter = try TopicFilter(Array(repeating: "+", count: levels).joined(separator: "/"))
        tree.insert(filter, .init(qos: .atMostOnce), for: subscriber)
        var found = 0
        let topic = try TopicName(Array(repeating: "x", count: levels).joined(separator: "/"))
        tree.forEachMatch(of: topic, plain: { _, _ in found += 1 }, shared: { _ in })
        #expect(found == 1)
    }
}
