import MQTTCodec
import NIOCore

@testable import Broker

/// Subscriptions that come and go, plain and shared: the tree finds for a topic what a look at each of them finds.
enum TreeTarget {
    private final class Subscriber {
        /// By the whole filter, as a client names it.
        var filters: [TopicFilter: SubscriptionOptions] = [:]
    }

    static func check(_ input: FuzzInput) {
        var input = input
        // Enough for the lists that get an index when they are long.
        let subscribers = (0..<40).map { _ in Subscriber() }
        var tree = SubscriptionTree<Subscriber>()
        while !input.isEmpty {
            let flags = input.byte()
            let buffer = ByteBuffer(bytes: input.text())
            if flags & 3 == 3 {
                guard let topic = try? TopicName(validating: buffer) else { continue }
                Self.check(tree, topic, subscribers)
                Tally.count("looked up")
            } else if let filter = try? TopicFilter(validating: buffer) {
                let some =
                    flags & 0x80 != 0
                    ? subscribers[...] : subscribers[(Int(flags >> 2 & 7))...(Int(flags >> 2 & 7))]
                for subscriber in some { Self.change(&tree, filter, flags, subscriber) }
            }
            expect(tree.count == subscribers.reduce(0) { $0 + $1.filters.count }, "another number of subscriptions")
        }
        for subscriber in subscribers {
            for filter in subscriber.filters.keys {
                let shared = try? SharedSubscription.parse(filter)
                expect(
                    tree.remove(shared?.filter ?? filter, for: subscriber, group: shared?.group),
                    "\(filter) lost"
                )
            }
        }
        expect(tree.count == 0 && !tree.hasSubscriptions(below: "a"), "subscriptions left in an empty tree")
    }

    private static func change(
        _ tree: inout SubscriptionTree<Subscriber>,
        _ filter: TopicFilter,
        _ flags: UInt8,
        _ subscriber: Subscriber
    ) {
        let shared: SharedSubscription?
        do { shared = try SharedSubscription.parse(filter) } catch { return }
        let inner = shared?.filter ?? filter
        if flags & 3 == 2 {
            let hadOne = subscriber.filters.removeValue(forKey: filter) != nil
            expect(tree.remove(inner, for: subscriber, group: shared?.group) == hadOne, "removed or not, wrongly")
            if hadOne { Tally.count("removed") }
        } else {
            let qos = QoS(rawValue: flags >> 5 & 1) ?? .atMostOnce
            let options = SubscriptionOptions(qos: qos, noLocal: flags & 0x40 != 0, identifier: UInt32(flags))
            let isNew = subscriber.filters.updateValue(options, forKey: filter) == nil
            expect(
                tree.insert(inner, options, for: subscriber, group: shared?.group) == isNew,
                "new twice, or not at all"
            )
        }
    }

    private static func check(_ tree: SubscriptionTree<Subscriber>, _ topic: TopicName, _ subscribers: [Subscriber]) {
        var numbers: [ObjectIdentifier: Int] = [:]
        for (number, subscriber) in subscribers.enumerated() { numbers[ObjectIdentifier(subscriber)] = number }
        var found: [String] = []
        func add(_ subscriber: Subscriber, _ options: SubscriptionOptions, isShared: Bool) {
            found.append("\(numbers[ObjectIdentifier(subscriber)] ?? -1) \(options.identifier) \(isShared)")
        }
        tree.forEachMatch(of: topic) { subscriber, options in
            add(subscriber, options, isShared: false)
        } shared: { group in
            // Nobody takes it, so that it is offered to all: those who are not ready are no more than are asked.
            let isTaken = group.offer(isReady: { numbers[ObjectIdentifier($0)] ?? 0 < 8 }) { subscriber, options in
                add(subscriber, options, isShared: true)
                return false
            }
            expect(!isTaken && !group.isEmpty, "taken by nobody")
        }
        var expected: [String] = []
        for (number, subscriber) in subscribers.enumerated() {
            for (filter, options) in subscriber.filters {
                let shared = try? SharedSubscription.parse(filter)
                guard (shared?.filter ?? filter).matches(topic) else { continue }
                expected.append("\(number) \(options.identifier) \(shared != nil)")
            }
        }
        if found.count > 1 { Tally.count("found several") }
        expect(found.sorted() == expected.sorted(), "\(topic): \(found) found, \(expected) there")
    }
}
