/// Message IDs for what one peer is sent (RFC 7252 §4.4): each once in 65,536, in an order that nobody knows who does not
/// see them.
///
/// Numbers that count on would tell whoever has hit one with a forged acknowledgement where the next is. What was used
/// need not be remembered: a count is permuted, by a Feistel network over its two bytes.
struct MessageIDs {
    private let key: UInt64
    private var count: UInt16 = 0

    /// - Parameter key: Random, of this peer alone.
    init(key: UInt64) {
        self.key = key
    }

    mutating func next() -> UInt16 {
        self.count &+= 1
        var left = UInt8(self.count >> 8)
        var right = UInt8(truncatingIfNeeded: self.count)
        for round in 0..<4 as Range<UInt64> {
            (left, right) = (right, left ^ self.mixed(right, round))
        }
        return UInt16(left) << 8 | UInt16(right)
    }

    /// One round's function: the mixing of SplitMix64, keyed.
    private func mixed(_ byte: UInt8, _ round: UInt64) -> UInt8 {
        UInt8(truncatingIfNeeded: Jitter.mixed(self.key ^ (round << 8 | UInt64(byte)) &* 0x9E37_79B9_7F4A_7C15))
    }
}
