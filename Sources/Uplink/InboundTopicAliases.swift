internal import MQTTCodec
internal import NIOCore

/// The topics for which a broker sends numbers (MQTT 5.0 §3.3.2.3.4), for the time of one connection.
struct InboundTopicAliases {
    private enum Meaning {
        case topic(TopicName)
        /// One with more levels than the gateway takes.
        case tooDeep(MQTTDecodeError)
    }

    /// What a message is about.
    enum Outcome {
        case topic
        /// A topic that is not taken.
        case tooDeep(MQTTDecodeError)
        /// An alias above the maximum, or one that stands for nothing.
        case invalid
    }

    /// Highest alias that is taken; 0: none `[MQTT-3.1.2-27]`.
    let maximum: UInt16
    private var meanings: [UInt16: Meaning] = [:]

    init(maximum: UInt16) {
        self.maximum = maximum
    }

    /// Gives the message the topic that its alias stands for, or the alias a (new) topic; the alias is gone then.
    ///
    /// - Parameter tooDeep: Why the topic that the alias is to stand for is not taken.
    mutating func resolve(_ publish: inout Publish, tooDeep: MQTTDecodeError? = nil) -> Outcome {
        guard !publish.properties.isAbsent, let alias = publish.properties.topicAlias else {
            return tooDeep.map { .tooDeep($0) } ?? .topic
        }
        guard alias > 0, alias <= self.maximum else { return .invalid }  // [MQTT-3.1.2-26]
        publish.properties.topicAlias = nil
        if publish.properties.isEmpty { publish.properties = MQTTProperties() }
        if let tooDeep {
            self.meanings[alias] = .tooDeep(tooDeep)
            return .tooDeep(tooDeep)
        }
        guard publish.namesTopicByAliasOnly else {
            if case .topic(publish.topic)? = self.meanings[alias] { return .topic }
            self.meanings[alias] = .topic(publish.topic.compacted())
            return .topic
        }
        switch self.meanings[alias] {
        case .topic(let topic)?:
            publish.topic = topic
            return .topic
        case .tooDeep(let error)?: return .tooDeep(error)
        case nil: return .invalid
        }
    }

    /// The connection is gone `[MQTT-3.3.2-7]`, or a message was not seen that may have changed what they stand for.
    mutating func removeAll() {
        self.meanings.removeAll()
    }
}
