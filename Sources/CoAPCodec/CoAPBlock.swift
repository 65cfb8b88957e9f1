/// Value of Block1 and Block2 (RFC 7959 §2.2): which block of a body, how large the blocks are, whether more follow.
package struct CoAPBlock: Hashable, Sendable, CustomStringConvertible {
    /// Highest number: it has 20 bits.
    package static let maxNumber: UInt32 = 0xF_FFFF
    /// Exponents that a size may have; 7 is reserved.
    package static let sizeExponents: ClosedRange<UInt8> = 0...6

    /// NUM: 0 is the first.
    package let number: UInt32
    /// M: whether this is not the last.
    package let hasMore: Bool
    /// SZX: a block has 2 to the power of this and 4 bytes.
    package let sizeExponent: UInt8

    /// - Parameters:
    ///   - number: At most ``maxNumber``.
    ///   - sizeExponent: 0 to 6.
    package init(number: UInt32, hasMore: Bool, sizeExponent: UInt8) {
        precondition(number <= Self.maxNumber && Self.sizeExponents.contains(sizeExponent), "no such block")
        self.number = number
        self.hasMore = hasMore
        self.sizeExponent = sizeExponent
    }

    /// The block as a number; `nil` for a size that is reserved (RFC 7959 §2.2) or a number over 24 bits.
    package init?(value: UInt32) {
        guard value <= 0xFF_FFFF, value & 7 != 7 else { return nil }
        self.init(number: value >> 4, hasMore: value & 8 != 0, sizeExponent: UInt8(truncatingIfNeeded: value & 7))
    }

    /// Bytes of a block: 16 to 1024.
    package var size: Int { 16 << Int(self.sizeExponent) }
    /// Bytes of the body before this block. At most 2 to the power of 30.
    package var offset: Int { Int(self.number) * self.size }
    /// As the option's value.
    package var value: UInt32 { self.number << 4 | (self.hasMore ? 8 : 0) | UInt32(self.sizeExponent) }

    /// The exponent of the largest block that has at most `bytes`; `nil` below 16.
    package static func sizeExponent(fitting bytes: Int) -> UInt8? {
        self.sizeExponents.last { 16 << Int($0) <= bytes }
    }

    /// As RFC 7959 writes it: number, more, size.
    package var description: String { "\(self.number)/\(self.hasMore ? 1 : 0)/\(self.size)" }
}
