/// Walks over options as they are on the wire (RFC 7252 §3.1), without copying them. Every step ends within the bytes.
struct OptionCursor {
    enum Step {
        /// The value lies at `value`.
        case option(number: UInt16, value: Range<Int>)
        /// The payload marker; the payload begins behind it.
        case payload(at: Int)
        case end
    }

    /// Where the next option begins.
    private(set) var index: Int
    private var number: Int

    /// - Parameter number: Of the option before `index`; 0: there is none.
    init(index: Int = 0, after number: Int = 0) {
        self.index = index
        self.number = number
    }

    /// Why there is no next step; `index` stays at the option that is wrong.
    struct Problem: Error {
        let kind: CoAPDecodeError.Kind
        let field: String
        let offset: Int
    }

    @inline(__always)
    mutating func next(in bytes: UnsafeRawBufferPointer) throws(Problem) -> Step {
        guard self.index < bytes.count else { return .end }
        let first = bytes[self.index]
        if first == 0xFF { return .payload(at: self.index &+ 1) }
        var at = self.index &+ 1
        let delta = try self.extended(first >> 4, "Option Delta", &at, bytes)
        let length = try self.extended(first & 0x0F, "Option Length", &at, bytes)
        // Both are at most 65,804, so no sum wraps (CVE-2020-12887).
        let number = self.number &+ delta
        guard number <= 0xFFFF else { throw self.problem(.optionNumberTooLarge(number), "Option Delta") }
        guard length <= bytes.count &- at else { throw self.problem(.truncated, "Option Value", at: at) }
        self.number = number
        self.index = at &+ length
        return .option(number: UInt16(truncatingIfNeeded: number), value: at..<(at &+ length))
    }

    /// A half byte, or what it says stands behind.
    @inline(__always)
    private func extended(
        _ nibble: UInt8,
        _ field: String,
        _ at: inout Int,
        _ bytes: UnsafeRawBufferPointer
    ) throws(Problem) -> Int {
        switch nibble {
        case 13:
            guard at < bytes.count else { throw self.problem(.truncated, field, at: at) }
            defer { at &+= 1 }
            return Int(bytes[at]) &+ 13
        case 14:
            guard at &+ 1 < bytes.count else { throw self.problem(.truncated, field, at: at) }
            defer { at &+= 2 }
            return (Int(bytes[at]) &<< 8 | Int(bytes[at &+ 1])) &+ 269
        case 15: throw self.problem(.reservedNibble, field)
        default: return Int(nibble)
        }
    }

    private func problem(_ kind: CoAPDecodeError.Kind, _ field: String, at offset: Int? = nil) -> Problem {
        Problem(kind: kind, field: field, offset: offset ?? self.index)
    }
}
