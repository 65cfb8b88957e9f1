/// Which sequence numbers of a peer have come (RFC 8613 §7.4): a sliding window, as DTLS has it (RFC 6347 §4.1.2.6).
package struct OSCOREReplayWindow: Hashable, Sendable {
    /// Numbers that it covers.
    package static let size: UInt64 = 64

    /// One more than the highest that has come; 0: none has.
    package private(set) var next: UInt64
    /// Bit 0 is the highest that has come, bit n the one n before it.
    package private(set) var seen: UInt64

    /// Nothing has come.
    package init() {
        self.next = 0
        self.seen = 0
    }

    /// As it was written down.
    package init(next: UInt64, seen: UInt64) {
        self.next = next
        self.seen = seen
    }

    /// Whether this number can be new. Below the window none is.
    package func allows(_ sequence: UInt64) -> Bool {
        guard sequence < self.next else { return true }
        let back = self.next - 1 - sequence
        return back < Self.size && self.seen & (1 << back) == 0
    }

    /// The number has come, in a message that is proven. Never moves the window back.
    package mutating func insert(_ sequence: UInt64) {
        guard sequence >= self.next else {
            let back = self.next - 1 - sequence
            if back < Self.size { self.seen |= 1 << back }
            return
        }
        let forward = sequence - self.next + 1
        self.seen = forward >= Self.size ? 1 : self.seen << forward | 1
        self.next = sequence + 1
    }

    /// The same with all numbers below `limit` counted as having come.
    package func closed(below limit: UInt64) -> OSCOREReplayWindow {
        guard limit > 0 else { return self }
        guard limit < self.next else { return OSCOREReplayWindow(next: limit, seen: .max) }
        let back = self.next - limit
        return OSCOREReplayWindow(next: self.next, seen: back < Self.size ? self.seen | .max << back : self.seen)
    }
}
