import NIOCore

extension ByteBuffer {
    /// Writes one to four bytes, as few as do `[MQTT-1.5.5-1]`. `value` is our own: at most 268,435,455.
    mutating func writeVariableByteInteger(_ value: Int) {
        precondition(value >= 0 && value <= VariableByteInteger.max, "no variable byte integer: \(value)")
        var rest = value
        while rest >= 0x80 {
            self.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        self.writeInteger(UInt8(truncatingIfNeeded: rest))
    }

    /// Writes two bytes of length and the readable bytes of `bytes`, of which there are at most 65,535.
    mutating func writeBinary(_ bytes: ByteBuffer) {
        precondition(bytes.readableBytes <= 0xFFFF, "field of \(bytes.readableBytes) bytes")
        self.writeInteger(UInt16(bytes.readableBytes))
        self.writeImmutableBuffer(bytes)
    }
}
