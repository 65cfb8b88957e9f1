import Glibc

/// The time of day, for what people read: when a record was stored. Nothing is ordered by it; a Pi without a battery
/// starts in 1970.
struct WallClock {
    /// 2025-01-01: a clock before it is not set.
    private static let plausible: Int64 = 1_735_689_600_000
    /// 9999-12-31: the stamp of what was taken while the clock was not set. It never grows too old.
    private static let unknown: Int64 = 253_402_214_400_000

    /// When a message is taken, for `max_age` and for people.
    var stamp: Int64 {
        let now = self.milliseconds
        return now >= Self.plausible ? now : Self.unknown
    }

    /// Milliseconds since 1970.
    var milliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
