/// This side's sequence numbers (RFC 8613 §7.2): never one twice, over restarts too, without writing each of them down.
///
/// Numbers are reserved ahead: what is written down is up to where they may be used, and a restart begins there
/// (Appendix B.1.1).
package struct OSCORESequence: Hashable, Sendable {
    /// Highest number: a Partial IV has five bytes.
    package static let max: UInt64 = 1 << 40 - 1
    /// Numbers that are reserved at a time.
    package static let step: UInt64 = 256

    /// The next to be used.
    package private(set) var next: UInt64
    /// Numbers below this one may be used; what the store has.
    package private(set) var reserved: UInt64

    /// - Parameter stored: What was reserved at last; 0 for a new context.
    package init(stored: UInt64) {
        self.next = stored
        self.reserved = stored
    }

    /// What to write down, when there is little left; ``didReserve(_:)`` when it is written.
    package var wantsReservation: UInt64? {
        guard self.reserved < Self.max, self.reserved - self.next < Self.step / 2 else { return nil }
        return min(self.next + Self.step, Self.max)
    }

    /// The store has it.
    package mutating func didReserve(_ limit: UInt64) {
        if limit > self.reserved { self.reserved = min(limit, Self.max) }
    }

    /// A number that was never used; `nil`: none is reserved, or all are used up.
    package mutating func take() -> UInt64? {
        guard self.next < self.reserved else { return nil }
        defer { self.next += 1 }
        return self.next
    }
}
