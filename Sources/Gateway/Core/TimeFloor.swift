import NIOCore

/// The time of day below which a clock can't be right: the release's own date, or what the clock has shown in earlier runs.
///
/// It is kept on disk, where a clock that was once far ahead must not leave a floor that no honest time reaches any more. So it
/// follows only what has agreed with the monotonic clock for ten minutes, a day in an hour at most, and never past twenty years
/// after the release. Pure: times come in as arguments. Wall times are milliseconds since 1970.
struct TimeFloor {
    /// How long a clock has to run evenly before it is believed.
    static let agreement = TimeAmount.minutes(10)
    /// How often the floor moves, and so is written.
    static let interval = TimeAmount.hours(1)
    /// How far it moves at once.
    static let step: Int64 = 86_400_000
    /// How far it may get from the release.
    static let reach: Int64 = 20 * 366 * 86_400_000
    /// Differences below this are a clock being disciplined.
    private static let tolerance: Int64 = 60_000

    /// In force.
    private(set) var milliseconds: Int64
    private let highest: Int64
    private var evenSince: NIODeadline
    /// Wall time at ``evenSince``.
    private var wallThen: Int64
    private var nextMove: NIODeadline
    /// Where the floor was when the present hour began, from which it may get a step away.
    private var base: Int64

    /// - Parameters:
    ///   - stored: What is on disk; 0 for nothing. Not believed if it is over the reach.
    ///   - release: ``Version/notBefore``.
    init(stored: Int64, release: Int64, now: NIODeadline, wall: Int64) {
        self.highest = release + Self.reach
        self.milliseconds = stored <= self.highest ? max(stored, release) : release
        self.evenSince = now
        self.wallThen = Self.bounded(wall)
        self.nextMove = now + Self.agreement
        self.base = self.milliseconds
    }

    /// Takes the clock's time; to be called every few seconds.
    ///
    /// - Parameter isLast: The run ends: what is believed now is worth writing, however short ago the last time was.
    /// - Returns: The floor if it has moved, to be written.
    mutating func observe(now: NIODeadline, wall: Int64, isLast: Bool = false) -> Int64? {
        let elapsed = (now - self.evenSince).nanoseconds / 1_000_000
        let wall = Self.bounded(wall)
        guard abs(wall - self.wallThen - elapsed) <= Self.tolerance else {
            self.evenSince = now
            self.wallThen = wall
            return nil
        }
        guard now - self.evenSince >= Self.agreement, isLast || now >= self.nextMove else { return nil }
        if now >= self.nextMove { self.base = self.milliseconds }
        let next = min(wall, self.base + Self.step, self.highest)
        guard next > self.milliseconds else { return nil }
        self.milliseconds = next
        if now >= self.nextMove { self.nextMove = now + Self.interval }
        // Slow drift is no jump.
        if elapsed > 3_600_000 {
            self.evenSince = now - Self.agreement
            self.wallThen = wall - Self.agreement.nanoseconds / 1_000_000
        }
        return next
    }

    /// A clock can show any number; nothing that is reckoned with it may overflow.
    private static func bounded(_ wall: Int64) -> Int64 { max(0, min(wall, .max / 4)) }
}
