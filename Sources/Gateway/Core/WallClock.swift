import Glibc

/// The time of day, for what people read: when a record was stored. Nothing is ordered by it; a Pi without a battery
/// starts in 1970.
struct WallClock {
    /// Milliseconds since 1970.
    var milliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
