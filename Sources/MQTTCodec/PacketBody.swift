package import NIOCore

/// What the packets but PUBLISH share in encoding: the size of the body is known before the first byte is written, and what
/// is written has that size.
package protocol PacketBody {
    /// First byte of the packet.
    var firstByte: UInt8 { get }
    /// Bytes after the fixed header.
    func bodySize(_ version: MQTTVersion) -> Int
    /// Writes them.
    func writeBody(into buffer: inout ByteBuffer, _ version: MQTTVersion)
}

extension PacketBody {
    /// Bytes of the whole packet.
    package func encodedSize(version: MQTTVersion) -> Int {
        let size = self.bodySize(version)
        return 1 + VariableByteInteger.size(of: size) + size
    }

    /// Writes the whole packet at the writer index.
    package func encode(into buffer: inout ByteBuffer, version: MQTTVersion) {
        let size = self.bodySize(version)
        buffer.reserveCapacity(minimumWritableBytes: 1 + VariableByteInteger.size(of: size) + size)
        buffer.writeInteger(self.firstByte)
        buffer.writeVariableByteInteger(size)
        let start = buffer.writerIndex
        self.writeBody(into: &buffer, version)
        assert(buffer.writerIndex - start == size, "\(Self.self) is not as long as it said")
    }
}
