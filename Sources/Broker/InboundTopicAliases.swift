import MQTTCodec
internal import NIOCore

/// The topics for which a client sends numbers (MQTT 5.0 §3.3.2.3.4), for the time of one connection `[MQTT-3.3.2-7]`.
struct InboundTopicAliases {
    /// Highest alias that is taken; 0: none.
    private let maximum: UInt16
    /// Bytes of a topic that gets an alias: it is kept.
    private let maxTopicBytes: Int
    private var topics: [UInt16: TopicName] = [:]

    init(maximum: UInt16, maxTopicBytes: Int) {
        self.maximum = maximum
        self.maxTopicBytes = maxTopicBytes
    }

    /// Gives the message the topic that its alias stands for, or the alias a (new) topic; the alias is gone then. What may
    /// be published is asked of this topic, so that an alias leads nowhere else.
    ///
    /// - Returns: Why the connection ends: the alias is above the maximum or stands for nothing `[MQTT-3.3.2-9]`, or its topic
    ///   is longer than what is kept. Nil if it goes on.
    mutating func resolve(_ publish: inout Publish) -> ServerConnection.Closure? {
        guard let alias = publish.properties.topicAlias else { return nil }
        guard alias > 0, alias <= self.maximum else { return .topicAliasInvalid }  // [MQTT-3.2.2-17], [MQTT-3.3.2-12]
        if publish.namesTopicByAliasOnly {
            guard let topic = self.topics[alias] else { return .topicAliasInvalid }
            publish.topic = topic
        } else if self.topics[alias] != publish.topic {
            guard publish.topic.buffer.readableBytes <= self.maxTopicBytes else {
                return .topicTooLong(limit: self.maxTopicBytes)
            }
            self.topics[alias] = publish.topic.compacted()
        }
        publish.properties.topicAlias = nil
        if publish.properties.isEmpty { publish.properties = MQTTProperties() }
        return nil
    }
}
