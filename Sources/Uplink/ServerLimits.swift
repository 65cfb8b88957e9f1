package import MQTTCodec

/// What a broker said in its CONNACK about what it takes (MQTT 5.0 §3.2.2.3); the standard's defaults where it said nothing, and
/// for 3.1.1, whose brokers can't say it.
package struct ServerLimits: Equatable, Sendable {
    /// The longest packet that can be written down at all: Remaining Length has four bytes of seven bits.
    static let maxPacketBytes = 5 + 268_435_455

    /// The highest QoS of messages `[MQTT-3.2.2-11]`.
    package var maxQoS: QoS = .exactlyOnce
    /// Whether RETAIN may be set `[MQTT-3.2.2-14]`.
    package var retainAvailable = true
    /// The largest packet, fixed header included.
    package var maxPacketBytes = Self.maxPacketBytes
    /// QoS 1 and 2 messages that may be unanswered at a time.
    package var receiveMaximum = 65_535
    /// Highest topic alias; 0: none.
    package var topicAliasMaximum = 0
    /// What the broker calls a client that gave no identifier.
    package var assignedClientID: MQTTString?
    /// Seconds, in place of the gateway's own `[MQTT-3.1.2-21]`; nil: those.
    package var keepAlive: UInt16?
    /// Seconds that the session outlives the connection, in place of those asked for; nil: those.
    package var sessionExpiry: UInt32?
    /// Whether filters may have wildcards.
    package var wildcardSubscriptions = true
    /// Whether subscriptions may be shared.
    package var sharedSubscriptions = true
    /// Whether subscriptions may have identifiers.
    package var subscriptionIdentifiers = true

    /// The standard's defaults.
    package init() {}

    init(_ properties: MQTTProperties) {
        guard !properties.isEmpty else { return }
        self.maxQoS = properties.maximumQoS ?? .exactlyOnce
        self.retainAvailable = properties.retainAvailable ?? true
        self.maxPacketBytes = min(Self.maxPacketBytes, properties.maximumPacketSize.map { Int($0) } ?? .max)
        self.receiveMaximum = Int(properties.receiveMaximum ?? 65_535)
        self.topicAliasMaximum = Int(properties.topicAliasMaximum ?? 0)
        self.assignedClientID = properties.assignedClientIdentifier?.compacted()
        self.keepAlive = properties.serverKeepAlive
        self.sessionExpiry = properties.sessionExpiryInterval
        self.wildcardSubscriptions = properties.wildcardSubscriptionAvailable ?? true
        self.sharedSubscriptions = properties.sharedSubscriptionAvailable ?? true
        self.subscriptionIdentifiers = properties.subscriptionIdentifierAvailable ?? true
    }
}
