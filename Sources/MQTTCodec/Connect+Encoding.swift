package import NIOCore

extension Connect: PacketBody {
    package var firstByte: UInt8 { MQTTPacketType.connect.firstByte }

    private var protocolName: StaticString { self.version == .v31 ? "MQIsdp" : "MQTT" }

    private var flags: UInt8 {
        var flags: UInt8 = self.cleanStart ? Flags.cleanStart : 0
        if let will = self.will {
            flags |= Flags.will | will.qos.rawValue << Flags.willQoSShift
            if will.retain { flags |= Flags.willRetain }
        }
        if self.userName != nil { flags |= Flags.userName }
        if self.password != nil { flags |= Flags.password }
        return flags
    }

    /// The packet's own version counts, not the argument.
    package func bodySize(_: MQTTVersion) -> Int {
        let isV5 = self.version == .v5
        var size = 2 + self.protocolName.utf8CodeUnitCount + 1 + 1 + 2
        if isV5 { size += self.properties.encodedSize }
        size += 2 + self.clientID.utf8Count
        if let will = self.will {
            if isV5 { size += will.properties.encodedSize }
            size += 2 + will.topic.buffer.readableBytes + 2 + will.payload.readableBytes
        }
        if let userName = self.userName { size += 2 + userName.utf8Count }
        if let password = self.password { size += 2 + password.buffer.readableBytes }
        return size
    }

    package func writeBody(into buffer: inout ByteBuffer, _: MQTTVersion) {
        let isV5 = self.version == .v5
        assert(isV5 || self.password == nil || self.userName != nil, "password without user name")
        buffer.writeInteger(UInt16(self.protocolName.utf8CodeUnitCount))
        buffer.writeStaticString(self.protocolName)
        buffer.writeInteger(self.version.rawValue | (self.isBridge && !isV5 ? 0x80 : 0))
        buffer.writeInteger(self.flags)
        buffer.writeInteger(self.keepAlive)
        if isV5 { self.properties.write(into: &buffer) }
        buffer.writeBinary(self.clientID.buffer)
        if let will = self.will {
            if isV5 { will.properties.write(into: &buffer) }
            buffer.writeBinary(will.topic.buffer)
            buffer.writeBinary(will.payload)
        }
        if let userName = self.userName { buffer.writeBinary(userName.buffer) }
        if let password = self.password { buffer.writeBinary(password.buffer) }
    }
}
