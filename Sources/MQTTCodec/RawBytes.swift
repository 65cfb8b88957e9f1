package import NIOCore

/// Comparison of raw bytes.
///
/// `ByteBuffer`'s own `==` takes two windows of one storage for equal when they have the same length and belong to the same
/// slice, wherever their reader indices stand. Nothing that decides about access or identity may rest on that.
enum RawBytes {
    /// Whether both have the same readable bytes.
    static func equal(_ left: ByteBuffer, _ right: ByteBuffer) -> Bool {
        left.withUnsafeReadableBytes { left in
            right.withUnsafeReadableBytes { right in Self.equal(left, right) }
        }
    }

    /// Whether both have the same bytes. Not constant-time: for nothing secret.
    static func equal(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count else { return false }
        var index = 0
        while index &+ 8 <= left.count {
            let leftWord = left.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let rightWord = right.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if leftWord != rightWord { return false }
            index &+= 8
        }
        while index < left.count {
            if left[index] != right[index] { return false }
            index &+= 1
        }
        return true
    }
}

extension ByteBuffer {
    /// Whether both have the same readable bytes. Use this and not `==`, which can call two windows of one storage equal
    /// although their bytes differ.
    package func hasSameBytes(as other: ByteBuffer) -> Bool { RawBytes.equal(self, other) }

    /// The readable bytes in storage of their own, so that keeping them does not keep a whole read buffer.
    package func compacted() -> ByteBuffer { ByteBuffer(bytes: self.readableBytesView) }
}
