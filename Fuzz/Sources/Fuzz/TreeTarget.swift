import Broker
import MQTTCodec
import NIOCore

/// Subscriptions that come and go: the tree finds for a topic what a look at each of them finds.
enum TreeTarget {
    private final class Subscriber {
        var filters: [TopicFilter: QoS] = [:]
    }

    static func check(_ input: FuzzInput) {
        var input = input
        let subscribers = [Subscriber(), Subscriber(), Subscriber()]
        var tree = SubscriptionTree<Subscriber>()
        while !input.isEmpty {
            let flags = input.byte()
            let buffer = ByteBuffer(bytes: input.text())
            let subscriber = subscribers[Int(flags >> 2) % subscribers.count]
            if flags & 3 == 3 {
                guard let topic = try? TopicName(validating: buffer) else { continue }
                Self.check(tree, topic, subscribers)
                Tally.count("looked up")
            } else {
                guard let filter = try? TopicFilter(validating: buffer) else { continue }
                if flags & 3 == 2 {
                    let hadOne = subscriber.filters.removeValue(forKey: filter) != nil
                    expect(tree.remove(filter, for: subscriber) == hadOne, "removed what was not there, or not at all")
                    if hadOne { Tally.count("removed") }
                } else {
                    let qos = QoS(rawValue: flags >> 4 & 1) ?? .atMostOnce
                    let isNew = subscriber.filters.updateValue(qos, forKey: filter) == nil
                    expect(tree.insert(filter, qos: qos, for: subscriber) == isNew, "new twice, or not at all")
                }
            }
            expect(tree.count == subscribers.reduce(0) { $0 + $1.filters.count }, "another number of subscriptions")
        }
        for subscriber in subscribers {
            for filter in subscriber.filters.keys { expect(tree.remove(filter, for: subscriber), "\(filter) lost") }
        }
        expect(tree.count == 0, "subscriptions left in an empty tree")
    }

    private static func check(_ tree: SubscriptionTree<Subscriber>, _ topic: TopicName, _ subscribers: [Subscriber]) {
        var found: [String] = []
        tree.forEachMatch(of: topic) { match in
            let index = subscribers.firstIndex { $0 === match.subscriber } ?? -1
            found.append("\(index) \(match.qos)")
        }
        var expected: [String] = []
        for (index, subscriber) in subscribers.enumerated() {
            for (filter, qos) in subscriber.filters where filter.matches(topic) { expected.append("\(index) \(qos)") }
        }
        expect(found.sorted() == expected.sorted(), "\(topic): \(found) found, \(expected) there")
    }
}
