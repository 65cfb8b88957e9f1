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
        var wrong: UInt8 = 0
        for index in 0..<(digits.count / 2) {
            let high = self.value(digits[2 * index])
            let low = self.value(digits[2 * index + 1])
            wrong |= high | low
            output[index] = high << 4 | low & 15
        }
        return wrong & 0x80 == 0
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

    /// 0 to 15, or a value with the top bit set for what is no digit.
    private static func value(_ character: UInt8) -> UInt8 {
        let number = Int(character) &- 48
        let letter = Int(character | 0x20) &- 97
        // All ones where 0 <= number <= 9, and where 0 <= letter <= 5.
        let isNumber = ~((number | (9 &- number)) >> 16)
        let isLetter = ~((letter | (5 &- letter)) >> 16)
        let value = (number & isNumber) | ((letter &+ 10) & isLetter) | (0x80 & ~(isNumber | isLetter))
        return UInt8(truncatingIfNeeded: value)
    }
}
