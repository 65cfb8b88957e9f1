/// The parts of an OSCORE Security Context that change: which requests have come, and which numbers this side may use.
package struct OSCOREState: Hashable, Sendable {
    /// What is known of a request's number.
    package enum Freshness: Hashable, Sendable {
        /// It has come before, or is too old to tell.
        case replayed
        /// Nobody here has seen it, but it may be from before a restart (RFC 8613 Appendix B.1.2).
        case unknown
        case fresh
    }

    /// Numbers that are known to have come.
    package private(set) var window: OSCOREReplayWindow
    /// Below this number a request may be one that was carried out before the restart; 0 if the window can be believed,
    /// `UInt64.max` if nothing is known.
    package private(set) var freshFrom: UInt64
    /// Of this side.
    package var sequence: OSCORESequence

    /// - Parameters:
    ///   - window: What has come at least.
    ///   - isExact: Nothing else has come: as after an orderly end.
    package init(window: OSCOREReplayWindow, isExact: Bool, sequence: OSCORESequence) {
        self.window = window
        self.freshFrom = isExact ? 0 : .max
        self.sequence = sequence
    }

    package func freshness(of number: UInt64) -> Freshness {
        guard self.window.allows(number) else { return .replayed }
        return number < self.freshFrom ? .unknown : .fresh
    }

    /// The number has come, in a request that is proven and fresh.
    package mutating func insert(_ number: UInt64) { self.window.insert(number) }

    /// The number has come, in a request that brought an Echo value of this run: it was made after the start, and so was
    /// every later one.
    package mutating func accept(_ number: UInt64) {
        self.window.insert(number)
        self.freshFrom = min(self.freshFrom, number + 1)
    }

    /// What to write down at an orderly end: a window in which everything that may have come counts as having come. `nil`:
    /// nothing was heard in this run, so nothing new is known.
    package var exactWindow: OSCOREReplayWindow? {
        self.freshFrom == .max ? nil : self.window.closed(below: self.freshFrom)
    }
}
