import Glibc
import NIOCore
import Store
import Synchronization

/// The time of day, for what people read, for certificates, and for how long messages are worth something. Nothing is ordered by
/// it: a Pi without a battery starts in 1970.
///
/// A clock that shows less than the floor (``TimeFloor``) is not set. May be asked on any thread.
final class WallClock: Sendable {
    /// Milliseconds since 1970, as the machine has them.
    typealias Reading = @Sendable () -> Int64

    /// 9999-12-31: the stamp of what was taken while the clock was not set. It never grows too old.
    private static let unknown = StoredTime.range.upperBound

    private let reading: Reading
    private let currentFloor: Atomic<Int64>
    /// Whether certificates are judged by the machine's clock, whatever it shows.
    private let isTrusted: Bool
    private let started: NIODeadline
    /// The floor at the start: what this run counts from while the clock is not set.
    private let base: Int64

    /// - Parameters:
    ///   - floor: Below it the clock is not set.
    ///   - isTrusted: `clock = "trust"`.
    init(
        floor: Int64 = Version.notBefore,
        isTrusted: Bool = false,
        started: NIODeadline = .now(),
        reading: @escaping Reading = WallClock.machine
    ) {
        self.reading = reading
        self.currentFloor = Atomic(floor)
        self.isTrusted = isTrusted
        self.started = started
        self.base = floor
    }

    /// Below it the clock is not set. Moved by the gateway's loop.
    var floor: Int64 {
        get { self.currentFloor.load(ordering: .relaxed) }
        set { self.currentFloor.store(newValue, ordering: .relaxed) }
    }

    /// Milliseconds since 1970 as the machine has them, right or not.
    var milliseconds: Int64 { self.reading() }

    /// The present, or nil while the clock is not set.
    var present: Int64? {
        let now = self.reading()
        return self.floor <= now && now <= Self.unknown ? now : nil
    }

    /// Whether the time of day is known.
    var isSet: Bool { self.present != nil }

    /// When a message is taken, for `max_age` and for people.
    var stamp: Int64 { self.present ?? Self.unknown }

    // MARK: Deadlines

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

    /// A moment as this run counts it, whatever the clock does: for records that are marked as taken without one, which mean
    /// nothing to another run.
    func runMilliseconds(at deadline: NIODeadline) -> Int64 {
        min(max(self.base + (deadline - self.started).nanoseconds / 1_000_000, 0), Self.unknown)
    }

    /// The other way round.
    func deadline(atRun milliseconds: Int64) -> NIODeadline {
        self.started + .milliseconds(min(max(milliseconds, self.base), self.base + 10 * 366 * 86_400_000) - self.base)
    }

    // MARK: Certificates

    /// The time by which certificates are judged, in milliseconds since 1970: while the clock is not set, the floor and how long
    /// this run has lasted, which is at most what a clock would show that is right.
    func certificateTime(now: NIODeadline = .now()) -> Int64 {
        let machine = self.reading()
        if self.isTrusted || machine >= self.floor { return machine }
        return max(self.floor, self.base + (now - self.started).nanoseconds / 1_000_000)
    }

    /// Whether ``certificateTime(now:)`` is only a lower bound: then a certificate that is not valid yet may be valid, and one
    /// that has expired has expired.
    var isCertificateTimeBound: Bool { !self.isTrusted && self.reading() < self.floor }

    /// What the machine says.
    static let machine: Reading = {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
