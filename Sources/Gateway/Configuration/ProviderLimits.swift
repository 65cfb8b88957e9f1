package import Devices
package import MQTTCodec
package import NIOCore
package import Store

/// Whose broker an uplink leads to, for what it takes.
package enum Provider: String, Sendable, Hashable, CaseIterable {
    /// Takes what MQTT allows.
    case generic
    /// AWS IoT Core.
    case aws
    /// Azure Event Grid's MQTT broker, and IoT Hub where it is narrower.
    case azure
    /// RabbitMQ with its MQTT plugin.
    case rabbitmq
}

/// What an outside broker takes. A message over it would be refused, or the link closed on it, so it is not sent.
package struct ProviderLimits: Sendable, Equatable {
    /// Bytes of a payload.
    package var maxPayload: Int?
    /// Bytes of a topic.
    package var maxTopicLength: Int?
    /// Levels of a topic.
    package var maxTopicLevels: Int?
    /// Messages of routes with a higher quality of service are sent with this.
    package var maxQoS = QoS.exactlyOnce
    /// Whether RETAIN is sent at all.
    package var retain = true
    /// Messages in a time, in the gateway's own measure.
    package var rate: Rate?
    /// Most messages sent and not yet acknowledged; nil: the gateway's own default.
    package var inFlight: Int?

    /// The figures that the provider publishes (2025).
    package init(_ provider: Provider = .generic) {
        switch provider {
        case .generic: break
        case .aws:
            // "AWS IoT Core endpoints and quotas", Message broker; topics may have seven slashes.
            self.maxPayload = 128 << 10
            self.maxTopicLength = 256
            self.maxTopicLevels = 8
            self.maxQoS = .atLeastOnce
            self.rate = Rate(count: 100, interval: .seconds(1))
            self.inFlight = 100
        case .azure:
            // IoT Hub: 256 KiB a message, no QoS 2, RETAIN not kept. Event Grid: topics of 256 bytes and 8 segments.
            self.maxPayload = 256 << 10
            self.maxTopicLength = 256
            self.maxTopicLevels = 8
            self.maxQoS = .atLeastOnce
            self.retain = false
            self.rate = Rate(count: 100, interval: .seconds(1))
        case .rabbitmq:
            // Its plugin answers QoS 2 with QoS 1, and maps levels to AMQP routing keys of at most 255 bytes.
            self.maxTopicLength = 255
            self.maxQoS = .atLeastOnce
        }
    }

    /// Why the broker would not take this message, with the figures; nil if it would.
    package func objection(topic: ByteBuffer, payloadBytes: Int) -> (reason: DeadReason, detail: String)? {
        if let limit = self.maxPayload, payloadBytes > limit {
            return (.payloadTooLarge, "payload of \(payloadBytes) bytes, over \(limit)")
        }
        if let limit = self.maxTopicLength, topic.readableBytes > limit {
            return (.topicTooLong, "topic of \(topic.readableBytes) bytes, over \(limit)")
        }
        if let limit = self.maxTopicLevels {
            let levels = topic.readableBytesView.reduce(1) { $1 == UInt8(ascii: "/") ? $0 + 1 : $0 }
            if levels > limit { return (.topicTooDeep, "topic of \(levels) levels, over \(limit)") }
        }
        return nil
    }
}
