package import MQTTCodec
import NIOCore

/// Who subscribed to what, as a tree over topic levels.
///
/// A lookup visits each node of the tree at most once and at most ``TopicName/maxLevels`` deep, whatever a client put
/// into its filters. Bound to the gateway's loop.
package struct SubscriptionTree<Subscriber: AnyObject> {
    /// One subscription that matched.
    package struct Match {
        package let subscriber: Subscriber
        package let qos: QoS
    }

    private final class Node {
        var children: [LevelName: Node] = [:]
        var anyLevel: Node?
        /// Subscriptions whose filter ends at this node.
        var subscriptions: [ObjectIdentifier: Match] = [:]
        /// Subscriptions whose filter ends here with `#`.
        var multiLevel: [ObjectIdentifier: Match] = [:]

        var isEmpty: Bool {
            self.children.isEmpty && self.anyLevel == nil && self.subscriptions.isEmpty && self.multiLevel.isEmpty
        }
    }

    private let root = Node()
    /// Number of subscriptions held.
    package private(set) var count = 0

    package init() {}

    /// Adds or replaces `[MQTT-3.8.4-3]` the subscription of one subscriber to one filter.
    ///
    /// - Returns: Whether it is new.
    @discardableResult
    package mutating func insert(_ filter: TopicFilter, qos: QoS, for subscriber: Subscriber) -> Bool {
        let match = Match(subscriber: subscriber, qos: qos)
        let key = ObjectIdentifier(subscriber)
        var node = self.root
        var levels = TopicLevels(filter.buffer)
        while let level = levels.next() {
            switch level.wildcard {
            case .multiLevel:
                let isNew = node.multiLevel.updateValue(match, forKey: key) == nil
                self.count += isNew ? 1 : 0
                return isNew
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
        let isNew = node.subscriptions.updateValue(match, forKey: key) == nil
        self.count += isNew ? 1 : 0
        return isNew
    }

    /// Takes the subscription away and with it the nodes that nothing else needs.
    ///
    /// - Returns: Whether there was one.
    @discardableResult
    package mutating func remove(_ filter: TopicFilter, for subscriber: Subscriber) -> Bool {
        let key = ObjectIdentifier(subscriber)
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
        let removed =
            isMultiLevel ? node.multiLevel.removeValue(forKey: key) : node.subscriptions.removeValue(forKey: key)
        guard removed != nil else { return false }
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

    /// Calls `body` for every subscription that matches; a subscriber with overlapping ones comes once for each.
    package func forEachMatch(of topic: TopicName, _ body: (Match) -> Void) {
        guard self.count > 0 else { return }
        Self.visit(self.root, TopicLevels(topic.buffer), isFirst: true, startsWithDollar: topic.startsWithDollar, body)
    }

    private static func visit(
        _ node: Node,
        _ remaining: TopicLevels,
        isFirst: Bool,
        startsWithDollar: Bool,
        _ body: (Match) -> Void
    ) {
        let wildcardsApply = !(isFirst && startsWithDollar)  // [MQTT-4.7.2-1]
        if wildcardsApply {
            for match in node.multiLevel.values { body(match) }
        }
        var rest = remaining
        guard let level = rest.next() else {
            for match in node.subscriptions.values { body(match) }
            return
        }
        if let child = node.children[level.bytes] {
            self.visit(child, rest, isFirst: false, startsWithDollar: startsWithDollar, body)
        }
        if wildcardsApply, let child = node.anyLevel {
            self.visit(child, rest, isFirst: false, startsWithDollar: startsWithDollar, body)
        }
    }
}

/// Cuts a topic or a filter into its levels without copying.
struct TopicLevels {
    enum Wildcard { case singleLevel, multiLevel }

    struct Level {
        let bytes: LevelName
        var wildcard: Wildcard? {
            let buffer = self.bytes.buffer
            guard buffer.readableBytes == 1 else { return nil }
            switch buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) {
            case UInt8(ascii: "+"): return .singleLevel
            case UInt8(ascii: "#"): return .multiLevel
            default: return nil
            }
        }
    }

    private var rest: ByteBuffer
    private var isFinished = false

    init(_ buffer: ByteBuffer) {
        self.rest = buffer
    }

    mutating func next() -> Level? {
        guard !self.isFinished else { return nil }
        let length = self.rest.withUnsafeReadableBytes { bytes in
            bytes.firstIndex(of: UInt8(ascii: "/")) ?? bytes.count
        }
        self.isFinished = length == self.rest.readableBytes
        guard let bytes = self.rest.readSlice(length: length) else { return nil }
        if !self.isFinished { self.rest.moveReaderIndex(forwardBy: 1) }
        return Level(bytes: LevelName(buffer: bytes))
    }
}

/// One level of a topic, compared by its bytes: `ByteBuffer`'s own `==` takes two windows of one storage for equal when
/// only their lengths are.
struct LevelName: Hashable {
    let buffer: ByteBuffer

    static func == (left: LevelName, right: LevelName) -> Bool { left.buffer.hasSameBytes(as: right.buffer) }

    func hash(into hasher: inout Hasher) {
        self.buffer.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
    }
}
