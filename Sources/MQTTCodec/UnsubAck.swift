package import NIOCore

/// UNSUBACK (MQTT 5.0 §3.11).
public struct UnsubAck: Equatable, Sendable {
    /// Of the UNSUBSCRIBE.
    public var packetID: UInt16
    /// One for each filter, in its order; not sent in MQTT 3.x, and empty when received from there.
    public var reasonCodes: [ReasonCode]
    /// MQTT 5.0 only.
    public var properties: MQTTProperties

    /// An answer to the UNSUBSCRIBE of `packetID`.
    public init(packetID: UInt16, reasonCodes: [ReasonCode] = [], properties: MQTTProperties = MQTTProperties()) {
        self.packetID = packetID
        self.reasonCodes = reasonCodes
        self.properties = properties
    }

    init(reading reader: inout PacketReader) throws(MQTTDecodeError) {
        self.init(packetID: try reader.readPacketIdentifier())
        guard reader.version == .v5 else { return }
        self.properties = try MQTTProperties(reading: &reader, in: .unsuback)
        guard reader.remaining > 0 else { throw reader.error(.emptyList, "Reason Code") }
        self.reasonCodes.reserveCapacity(reader.remaining)
        while reader.remaining > 0 { self.reasonCodes.append(try reader.readReasonCode(of: .unsuback)) }
    }
}

extension UnsubAck: PacketBody {
    package var firstByte: UInt8 { MQTTPacketType.unsuback.firstByte }

    package func bodySize(_ version: MQTTVersion) -> Int {
        version == .v5 ? 2 + self.properties.encodedSize + self.reasonCodes.count : 2
    }

    package func writeBody(into buffer: inout ByteBuffer, _ version: MQTTVersion) {
        buffer.writeInteger(self.packetID)
        guard version == .v5 else { return }
        self.properties.write(into: &buffer)
        for code in self.reasonCodes { buffer.writeInteger(code.rawValue) }  // [MQTT-3.11.3-2]
    }
}
