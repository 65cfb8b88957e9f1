package import NIOCore

/// What ties a response to its request: 0 to 8 bytes, chosen by the client (RFC 7252 §5.3.1). Held without an allocation.
///
/// Longer tokens are legal only where both sides agreed (RFC 8974 §2.2.2); the gateway does not, and refuses them.
package struct CoAPToken: Hashable, Sendable, CustomStringConvertible {
    /// Most bytes of one.
    package static let maxBytes = 8
    /// No bytes, as many small nodes have it.
    package static let empty = CoAPToken(value: 0, count: 0)

    /// The bytes, right-aligned, zeroes before them.
    private let value: UInt64
    private let length: UInt8

    private init(value: UInt64, count: Int) {
        self.value = value
        self.length = UInt8(truncatingIfNeeded: count)
    }

    /// For tokens of our own and of tests; `nil` if there are more than 8 bytes.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count <= Self.maxBytes else { return nil }
        self.init(value: bytes.reduce(0) { $0 << 8 | UInt64($1) }, count: bytes.count)
    }

    /// At most 8 bytes.
    init(unchecked bytes: UnsafeRawBufferPointer) {
        var value: UInt64 = 0
        for byte in bytes { value = value << 8 | UInt64(byte) }
        self.init(value: value, count: bytes.count)
    }

    /// Bytes of it.
    package var count: Int { Int(self.length) }

    /// Appends the bytes.
    package func write(into buffer: inout ByteBuffer) {
        var shift = 8 * self.count
        while shift > 0 {
            shift -= 8
            buffer.writeInteger(UInt8(truncatingIfNeeded: self.value >> UInt64(shift)))
        }
    }

    /// Writes the bytes where there is room for them.
    ///
    /// - Returns: How many there are.
    func write(to bytes: UnsafeMutableRawBufferPointer, at start: Int) -> Int {
        for index in 0..<self.count {
            bytes[start + index] = UInt8(truncatingIfNeeded: self.value >> UInt64(8 * (self.count - 1 - index)))
        }
        return self.count
    }

    /// In hex, for logs.
    package var description: String {
        var buffer = ByteBuffer()
        self.write(into: &buffer)
        return buffer.hexDump(format: .compact)
    }
}
