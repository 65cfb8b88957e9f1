/// Hexadecimal digits, without table or branch on a digit's value: some of what passes here is secret.
enum Hex {
    /// The lowercase digit for 0 to 15.
    static func digit(_ value: UInt8) -> UInt8 {
        // 39 is the distance from the character after "9" to "a".
        let isLetter = UInt8(truncatingIfNeeded: (9 &- Int(value)) >> 8) & 39
        return value &+ UInt8(ascii: "0") &+ isLetter
    }

    /// Writes the bytes of `digits`, either case, to `output`, which has room for half as many; `false` if the number
    /// of digits is odd or one is none.
    static func decode(_ digits: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        guard digits.count.isMultiple(of: 2), output.count >= digits.count / 2 else { return false }
        var wrong: UInt64 = 0
        var position = 0
        while position + 8 <= digits.count {
            let eight = UInt64(littleEndian: digits.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            let bytes = self.decode(eight, &wrong).littleEndian
            output.storeBytes(of: bytes, toByteOffset: position / 2, as: UInt32.self)
            position += 8
        }
        while position < digits.count {
            let two = UInt64(digits[position]) | UInt64(digits[position + 1]) << 8
            output[position / 2] = UInt8(truncatingIfNeeded: self.decode(0x3030_3030_3030_0000 | two, &wrong))
            position += 2
        }
        return wrong == 0
    }

    /// Writes two lowercase digits for each byte.
    static func encode(_ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
        for index in 0..<bytes.count {
            output[2 * index] = self.digit(bytes[index] >> 4)
            output[2 * index + 1] = self.digit(bytes[index] & 15)
        }
    }

    /// Two lowercase digits for each byte.
    static func encode(_ bytes: [UInt8]) -> [UInt8] {
        bytes.flatMap { [self.digit($0 >> 4), self.digit($0 & 15)] }
    }

    /// Four bytes from eight digits, the first in the lowest byte. Sets bits of `wrong` if one is no digit.
    ///
    /// All eight at once, in the bytes of one word, none of which ever carries into the next.
    private static func decode(_ digits: UInt64, _ wrong: inout UInt64) -> UInt32 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        // 1 for a letter, which has bit 6; a digit has bits 4 and 5 instead.
        let isLetter = (digits >> 6) & ones
        let values = (digits & (15 &* ones)) &+ (9 &* isLetter)
        // A digit is at most 9, a letter 10 to 15: adding 6 sets bit 4 for letters alone, not adding it for none.
        wrong |= (((values &+ (6 &* ones)) >> 4) ^ isLetter) & ones
        wrong |= (values >> 4) & ones
        wrong |= ((digits >> 4) ^ isLetter ^ ones) & ones
        wrong |= ~((digits >> 5) | isLetter) & ones
        wrong |= (digits >> 7) & ones
        // Two values make a byte, then the bytes move together.
        let pairs = (values << 4 | values >> 8) & 0x00FF_00FF_00FF_00FF
        let halves = (pairs | pairs >> 8) & 0x0000_FFFF_0000_FFFF
        return UInt32(truncatingIfNeeded: halves | halves >> 16)
    }
}
