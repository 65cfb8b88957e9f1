package import MQTTCodec

/// What the owner decided when it let a client in: what CONNACK says beside the limits of the connection (MQTT 5.0 §3.2).
package struct Acceptance: Sendable, Equatable {
    /// Whether there was a session of this client `[MQTT-3.2.2-2]`, `[MQTT-3.2.2-3]`.
    package var sessionPresent: Bool
    /// For a client without an identifier of its own `[MQTT-3.2.2-16]`.
    package var assignedClientID: MQTTString?
    /// Seconds, when it is other than what the client asked for; nil: as asked.
    package var sessionExpiryInterval: UInt32?
    /// Sent only to a client that asked for it `[MQTT-3.1.2-28]`.
    package var responseInformation: MQTTString?
    /// False: a PUBLISH of MQTT 5.0 with RETAIN ends the connection `[MQTT-3.2.2-14]`. A will is the owner's to refuse
    /// `[MQTT-3.2.2-13]`.
    package var retainAvailable: Bool
    /// A PUBLISH of MQTT 5.0 above it ends the connection. A will is the owner's to refuse (§3.2.2.3.4).
    package var maximumQoS: QoS

    package init(
        sessionPresent: Bool = false,
        assignedClientID: MQTTString? = nil,
        sessionExpiryInterval: UInt32? = nil,
        responseInformation: MQTTString? = nil,
        retainAvailable: Bool = true,
        maximumQoS: QoS = .exactlyOnce
    ) {
        self.sessionPresent = sessionPresent
        self.assignedClientID = assignedClientID
        self.sessionExpiryInterval = sessionExpiryInterval
        self.responseInformation = responseInformation
        self.retainAvailable = retainAvailable
        self.maximumQoS = maximumQoS
    }
}
