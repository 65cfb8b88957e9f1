public import NIOCore

extension Publish {
    /// Bytes of a PUBLISH without properties, fixed header included.
    public static func encodedSize(topicBytes: Int, payloadBytes: Int, qos: QoS, version: MQTTVersion) -> Int {
        let body = 2 + topicBytes + (qos == .atMostOnce ? 0 : 2) + (version == .v5 ? 1 : 0) + payloadBytes
        return 1 + VariableByteInteger.size(of: body) + body
    }

    /// Bytes of the packet, fixed header included: what a receiver's Maximum Packet Size is about.
    public func encodedSize(version: MQTTVersion) -> Int {
        let body = self.bodySize(version)
        return 1 + VariableByteInteger.size(of: body) + body
    }

    private func bodySize(_ version: MQTTVersion) -> Int {
        2 + self.topic.buffer.readableBytes + (self.qos == .atMostOnce ? 0 : 2)
            + (version == .v5 ? self.properties.encodedSize : 0) + self.payload.readableBytes
    }

    /// Writes the packet at the writer index. Properties are left out for MQTT 3.x.
    public func encode(into buffer: inout ByteBuffer, version: MQTTVersion) {
        if version == .v5, !self.properties.isEmpty {
            self.encodeWithProperties(into: &buffer)
            return
        }
        Self.write(
            topic: self.topic,
            payload: self.payload,
            qos: self.qos,
            retain: self.retain,
            dup: self.dup,
            packetID: self.packetID,
            version: version,
            into: &buffer
        )
    }

    /// Writes a PUBLISH without properties: for one message that goes to many, each with its own QoS and packet identifier.
    ///
    /// The size is computed first, then everything is written in one step. `packetID` is ignored with QoS 0.
    public static func write(
        topic: TopicName,
        payload: ByteBuffer,
        qos: QoS,
        retain: Bool = false,
        dup: Bool = false,
        packetID: UInt16 = 0,
        version: MQTTVersion,
        into buffer: inout ByteBuffer
    ) {
        assert(qos == .atMostOnce || packetID != 0, "QoS \(qos.rawValue) without a packet identifier")
        let topicBytes = topic.buffer.readableBytes
        let payloadBytes = payload.readableBytes
        let body = 2 + topicBytes + (qos == .atMostOnce ? 0 : 2) + (version == .v5 ? 1 : 0) + payloadBytes
        precondition(topicBytes <= 0xFFFF && body <= VariableByteInteger.max, "message of \(body) bytes")
        let size = 1 + VariableByteInteger.size(of: body) + body
        let firstByte = Self.firstByte(qos: qos, retain: retain, dup: dup)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { bytes in
            bytes[0] = firstByte
            var at = 1
            var rest = body
            while rest >= 0x80 {
                bytes[at] = UInt8(truncatingIfNeeded: rest) | 0x80
                rest >>= 7
                at &+= 1
            }
            bytes[at] = UInt8(truncatingIfNeeded: rest)
            at &+= 1
            bytes.storeBytes(of: UInt16(topicBytes).bigEndian, toByteOffset: at, as: UInt16.self)
            at &+= 2
            topic.buffer.withUnsafeReadableBytes { Self.copy($0, to: bytes, at: at) }
            at &+= topicBytes
            if qos != .atMostOnce {  // [MQTT-2.2.1-2]
                bytes.storeBytes(of: packetID.bigEndian, toByteOffset: at, as: UInt16.self)
                at &+= 2
            }
            if version == .v5 {
                bytes[at] = 0  // Property Length [MQTT-2.2.2-1]
                at &+= 1
            }
            payload.withUnsafeReadableBytes { Self.copy($0, to: bytes, at: at) }
            return size
        }
    }

    private static func copy(_ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer, at: Int) {
        UnsafeMutableRawBufferPointer(rebasing: target[at...]).copyMemory(from: source)
    }

    static func firstByte(qos: QoS, retain: Bool, dup: Bool) -> UInt8 {
        MQTTPacketType.publish.rawValue << 4 | (dup ? 0b1000 : 0) | qos.rawValue << 1 | (retain ? 1 : 0)
    }

    private func encodeWithProperties(into buffer: inout ByteBuffer) {
        assert(self.qos == .atMostOnce || self.packetID != 0, "QoS \(self.qos.rawValue) without a packet identifier")
        let body = self.bodySize(.v5)
        let size = 1 + VariableByteInteger.size(of: body) + body
        buffer.reserveCapacity(minimumWritableBytes: size)
        buffer.writeInteger(Self.firstByte(qos: self.qos, retain: self.retain, dup: self.dup))
        buffer.writeVariableByteInteger(body)
        buffer.writeBinary(self.topic.buffer)
        if self.qos != .atMostOnce { buffer.writeInteger(self.packetID) }
        self.properties.write(into: &buffer)
        buffer.writeImmutableBuffer(self.payload)
    }
}
