package import MQTTCodec
import NIOCore

/// The last retained message of each topic (MQTT 3.1.1 §3.3.1.3), bounded by number and bytes. Bound to the gateway's
/// loop.
package struct RetainedMessages {
    package struct Limits: Sendable, Equatable {
        package var messages: Int
        package var bytes: Int

        package init(messages: Int = 10_000, bytes: Int = 16 << 20) {
            self.messages = messages
            self.bytes = bytes
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

    private let limits: Limits
    private var messages: [TopicName: Message] = [:]
    /// Bytes of topics and payloads held.
    package private(set) var bytes = 0

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Number of messages held.
    package var count: Int { self.messages.count }

    /// The retained message of exactly this topic.
    package subscript(topic: TopicName) -> Message? { self.messages[topic] }

    /// Keeps the message, or clears its topic if the payload is empty `[MQTT-3.3.1-10]`.
    package mutating func retain(_ message: Message) -> Outcome {
        let previous = self.messages[message.topic]
        if message.payload.readableBytes == 0 {
            guard let previous else { return .unchanged }
            self.messages[message.topic] = nil
            self.bytes -= previous.size
            return .cleared
        }
        let bytes = self.bytes - (previous?.size ?? 0) + message.size
        guard bytes <= self.limits.bytes, previous != nil || self.messages.count < self.limits.messages else {
            return .full
        }
        var kept = message.compacted()
        kept.retain = true
        self.messages[kept.topic] = kept
        self.bytes = bytes
        return .stored
    }

    /// Calls `body` for every retained message that a new subscription to `filter` gets `[MQTT-3.3.1-6]`.
    package func forEachMatch(of filter: TopicFilter, _ body: (Message) -> Void) {
        if !filter.hasWildcards {
            if let topic = try? TopicName(validating: filter.buffer), let message = self.messages[topic] {
                body(message)
            }
            return
        }
        for (topic, message) in self.messages where filter.matches(topic) {
            body(message)
        }
    }
}
