/// Which end of a connection sent a packet.
public enum MQTTPeer: Sendable, Hashable {
    case client
    case server
}

/// Control packet types, bits 7 to 4 of the first byte (MQTT 5.0 §2.1.2).
public enum MQTTPacketType: UInt8, Sendable, Hashable, CaseIterable {
    case connect = 1
    case connack = 2
    case publish = 3
    case puback = 4
    case pubrec = 5
    case pubrel = 6
    case pubcomp = 7
    case subscribe = 8
    case suback = 9
    case unsubscribe = 10
    case unsuback = 11
    case pingreq = 12
    case pingresp = 13
    case disconnect = 14
    /// MQTT 5.0 only; 15 is reserved before.
    case auth = 15

    /// Whether `peer` may send packets of this type at all (the "direction of flow" of MQTT 5.0 §2.1.2). A packet against
    /// the direction ends the connection. DISCONNECT goes both ways since 5.0 only: pass the version of the connection.
    public func mayCome(from peer: MQTTPeer, version: MQTTVersion) -> Bool {
        switch self {
        case .connect, .subscribe, .unsubscribe, .pingreq: peer == .client
        case .connack, .suback, .unsuback, .pingresp: peer == .server
        case .publish, .puback, .pubrec, .pubrel, .pubcomp: true
        case .disconnect: peer == .client || version == .v5
        case .auth: version == .v5
        }
    }

    /// The only value that bits 3 to 0 may have, nil for PUBLISH, whose bits mean something `[MQTT-2.1.3-1]`.
    var requiredFlags: UInt8? {
        switch self {
        case .publish: nil
        // [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1]
        case .pubrel, .subscribe, .unsubscribe: 0b0010
        // [MQTT-3.14.1-1], [MQTT-3.15.1-1]
        case .connect, .connack, .puback, .pubrec, .pubcomp, .suback, .unsuback, .pingreq, .pingresp, .disconnect,
            .auth:
            0
        }
    }

    /// The first byte of a packet of this type. For PUBLISH: QoS 0, neither DUP nor RETAIN.
    var firstByte: UInt8 { self.rawValue << 4 | (self.requiredFlags ?? 0) }
}
