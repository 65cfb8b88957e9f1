internal import CoAPCodec
package import NIOCore

/// Value of the OSCORE option: the compressed COSE header (RFC 8613 §6.1).
package struct OSCOREOption: Equatable, Sendable {
    /// Partial IV as a number, which takes one to five bytes; `nil`: none.
    package var sequence: UInt64?
    /// Who has sealed the message; `nil`: not told. A slice of what was read.
    package var kid: ByteBuffer?
    /// A slice of what was read.
    package var kidContext: ByteBuffer?

    package init(sequence: UInt64? = nil, kid: ByteBuffer? = nil, kidContext: ByteBuffer? = nil) {
        self.sequence = sequence
        self.kid = kid
        self.kidContext = kidContext
    }

    private static let kidFlag: UInt8 = 0x08
    private static let kidContextFlag: UInt8 = 0x10

    /// Reads a value of at most 255 bytes. `nil` if it is none: reserved bits, a Partial IV of 6 or 7 bytes, or less there
    /// than is said (RFC 8613 §8.2, 4.02).
    package init?(decoding value: ByteBuffer) {
        self.init()
        var rest = value
        guard rest.readableBytes <= 255 else { return nil }
        guard let flags = rest.readInteger(as: UInt8.self) else { return }
        let length = Int(flags & 7)
        // A value that is all zero is sent empty (RFC 8613 §6.1).
        guard flags & 0xE0 == 0, length <= 5, flags != 0, rest.readableBytes >= length else { return nil }
        var sequence: UInt64 = 0
        for index in 0..<length {
            guard let byte = rest.readInteger(as: UInt8.self) else { return nil }
            // A number in as few bytes as do (RFC 8613 §5).
            if index == 0, byte == 0, length > 1 { return nil }
            sequence = sequence << 8 | UInt64(byte)
        }
        if length > 0 { self.sequence = sequence }
        if flags & Self.kidContextFlag != 0 {
            guard let count = rest.readInteger(as: UInt8.self), let context = rest.readSlice(length: Int(count)) else {
                return nil
            }
            self.kidContext = context
        }
        if flags & Self.kidFlag != 0 {
            self.kid = rest
        } else if rest.readableBytes > 0 {
            return nil
        }
    }

    /// As sent.
    package func encoded() -> ByteBuffer {
        let context = self.kidContext?.readableBytes ?? 0
        precondition(self.sequence ?? 0 < 1 << 40 && context <= 255, "no OSCORE option")
        var flags: UInt8 = self.sequence.map { UInt8(Self.partialIVBytes($0)) } ?? 0
        if self.kid != nil { flags |= Self.kidFlag }
        if self.kidContext != nil { flags |= Self.kidContextFlag }
        var value = ByteBuffer()
        guard flags != 0 else { return value }
        value.writeInteger(flags)
        if let sequence = self.sequence { Self.write(partialIV: sequence, into: &value) }
        if let kidContext = self.kidContext {
            value.writeInteger(UInt8(context))
            value.writeImmutableBuffer(kidContext)
        }
        if let kid = self.kid { value.writeImmutableBuffer(kid) }
        return value
    }

    /// Bytes of a number as a Partial IV: no leading zeroes, one byte for 0.
    static func partialIVBytes(_ sequence: UInt64) -> Int { max((64 - sequence.leadingZeroBitCount + 7) / 8, 1) }

    private static func write(partialIV sequence: UInt64, into value: inout ByteBuffer) {
        for index in (0..<Self.partialIVBytes(sequence)).reversed() {
            value.writeInteger(UInt8(truncatingIfNeeded: sequence >> (8 * UInt64(index))))
        }
    }

    /// Adds the option of a response, with a Partial IV of this side's own or empty, without a value in between.
    static func append(partialIV sequence: UInt64?, to options: inout CoAPOptions) {
        guard let sequence else { return options.append(.oscore) }
        let count = Self.partialIVBytes(sequence)
        options.append(.oscore, length: 1 + count) { value in
            value.writeInteger(UInt8(count))
            Self.write(partialIV: sequence, into: &value)
        }
    }
}
