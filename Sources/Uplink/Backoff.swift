/// How long to wait before the next attempt: doubled after each failure, with jitter, up to a limit.
///
/// The wait after the nth failure in a row lies at random between the half and the whole of `first` times 2ⁿ⁻¹, so that
/// a thousand gateways that lost their broker at once do not all come back in the same second.
package struct Backoff: Sendable, Equatable {
    /// The whole wait after the first failure.
    package let first: Duration
    /// The longest whole wait.
    package let limit: Duration
    /// Failures in a row so far.
    package private(set) var failures = 0

    /// - Parameters:
    ///   - first: More than zero.
    ///   - limit: At least `first`.
    package init(first: Duration = .seconds(1), limit: Duration = .seconds(120)) {
        precondition(first > .zero && limit >= first, "Backoff needs 0 < first <= limit")
        self.first = first
        self.limit = limit
    }

    /// Counts one more failure, and says how long to wait now.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        var whole = self.first
        // The bound on the rounds keeps a year of failures from costing anything; 2 to the 40th is over any limit.
        for _ in 0..<min(self.failures, 40) where whole < self.limit { whole = min(whole * 2, self.limit) }
        self.failures += 1
        let half = whole / 2
        let (seconds, attoseconds) = half.components
        let nanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        return half + .nanoseconds(Int64.random(in: 0...nanoseconds, using: &generator))
    }

    /// Forgets the failures. Only for a link that proved good: one that is accepted and cut at once has not.
    package mutating func reset() {
        self.failures = 0
    }
}

/// A small generator for jitter, which needs to differ between gateways and not to be secret (SplitMix64, Steele, Lea
/// and Flood 2014). Seeded, so that a test knows what comes.
package struct JitterGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// The same seed gives the same numbers.
    package init(seed: UInt64) {
        self.state = seed
    }

    /// The next 64 bits.
    package mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
