package import MQTTCodec
import NIOCore

/// Who subscribed to what, as a tree over topic levels.
///
/// A lookup visits each node of the tree at most once and at most ``TopicName/maxLevels`` deep, whatever a client put
/// into its filters. Bound to the gateway's loop.
package struct SubscriptionTree<Subscriber: AnyObject> {
    /// The subscriptions of one filter.
    private struct Place {
        var plain = SubscriberList<Subscriber>()
        /// By ShareName; nil while there is none, which is nearly always.
        var shared: [MQTTString: SharedGroup<Subscriber>]?

        var isEmpty: Bool { self.plain.isEmpty && self.shared == nil }

        mutating func set(_ subscriber: Subscriber, _ options: SubscriptionOptions, group: MQTTString?) -> Bool {
            guard let group else { return self.plain.set(subscriber, options) }
            if let members = self.shared?[group] { return members.set(subscriber, options) }
            let members = SharedGroup<Subscriber>()
            self.shared = self.shared ?? [:]
            self.shared?[group.compacted()] = members
            return members.set(subscriber, options)
        }

        mutating func remove(_ subscriber: Subscriber, group: MQTTString?) -> Bool {
            guard let group else { return self.plain.remove(subscriber) }
            guard let members = self.shared?[group], members.remove(subscriber) else { return false }
            if members.isEmpty { self.shared?[group] = nil }
            if self.shared?.isEmpty == true { self.shared = nil }
            return true
        }
    }

    private final class Node {
        var children: [LevelName: Node] = [:]
        var anyLevel: Node?
        /// Subscriptions whose filter ends at this node.
        var own = Place()
        /// Subscriptions whose filter ends here with `#`.
        var multiLevel = Place()

        var isEmpty: Bool {
            self.children.isEmpty && self.anyLevel == nil && self.own.isEmpty && self.multiLevel.isEmpty
        }
    }

    private let root = Node()
    /// Number of subscriptions held.
    package private(set) var count = 0

    package init() {}

    /// Adds or replaces `[MQTT-3.8.4-3]` the subscription of one subscriber to one filter.
    ///
    /// - Parameter group: The ShareName of a shared subscription, whose `filter` is what stands behind it.
    /// - Returns: Whether it is new.
    @discardableResult
    package mutating func insert(
        _ filter: TopicFilter,
        _ options: SubscriptionOptions,
        for subscriber: Subscriber,
        group: MQTTString? = nil
    ) -> Bool {
        var node = self.root
        var isMultiLevel = false
        var levels = TopicLevels(filter.buffer)
        while let level = levels.next() {
            switch level.wildcard {
            case .multiLevel:
                isMultiLevel = true  // The last one, by the filter's syntax.
            case .singleLevel:
                let child = node.anyLevel ?? Node()
                node.anyLevel = child
                node = child
            case nil:
                if let child = node.children[level.bytes] {
                    node = child
                } else {
                    let child = Node()
                    node.children[LevelName(buffer: level.bytes.buffer.compacted())] = child
                    node = child
                }
            }
        }
        let isNew =
            isMultiLevel
            ? node.multiLevel.set(subscriber, options, group: group) : node.own.set(subscriber, options, group: group)
        self.count += isNew ? 1 : 0
        return isNew
    }

    /// Takes the subscription away and with it the nodes that nothing else needs.
    ///
    /// - Returns: Whether there was one.
    @discardableResult
    package mutating func remove(_ filter: TopicFilter, for subscriber: Subscriber, group: MQTTString? = nil) -> Bool {
        var path: [(parent: Node, level: TopicLevels.Level)] = []
        var node = self.root
        var isMultiLevel = false
        var levels = TopicLevels(filter.buffer)
        while let level = levels.next() {
            if level.wildcard == .multiLevel {
                isMultiLevel = true
                break
            }
            let child = level.wildcard == .singleLevel ? node.anyLevel : node.children[level.bytes]
            guard let child else { return false }
            path.append((node, level))
            node = child
        }
        let wasThere =
            isMultiLevel
            ? node.multiLevel.remove(subscriber, group: group) : node.own.remove(subscriber, group: group)
        guard wasThere else { return false }
        self.count -= 1
        for (parent, level) in path.reversed() {
            guard node.isEmpty else { break }
            if level.wildcard == .singleLevel {
                parent.anyLevel = nil
            } else {
                parent.children[level.bytes] = nil
            }
            node = parent
        }
        return true
    }

    /// Whether some filter has this first level, in those words.
    package func hasSubscriptions(below firstLevel: String) -> Bool {
        self.root.children[LevelName(buffer: ByteBuffer(string: firstLevel))] != nil
    }

    /// Calls `plain` for every subscription that matches `[MQTT-3.3.2-3]`, where a subscriber with overlapping ones comes once for each, and
    /// `shared` for every shared subscription that does.
    package func forEachMatch(
        of topic: TopicName,
        plain: (Subscriber, SubscriptionOptions) -> Void,
        shared: (SharedGroup<Subscriber>) -> Void
    ) {
        guard self.count > 0 else { return }
        func report(_ place: Place) {
            for match in place.plain.matches { plain(match.subscriber, match.options) }
            if let groups = place.shared {
                for group in groups.values { shared(group) }
            }
        }
        func visit(_ node: Node, _ remaining: TopicLevels, wildcardsApply: Bool) {
            if wildcardsApply { report(node.multiLevel) }
            var rest = remaining
            guard let level = rest.next() else { return report(node.own) }
            if let child = node.children[level.bytes] { visit(child, rest, wildcardsApply: true) }
            if wildcardsApply, let child = node.anyLevel { visit(child, rest, wildcardsApply: true) }
        }
        // A wildcard at the first level never matches a topic that starts with $ [MQTT-4.7.2-1].
        visit(self.root, TopicLevels(topic.buffer), wildcardsApply: !topic.startsWithDollar)
    }
}
