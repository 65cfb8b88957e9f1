/// Names the keys of an OSCORE context in the store. No secret.
///
/// All contexts of one Master Secret, Master Salt and ID Context are of one family, whatever their IDs: a key of one may be a
/// key of another (RFC 8613 §3.3), so no two of a family are used beside or after each other.
package struct OSCOREFingerprint: Hashable, Sendable {
    /// Bytes of it.
    package static let count = 16

    /// What the context shares with those of other IDs.
    package let family: UInt64
    /// What it shares with none.
    package let keys: UInt64

    package init(family: UInt64, keys: UInt64) {
        self.family = family
        self.keys = keys
    }

    /// As ``bytes`` gives it; `nil` unless there are ``count``.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.count else { return nil }
        self.family = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        self.keys = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
    }

    package var bytes: [UInt8] {
        [self.family, self.keys].flatMap { half in
            (0..<8).reversed().map { UInt8(truncatingIfNeeded: half >> (8 * UInt64($0))) }
        }
    }
}
