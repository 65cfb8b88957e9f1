package import MQTTCodec

extension Session {
    /// Writes down what is to be published if the gateway ends before the client does; nil: nothing any more.
    package func journal(will: Will?) {
        self.journal?.append(.will(session: self.number, will.map(WillRecord.init)))
    }
}

extension WillRecord {
    fileprivate init(_ will: Will) {
        var properties = will.properties
        properties.willDelayInterval = nil
        self.init(
            topic: will.topic.buffer.compacted(),
            payload: will.payload.compacted(),
            qos: will.qos.rawValue,
            retain: will.retain,
            properties: properties.serialized,
            delay: will.properties.willDelayInterval ?? 0
        )
    }
}

extension Will {
    /// A will as the store has it; nil if it is none.
    package init?(_ record: WillRecord) {
        guard let topic = try? TopicName(validating: record.topic),
            var properties = try? MQTTProperties(serialized: record.properties)
        else { return nil }
        properties.willDelayInterval = record.delay == 0 ? nil : record.delay
        self.init(
            topic: topic,
            payload: record.payload,
            qos: QoS(rawValue: record.qos) ?? .atMostOnce,
            retain: record.retain,
            properties: properties
        )
    }
}
