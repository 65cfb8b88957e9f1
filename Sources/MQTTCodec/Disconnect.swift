package import NIOCore

/// DISCONNECT (MQTT 5.0 §3.14). In MQTT 3.x only clients send it, and it says nothing but "normal".
public struct Disconnect: Equatable, Sendable {
    /// 0x00 from a client takes the will back; anything else does not `[MQTT-3.14.4-3]`.
    public var reasonCode: ReasonCode
    /// MQTT 5.0 only.
    public var properties: MQTTProperties

    /// The end of a connection.
    public init(reasonCode: ReasonCode = .normalDisconnection, properties: MQTTProperties = MQTTProperties()) {
        self.reasonCode = reasonCode
        self.properties = properties
    }

    init(reading reader: inout PacketReader) throws(MQTTDecodeError) {
        self.init()
        guard reader.version == .v5, reader.remaining > 0 else { return }
        let offset = reader.offset
        self.reasonCode = try reader.readReasonCode(of: .disconnect)  // [MQTT-3.14.2-1]
        if self.reasonCode == .disconnectWithWill, reader.sender == .server {
            throw reader.error(.notAllowed(from: .server), "Disconnect Reason Code", at: offset)
        }
        // With the reason code as the last byte there are no properties (§3.14.2.2.1).
        if reader.remaining > 0 { self.properties = try MQTTProperties(reading: &reader, in: .disconnect) }
    }
}

extension Disconnect: PacketBody {
    package var firstByte: UInt8 { MQTTPacketType.disconnect.firstByte }

    package func bodySize(_ version: MQTTVersion) -> Int {
        guard version == .v5 else { return 0 }
        if !self.properties.isEmpty { return 1 + self.properties.encodedSize }
        return self.reasonCode == .normalDisconnection ? 0 : 1
    }

    package func writeBody(into buffer: inout ByteBuffer, _ version: MQTTVersion) {
        let size = self.bodySize(version)
        if size > 0 { buffer.writeInteger(self.reasonCode.rawValue) }
        if size > 1 { self.properties.write(into: &buffer) }
    }
}
