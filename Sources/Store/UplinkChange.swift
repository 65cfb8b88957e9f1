/// How far a message of QoS 2 to an outside broker has come (MQTT 5.0 §4.3.3, the sender's side).
package enum ReleaseChange: Sendable, Equatable {
    /// The broker has answered PUBREC: the packet identifier is in use until PUBCOMP, and the spool record goes.
    ///
    /// - Parameters:
    ///   - uplink: The connection's number: of the uplink's normal lane, or of the device's.
    ///   - sequence: Of the record.
    ///   - lane: The spool that has the record, if it is not `uplink`.
    case set(uplink: Int64, packetID: UInt16, sequence: Int64, lane: Int64? = nil)
    /// The broker has answered PUBCOMP, or has forgotten the session.
    case clear(uplink: Int64, packetID: UInt16)
}

/// Which packet identifiers an outside broker has used for QoS 2 (MQTT 5.0 §4.3.3, the receiver's side).
package enum HeldChange: Sendable, Equatable {
    /// A PUBLISH came; a second one of this identifier is the same message.
    case hold(uplink: Int64, packetID: UInt16)
    /// PUBREL came, or the session is another.
    case free(uplink: Int64, packetID: UInt16)
}
