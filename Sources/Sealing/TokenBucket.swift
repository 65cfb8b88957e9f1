package import NIOCore

/// A budget that refills at a steady rate, for failures and other things that a peer may do now and then.
///
/// Keeps one moment only: when the bucket would be full again (the generic cell rate algorithm).
package struct TokenBucket: Sendable {
    /// Tokens that a full bucket holds.
    package let burst: Int
    /// Time in which one token comes back.
    private let interval: Int64
    private var fullAt: NIODeadline

    /// A full bucket.
    ///
    /// - Parameters:
    ///   - rate: Tokens per second, above zero.
    ///   - burst: 1 or more.
    package init(rate: Double, burst: Int, now: NIODeadline) {
        precondition(rate > 0 && burst > 0, "a token bucket needs a rate and a burst above zero")
        self.burst = burst
        // At most an hour for a token, so that no product below overflows.
        self.interval = Int64(min(max(1_000_000_000 / rate, 1), 3_600_000_000_000))
        self.fullAt = now
    }

    /// Whole tokens left.
    package func tokens(now: NIODeadline) -> Int {
        let missing = max((self.fullAt - now).nanoseconds, 0)
        let taken = missing / self.interval + (missing % self.interval == 0 ? 0 : 1)
        return max(self.burst - Int(taken), 0)
    }

    /// Time until the bucket is full again; zero if it is.
    package func timeUntilFull(now: NIODeadline) -> TimeAmount {
        .nanoseconds(max((self.fullAt - now).nanoseconds, 0))
    }

    /// Takes one token if there is one.
    package mutating func take(now: NIODeadline) -> Bool {
        guard self.tokens(now: now) > 0 else { return false }
        self.fullAt = max(self.fullAt, now) + .nanoseconds(self.interval)
        return true
    }

    /// Time until ``take(now:)`` succeeds; zero if it would at once.
    package func wait(now: NIODeadline) -> TimeAmount {
        let missing = (self.fullAt - now).nanoseconds
        return .nanoseconds(max(missing - Int64(self.burst - 1) * self.interval, 0))
    }
}
