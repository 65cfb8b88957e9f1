/// A Sender or Recipient ID (RFC 8613 §3.3): at most seven bytes, so that it fits into a number.
package struct OSCOREID: Hashable, Comparable, Sendable {
    /// Most bytes of one, with any algorithm that the gateway knows.
    package static let maxBytes = 7

    /// The length in the highest byte, the ID in the others, so that no two are the same.
    private let packed: UInt64

    /// `nil`: it is too long.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count <= Self.maxBytes else { return nil }
        self.packed = UInt64(bytes.count) << 56 | bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }

    package var count: Int { Int(self.packed >> 56) }

    /// Byte `index` from the end; 0 beyond the first.
    func byte(fromEnd index: Int) -> UInt8 {
        index < Self.maxBytes ? UInt8(truncatingIfNeeded: self.packed >> (8 * UInt64(index))) : 0
    }

    package var bytes: [UInt8] { (0..<self.count).reversed().map(self.byte(fromEnd:)) }

    package static func < (left: OSCOREID, right: OSCOREID) -> Bool { left.packed < right.packed }
}
