package import NIOCore

/// Value of the OSCORE option: the compressed COSE header (RFC 8613 §6.1).
package struct OSCOREOption: Equatable, Sendable {
    /// Partial IV: 1 to 5 bytes; empty: none.
    package var partialIV: [UInt8]
    /// Who has sealed the message; `nil`: not told.
    package var kid: [UInt8]?
    package var kidContext: [UInt8]?

    package init(partialIV: [UInt8] = [], kid: [UInt8]? = nil, kidContext: [UInt8]? = nil) {
        self.partialIV = partialIV
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
        guard flags & 0xE0 == 0, length <= 5, flags != 0, let partialIV = rest.readBytes(length: length) else {
            return nil
        }
        // The Partial IV is a number in as few bytes as do (RFC 8613 §5).
        guard partialIV.count < 2 || partialIV[0] != 0 else { return nil }
        self.partialIV = partialIV
        if flags & Self.kidContextFlag != 0 {
            guard let count = rest.readInteger(as: UInt8.self), let context = rest.readBytes(length: Int(count)) else {
                return nil
            }
            self.kidContext = context
        }
        if flags & Self.kidFlag != 0 {
            self.kid = Array(rest.readableBytesView)
        } else if rest.readableBytes > 0 {
            return nil
        }
    }

    /// As sent.
    package func encoded() -> ByteBuffer {
        precondition(self.partialIV.count <= 5 && self.kidContext?.count ?? 0 <= 255, "no OSCORE option")
        var flags = UInt8(self.partialIV.count)
        if self.kid != nil { flags |= Self.kidFlag }
        if self.kidContext != nil { flags |= Self.kidContextFlag }
        var value = ByteBuffer()
        guard flags != 0 else { return value }
        value.writeInteger(flags)
        value.writeBytes(self.partialIV)
        if let context = self.kidContext {
            value.writeInteger(UInt8(context.count))
            value.writeBytes(context)
        }
        value.writeBytes(self.kid ?? [])
        return value
    }

    /// A number as a Partial IV: big-endian, no leading zeroes, one byte for 0.
    static func partialIV(_ sequence: UInt64) -> [UInt8] {
        let count = max((64 - sequence.leadingZeroBitCount + 7) / 8, 1)
        return (0..<count).reversed().map { UInt8(truncatingIfNeeded: sequence >> (8 * UInt64($0))) }
    }

    /// A Partial IV as a number; it has at most five bytes.
    static func sequence(_ partialIV: [UInt8]) -> UInt64 { partialIV.reduce(0) { $0 << 8 | UInt64($1) } }
}
