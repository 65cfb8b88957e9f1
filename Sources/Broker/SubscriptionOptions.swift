package import MQTTCodec

/// What a client said of one subscription beside its filter (MQTT 5.0 §3.8.3.1, §3.8.2.1.2).
package struct SubscriptionOptions: Sendable, Equatable {
    /// Most that messages are sent with.
    package var qos: QoS
    /// Nothing that the same client published `[MQTT-3.8.3-3]`.
    package var noLocal: Bool
    /// RETAIN stays as it was published.
    package var retainAsPublished: Bool
    /// Subscription Identifier; 0: none.
    package var identifier: UInt32

    package init(qos: QoS, noLocal: Bool = false, retainAsPublished: Bool = false, identifier: UInt32 = 0) {
        self.qos = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.identifier = identifier
    }
}

/// How one message is to be delivered to one session: what its matching subscriptions say together.
package struct Grant: Sendable, Equatable {
    /// The highest of theirs `[MQTT-3.3.4-2]`.
    package var qos: QoS
    /// Whether one of them wants RETAIN as it was published.
    package var retainAsPublished: Bool
    /// All of theirs `[MQTT-3.3.4-3]`, `[MQTT-3.3.4-4]`.
    package var identifiers: [UInt32]

    package init(qos: QoS, retainAsPublished: Bool = false, identifiers: [UInt32] = []) {
        self.qos = qos
        self.retainAsPublished = retainAsPublished
        self.identifiers = identifiers
    }

    init(_ options: SubscriptionOptions) {
        self.qos = options.qos
        self.retainAsPublished = options.retainAsPublished
        self.identifiers = options.identifier == 0 ? [] : [options.identifier]
    }

    /// One more subscription of the same session matches.
    mutating func add(_ options: SubscriptionOptions) {
        self.qos = max(self.qos, options.qos)
        self.retainAsPublished = self.retainAsPublished || options.retainAsPublished
        if options.identifier != 0 { self.identifiers.append(options.identifier) }
    }
}
