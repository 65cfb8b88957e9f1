package import MQTTCodec

/// How one message is sent to one client: what the PUBLISH says beside the message (MQTT 5.0 §3.3).
package struct Delivery: Sendable, Equatable {
    package var qos: QoS
    /// The RETAIN flag.
    package var retain: Bool
    /// 0 at QoS 0.
    package var packetID: UInt16
    /// The DUP flag.
    package var isDuplicate: Bool
    /// Of the subscriptions that it is sent for `[MQTT-3.3.4-3]`; left out for clients of MQTT 3.x.
    package var subscriptionIdentifiers: [UInt32]

    package init(
        qos: QoS,
        retain: Bool,
        packetID: UInt16 = 0,
        isDuplicate: Bool = false,
        subscriptionIdentifiers: [UInt32] = []
    ) {
        self.qos = qos
        self.retain = retain
        self.packetID = packetID
        self.isDuplicate = isDuplicate
        self.subscriptionIdentifiers = subscriptionIdentifiers
    }
}
