/// Names the keys of an OSCORE context in the store. No secret.
package struct OSCOREFingerprint: Hashable, Sendable {
    /// Bytes of it.
    package static let count = 16

    private let high: UInt64
    private let low: UInt64

    /// As ``bytes`` gives it; `nil` unless there are ``count``.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.count else { return nil }
        self.high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        self.low = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
    }

    package var bytes: [UInt8] {
        [self.high, self.low].flatMap { half in
            (0..<8).reversed().map { UInt8(truncatingIfNeeded: half >> (8 * UInt64($0))) }
        }
    }
}
