/// MQTT's rules for text: well-formed UTF-8 without U+0000. Surrogates and overlong forms are ill-formed `[MQTT-1.5.4-1]`;
/// non-characters and U+FEFF pass as they are `[MQTT-1.5.4-3]`.
enum UTF8Rules {
    enum Problem: Error { case illFormed, nullCharacter }

    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highBits: UInt64 = 0x8080_8080_8080_8080

    /// The first problem, nil if there is none. One pass, no allocation.
    static func problem(in bytes: UnsafeRawBufferPointer) -> Problem? {
        var index = 0
        while index < bytes.count {
            // Eight at a time as long as they are ASCII and none is zero.
            while index &+ 8 <= bytes.count {
                let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                let zeroes = (word &- Self.ones) & ~word
                if (word | zeroes) & Self.highBits != 0 { break }
                index &+= 8
            }
            guard index < bytes.count else { return nil }
            let lead = bytes[index]
            if lead < 0x80 {
                if lead == 0 { return .nullCharacter }
                index &+= 1
                continue
            }
            let length = Self.sequenceLength(bytes, at: index)
            if length == 0 { return .illFormed }
            index &+= length
        }
        return nil
    }

    /// Length of the well-formed sequence of two to four bytes at `index`, 0 if there is none (Unicode, table 3-7).
    private static func sequenceLength(_ bytes: UnsafeRawBufferPointer, at index: Int) -> Int {
        let lead = bytes[index]
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch lead {
        case 0xC2...0xDF: length = 2
        case 0xE0:
            length = 3
            second = 0xA0...0xBF  // Below: overlong.
        case 0xED:
            length = 3
            second = 0x80...0x9F  // Above: surrogates.
        case 0xE1...0xEF: length = 3
        case 0xF0:
            length = 4
            second = 0x90...0xBF  // Below: overlong.
        case 0xF4:
            length = 4
            second = 0x80...0x8F  // Above: past U+10FFFF.
        case 0xF1...0xF3: length = 4
        default: return 0
        }
        guard bytes.count &- index >= length, second.contains(bytes[index &+ 1]) else { return 0 }
        var at = index &+ 2
        while at < index &+ length {
            guard bytes[at] & 0xC0 == 0x80 else { return 0 }
            at &+= 1
        }
        return length
    }
}
