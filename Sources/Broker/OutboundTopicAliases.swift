package import MQTTCodec
import NIOCore

/// The numbers that a client gets instead of topics it has seen before (MQTT 5.0 §3.3.2.3.4), for the time of one
/// connection.
///
/// The first topics get them and keep them: a connection with few topics saves the most, and nothing is ever looked for.
package struct OutboundTopicAliases {
    /// An alias takes three bytes, so that a shorter topic is sent as it is.
    package static let minTopicBytes = 4

    /// Highest alias that is used `[MQTT-3.1.2-26]`; 0: none `[MQTT-3.1.2-27]`.
    private let maximum: UInt16
    /// Each with the properties of a message that has no others, so that most are sent without an allocation.
    private var aliases: [TopicName: MQTTProperties] = [:]

    package init(maximum: UInt16) {
        self.maximum = maximum
    }

    /// How a message of this topic may name it.
    package enum Use {
        case topicOnly
        /// The client knows the alias: the topic is left out. `only`: properties with nothing but the alias.
        case known(only: MQTTProperties)
        /// The alias would be free: send it with the topic, and call ``learn(_:)``.
        case new(only: MQTTProperties)
    }

    package func use(for topic: TopicName) -> Use {
        guard self.maximum > 0, topic.buffer.readableBytes >= Self.minTopicBytes else { return .topicOnly }
        if let known = self.aliases[topic] { return .known(only: known) }
        guard self.aliases.count < Int(self.maximum) else { return .topicOnly }
        return .new(only: self.nextFree)
    }

    /// The client was sent the topic with the alias that ``use(for:)`` named.
    package mutating func learn(_ topic: TopicName) {
        self.aliases[topic.compacted()] = self.nextFree
    }

    private var nextFree: MQTTProperties {
        var properties = MQTTProperties()
        properties.topicAlias = UInt16(truncatingIfNeeded: self.aliases.count + 1)
        return properties
    }
}
