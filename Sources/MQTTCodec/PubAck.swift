public import NIOCore

/// PUBACK, PUBREC, PUBREL and PUBCOMP, which have one form (MQTT 5.0 §3.4 to §3.7). The case of ``MQTTPacket`` tells which.
public struct PubAck: Equatable, Sendable {
    /// Of the message that is answered; never zero.
    public var packetID: UInt16
    /// Always ``ReasonCode/success`` in MQTT 3.x.
    public var reasonCode: ReasonCode
    /// Reason String and user properties; MQTT 5.0 only.
    public var properties: MQTTProperties

    /// An answer to the message of `packetID`.
    public init(
        packetID: UInt16,
        reasonCode: ReasonCode = .success,
        properties: MQTTProperties = MQTTProperties()
    ) {
        self.packetID = packetID
        self.reasonCode = reasonCode
        self.properties = properties
    }

    /// Writes the PUBACK that says success, four bytes, alike in all versions.
    public static func write(packetID: UInt16, into buffer: inout ByteBuffer) {
        Self.write(.puback, packetID: packetID, into: &buffer)
    }

    /// Writes the four bytes of a PUBACK, PUBREC, PUBREL or PUBCOMP that says success, alike in all versions.
    public static func write(_ type: MQTTPacketType, packetID: UInt16, into buffer: inout ByteBuffer) {
        assert(packetID != 0, "\(type) without a packet identifier")
        buffer.writeInteger(UInt32(type.firstByte) << 24 | 0x02_0000 | UInt32(packetID))
    }

    init(reading reader: inout PacketReader, type: MQTTPacketType) throws(MQTTDecodeError) {
        let packetID = try reader.readPacketIdentifier()
        var reasonCode = ReasonCode.success
        var properties = MQTTProperties()
        if reader.version == .v5, reader.remaining > 0 {
            // [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1]
            reasonCode = try reader.readReasonCode(of: type)
            // With the reason code as the last byte there are no properties (§3.4.2.2.1).
            if reader.remaining > 0 {
                properties = try MQTTProperties(reading: &reader, in: PropertyPlaces(type: type))
            }
        }
        self.init(packetID: packetID, reasonCode: reasonCode, properties: properties)
    }

    /// This answer as a packet of `type`.
    func body(of type: MQTTPacketType) -> Body { Body(type: type, ack: self) }

    /// With the type, for encoding.
    struct Body: PacketBody {
        let type: MQTTPacketType
        let ack: PubAck

        var firstByte: UInt8 { self.type.firstByte }

        func bodySize(_ version: MQTTVersion) -> Int {
            guard version == .v5 else { return 2 }
            if !self.ack.properties.isEmpty { return 3 + self.ack.properties.encodedSize }
            return self.ack.reasonCode == .success ? 2 : 3
        }

        func writeBody(into buffer: inout ByteBuffer, _ version: MQTTVersion) {
            assert(self.ack.packetID != 0, "\(self.type) without a packet identifier")
            buffer.writeInteger(self.ack.packetID)
            let size = self.bodySize(version)
            if size > 2 { buffer.writeInteger(self.ack.reasonCode.rawValue) }
            if size > 3 { self.ack.properties.write(into: &buffer) }
        }
    }
}
