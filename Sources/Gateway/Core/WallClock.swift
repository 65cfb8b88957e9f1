import Glibc
import NIOCore
import Store

/// The time of day, for what people read: when a record was stored. Nothing is ordered by it; a Pi without a battery
/// starts in 1970.
struct WallClock {
    /// 2025-01-01: a clock before it is not set.
    private static let plausible: Int64 = 1_735_689_600_000
    /// 9999-12-31: the stamp of what was taken while the clock was not set. It never grows too old.
    private static let unknown = StoredTime.range.upperBound

    /// When a message is taken, for `max_age` and for people.
    var stamp: Int64 {
        self.present ?? Self.unknown
    }

    /// The present, or nil while the clock is not set.
    var present: Int64? {
        let now = self.milliseconds
        return Self.plausible...Self.unknown ~= now ? now : nil
    }

    /// A moment of the monotonic clock as one of this clock, for the store; nil for none, and while the clock is not set:
    /// better to keep a message for too long than to lose it to a wrong clock.
    func milliseconds(at deadline: NIODeadline?) -> Int64? {
        guard let deadline, let present = self.present else { return nil }
        return min(max(present + (deadline - .now()).nanoseconds / 1_000_000, 0), Self.unknown)
    }

    /// The other way round; nil for none.
    func deadline(at milliseconds: Int64?) -> NIODeadline? {
        guard let milliseconds, let present = self.present else { return nil }
        let left = min(max(milliseconds - present, 0), 366 * 86_400_000)
        return .now() + .milliseconds(left)
    }

    /// Milliseconds since 1970.
    var milliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
