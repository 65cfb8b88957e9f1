import MQTTCodec

/// The topics for which a client sends numbers (MQTT 5.0 §3.3.2.3.4), for the time of one connection `[MQTT-3.3.2-7]`.
struct InboundTopicAliases {
    /// Highest alias that is taken; 0: none.
    private let maximum: UInt16
    private var topics: [UInt16: TopicName] = [:]

    init(maximum: UInt16) {
        self.maximum = maximum
    }

    /// Gives the message the topic that its alias stands for, or the alias a (new) topic; the alias is gone then. What may
    /// be published is asked of this topic, so that an alias leads nowhere else.
    ///
    /// - Returns: False if the alias is above the maximum or stands for nothing: the connection ends `[MQTT-3.3.2-9]`.
    mutating func resolve(_ publish: inout Publish) -> Bool {
        guard let alias = publish.properties.topicAlias else { return true }
        guard alias > 0, alias <= self.maximum else { return false }  // [MQTT-3.2.2-17], [MQTT-3.3.2-12]
        if publish.namesTopicByAliasOnly {
            guard let topic = self.topics[alias] else { return false }
            publish.topic = topic
        } else if self.topics[alias] != publish.topic {
            self.topics[alias] = publish.topic.compacted()
        }
        publish.properties.topicAlias = nil
        if publish.properties.isEmpty { publish.properties = MQTTProperties() }
        return true
    }
}
