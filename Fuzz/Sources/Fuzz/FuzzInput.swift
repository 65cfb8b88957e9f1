import NIOCore

/// The bytes of one input, read from the front. Past the end there are zeroes, so that every input means something.
struct FuzzInput {
    private var rest: Slice<UnsafeBufferPointer<UInt8>>

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.rest = bytes[...] }

    var isEmpty: Bool { self.rest.isEmpty }

    var count: Int { self.rest.count }

    mutating func byte() -> UInt8 { self.rest.popFirst() ?? 0 }

    mutating func uint16() -> UInt16 { UInt16(self.byte()) << 8 | UInt16(self.byte()) }

    /// At most `count` bytes.
    mutating func bytes(_ count: Int) -> [UInt8] {
        let bytes = Array(self.rest.prefix(count))
        self.rest = self.rest.dropFirst(count)
        return bytes
    }

    /// All that is left.
    mutating func remaining() -> [UInt8] { self.bytes(self.rest.count) }

    /// What comes before the next zero, which is passed over: for text, which never holds one.
    mutating func text() -> [UInt8] {
        let bytes = Array(self.rest.prefix { $0 != 0 })
        self.rest = self.rest.dropFirst(bytes.count + 1)
        return bytes
    }
}

extension ByteBuffer {
    /// The same bytes in the middle of a larger storage, so that an index that is not counted from the reader index shows.
    func moved(by offset: Int) -> ByteBuffer {
        var buffer = ByteBuffer(repeating: 0xEE, count: offset)
        buffer.writeImmutableBuffer(self)
        buffer.writeRepeatingByte(0xEE, count: 3)
        return buffer.getSlice(at: offset, length: self.readableBytes) ?? ByteBuffer()
    }
}
