package import NIOCore

/// SUBACK (MQTT 5.0 §3.9).
public struct SubAck: Equatable, Sendable {
    /// Of the SUBSCRIBE.
    public var packetID: UInt16
    /// One for each filter, in its order. In MQTT 3.x every failure is written as 0x80.
    public var reasonCodes: [ReasonCode]
    /// MQTT 5.0 only.
    public var properties: MQTTProperties

    /// An answer to the SUBSCRIBE of `packetID`.
    public init(packetID: UInt16, reasonCodes: [ReasonCode], properties: MQTTProperties = MQTTProperties()) {
        self.packetID = packetID
        self.reasonCodes = reasonCodes
        self.properties = properties
    }

    init(reading reader: inout PacketReader) throws(MQTTDecodeError) {
        let packetID = try reader.readPacketIdentifier()
        var properties = MQTTProperties()
        if reader.version == .v5 { properties = try MQTTProperties(reading: &reader, in: .suback) }
        guard reader.remaining > 0 else { throw reader.error(.emptyList, "Reason Code") }
        var codes: [ReasonCode] = []
        codes.reserveCapacity(reader.remaining)
        while reader.remaining > 0 {
            let offset = reader.offset
            let code = try reader.readReasonCode(of: .suback)
            // MQTT 3.x knows 0, 1, 2 and 0x80 `[MQTT-3.9.3-2 of 3.1.1]`.
            guard reader.version == .v5 || code.rawValue <= 2 || code == .unspecifiedError else {
                throw reader.error(.invalidReasonCode(code.rawValue), "Return Code", at: offset)
            }
            codes.append(code)
        }
        self.init(packetID: packetID, reasonCodes: codes, properties: properties)
    }
}

extension SubAck: PacketBody {
    package var firstByte: UInt8 { MQTTPacketType.suback.firstByte }

    package func bodySize(_ version: MQTTVersion) -> Int {
        2 + (version == .v5 ? self.properties.encodedSize : 0) + self.reasonCodes.count
    }

    package func writeBody(into buffer: inout ByteBuffer, _ version: MQTTVersion) {
        buffer.writeInteger(self.packetID)
        if version == .v5 { self.properties.write(into: &buffer) }
        for code in self.reasonCodes {
            let told = version != .v5 && code.isFailure ? .unspecifiedError : code
            buffer.writeInteger(told.rawValue)  // [MQTT-3.9.3-2], [MQTT-3.9.3-2 of 3.1.1]
        }
    }
}
