import NIOCore

/// When a warning that a peer can cause a thousand times a second is worth a line: the first at once, then their number once a
/// minute. A minute without any makes the next one a first again.
struct RepeatedWarning {
    private static let period = TimeAmount.minutes(1)

    private var periodEnds: NIODeadline = .distantPast
    /// Since the last line.
    private var untold = 0

    /// It has happened again.
    ///
    /// - Parameter count: How many times.
    /// - Returns: Whether to say so at once, with all details. If not, it is counted.
    mutating func note(_ count: Int = 1, now: NIODeadline) -> Bool {
        guard now >= self.periodEnds, self.untold == 0 else {
            self.untold += count
            return false
        }
        self.periodEnds = now + Self.period
        return true
    }

    /// To be called every few seconds.
    ///
    /// - Returns: How many times to tell of now; 0: none.
    mutating func tick(now: NIODeadline) -> Int {
        guard now >= self.periodEnds, self.untold > 0 else { return 0 }
        defer { self.untold = 0 }
        self.periodEnds = now + Self.period
        return self.untold
    }
}
