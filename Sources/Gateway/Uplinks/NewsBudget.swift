import NIOCore

/// How many failures of devices' connections are worth a line in the log: a broker that is away fails all of them.
struct NewsBudget {
    private static let most = 10
    private static let interval = TimeAmount.minutes(10)

    private var began = NIODeadline.distantPast
    private var taken = 0

    mutating func take(now: NIODeadline) -> Bool {
        if self.began + Self.interval <= now {
            self.began = now
            self.taken = 0
        }
        self.taken += 1
        return self.taken <= Self.most
    }
}
