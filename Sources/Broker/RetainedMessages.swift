package import MQTTCodec
package import NIOCore

/// The last retained message of each topic (MQTT 5.0 §3.3.1.3), as a tree over topic levels, bounded by number and bytes.
/// Bound to the gateway's loop.
package struct RetainedMessages {
    package struct Limits: Sendable, Equatable {
        package var messages: Int
        package var bytes: Int
        /// Of one publisher: one device must not fill the table for all.
        package var messagesPerPublisher: Int

        package init(messages: Int = 10_000, bytes: Int = 16 << 20, messagesPerPublisher: Int = 5_000) {
            self.messages = messages
            self.bytes = bytes
            self.messagesPerPublisher = messagesPerPublisher
        }
    }

    /// What became of a message that was to be retained.
    package enum Outcome: Equatable, Sendable {
        case stored
        case cleared
        /// Nothing was there to clear.
        case unchanged
        /// A limit is reached; the message is delivered, but not kept.
        case full
    }

    private final class Node {
        var children: [LevelName: Node] = [:]
        var message: KeptMessage?
    }

    /// What each level of a topic costs beside its bytes.
    static let bytesPerLevel = 100

    private let limits: Limits
    private let root = Node()
    /// Number of messages held.
    package private(set) var count = 0
    /// Bytes of topics and payloads held, with ``bytesPerLevel`` for each level of the topics.
    package private(set) var bytes = 0
    private var byPublisher: [String: Int] = [:]
    /// None expires before it.
    private var nextExpiry = NIODeadline.distantFuture

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// The retained message of exactly this topic, if it has not expired.
    package subscript(topic: TopicName) -> Message? {
        guard self.count > 0, let kept = self.find(topic)?.message, !kept.message.hasExpired(now: .now()) else {
            return nil
        }
        return kept.message
    }

    /// Keeps the message, or clears its topic if the payload is empty `[MQTT-3.3.1-6]`, `[MQTT-3.3.1-7]`.
    package mutating func retain(_ message: Message) -> Outcome {
        guard message.payload.readableBytes > 0 else { return self.clear(message.topic) ? .cleared : .unchanged }
        guard self.hasRoom(for: message) else { return .full }
        self.count(self.find(message.topic)?.message?.message, -1)
        var kept = message.compacted()
        kept.retain = true
        self.insert(KeptMessage(kept))  // [MQTT-3.3.1-5]
        self.count(kept, 1)
        return .stored
    }

    /// Whether the limits allow to keep the message in place of its topic's present one.
    package func hasRoom(for message: Message) -> Bool {
        let previous = self.find(message.topic)?.message?.message
        let bytes = self.bytes - (previous.map(Self.cost) ?? 0) + Self.cost(of: message)
        return bytes <= self.limits.bytes && (previous != nil || self.count < self.limits.messages)
            && self.hasRoom(for: message.publisher, insteadOf: previous)
    }

    /// Whether the limits allow to keep all of these, of one publisher, together.
    package func hasRoom(forAll messages: [Message]) -> Bool {
        var added = (messages: 0, bytes: 0)
        var last: [TopicName: Message] = [:]
        for message in messages { last[message.topic] = message }
        for (topic, message) in last {
            guard self.hasRoom(for: message) else { return false }
            let previous = self.find(topic)?.message?.message
            if previous == nil { added.messages += 1 }
            added.bytes += Self.cost(of: message) - (previous.map(Self.cost) ?? 0)
        }
        let own = messages.first?.publisher.flatMap { self.byPublisher[$0] } ?? 0
        return self.count + added.messages <= self.limits.messages && self.bytes + added.bytes <= self.limits.bytes
            && (messages.first?.publisher == nil || own + added.messages <= self.limits.messagesPerPublisher)
    }

    /// Forgets the topic's message; whether there was one.
    package mutating func clear(_ topic: TopicName) -> Bool {
        var path: [(parent: Node, level: LevelName)] = []
        var node = self.root
        var levels = TopicLevels(topic.buffer)
        while let level = levels.next() {
            guard let child = node.children[level.bytes] else { return false }
            path.append((node, level.bytes))
            node = child
        }
        guard let kept = node.message else { return false }
        node.message = nil
        self.count(kept.message, -1)
        for (parent, level) in path.reversed() {
            guard node.children.isEmpty, node.message == nil else { break }
            parent.children[level] = nil
            node = parent
        }
        return true
    }

    /// Forgets what has expired; to be called every few seconds.
    ///
    /// - Returns: The topics that had it.
    package mutating func expire(now: NIODeadline) -> [TopicName] {
        guard now >= self.nextExpiry else { return [] }
        var expired: [TopicName] = []
        var next = NIODeadline.distantFuture
        Self.forEach(below: self.root) { kept in
            guard let expiry = kept.message.expiry else { return }
            if expiry <= now { expired.append(kept.message.topic) } else { next = min(next, expiry) }
        }
        for topic in expired { _ = self.clear(topic) }
        self.nextExpiry = next
        return expired
    }

    /// Calls `body` for every retained message that a new subscription to `filter` gets `[MQTT-3.3.1-9]`.
    ///
    /// - Parameter filter: That behind the ShareName of a shared subscription is never asked for.
    package func forEachMatch(of filter: TopicFilter, _ body: (KeptMessage) -> Void) {
        guard self.count > 0 else { return }
        let now = NIODeadline.now()
        func report(_ node: Node) {
            if let kept = node.message, !kept.message.hasExpired(now: now) { body(kept) }
        }
        func visit(_ node: Node, _ remaining: TopicLevels, isFirst: Bool) {
            var rest = remaining
            guard let level = rest.next() else { return report(node) }
            switch level.wildcard {
            case nil:
                if let child = node.children[level.bytes] { visit(child, rest, isFirst: false) }
            case .singleLevel:
                for (name, child) in node.children where !(isFirst && name.startsWithDollar) {
                    visit(child, rest, isFirst: false)
                }
            case .multiLevel:
                report(node)
                for (name, child) in node.children where !(isFirst && name.startsWithDollar) {  // [MQTT-4.7.2-1]
                    Self.forEach(below: child) { kept in if !kept.message.hasExpired(now: now) { body(kept) } }
                }
            }
        }
        visit(self.root, TopicLevels(filter.buffer), isFirst: true)
    }

    // MARK: Inside

    private static func cost(of message: Message) -> Int {
        let topic = message.topic.buffer.readableBytesView
        return message.size + topic.reduce(1) { $1 == UInt8(ascii: "/") ? $0 + 1 : $0 } * Self.bytesPerLevel
    }

    /// Topics are at most ``TopicName/maxLevels`` deep, and so is the recursion.
    private static func forEach(below node: Node, _ body: (KeptMessage) -> Void) {
        if let kept = node.message { body(kept) }
        for child in node.children.values { Self.forEach(below: child, body) }
    }

    private func find(_ topic: TopicName) -> Node? {
        var node = self.root
        var levels = TopicLevels(topic.buffer)
        while let level = levels.next() {
            guard let child = node.children[level.bytes] else { return nil }
            node = child
        }
        return node
    }

    private func insert(_ kept: KeptMessage) {
        var node = self.root
        var levels = TopicLevels(kept.message.topic.buffer)
        while let level = levels.next() {
            if let child = node.children[level.bytes] {
                node = child
            } else {
                let child = Node()
                node.children[LevelName(buffer: level.bytes.buffer.compacted())] = child
                node = child
            }
        }
        node.message = kept
    }

    private func hasRoom(for publisher: String?, insteadOf previous: Message?) -> Bool {
        guard let publisher, previous?.publisher != publisher else { return true }
        return self.byPublisher[publisher, default: 0] < self.limits.messagesPerPublisher
    }

    private mutating func count(_ message: Message?, _ step: Int) {
        guard let message else { return }
        self.count += step
        self.bytes += step * Self.cost(of: message)
        if step > 0, let expiry = message.expiry { self.nextExpiry = min(self.nextExpiry, expiry) }
        guard let publisher = message.publisher else { return }
        let held = self.byPublisher[publisher, default: 0] + step
        self.byPublisher[publisher] = held > 0 ? held : nil
    }
}
