package import NIOCore

/// Properties at rest: their bytes as in a PUBLISH, to be written down with a message and read again.
extension MQTTProperties {
    /// The bytes of all properties by ascending identifier, without the Property Length; empty if there are none.
    package var serialized: ByteBuffer {
        guard !self.isEmpty else { return ByteBuffer() }
        var buffer = ByteBuffer()
        buffer.reserveCapacity(self.length)
        self.writeValues(into: &buffer)
        return buffer
    }

    /// Reads what ``serialized`` gave, to the last byte.
    ///
    /// The number of user properties is bounded by the bytes only: the limit was the receiver's, and may be another today.
    ///
    /// - Throws: The bytes are not those of whole properties that a PUBLISH may have, each once. Offsets count from the
    ///   first byte.
    package init(serialized bytes: ByteBuffer) throws(MQTTDecodeError) {
        var reader = PacketReader(properties: bytes, maxUserProperties: .max)
        try self.init(section: &reader, in: .publish)
    }
}
