import NIOCore

/// Notices when the time of day was set while the gateway ran: a Pi without a battery starts in the past and is put right
/// when the network is there.
struct ClockWatch {
    /// Differences below this are a clock being disciplined.
    private static let tolerance: Int64 = 60_000

    private let start: NIODeadline
    /// Wall time minus time since the start, in milliseconds, as last seen.
    private var offset: Int64
    private var jumpedAt: NIODeadline?

    init(now: NIODeadline, wallMilliseconds: Int64) {
        self.start = now
        self.offset = wallMilliseconds
    }

    /// How long ago the time of day jumped; nil if it never did. A jump counts from when it is seen.
    mutating func sinceJump(now: NIODeadline, wallMilliseconds: Int64) -> Duration? {
        let upTime = now - self.start
        let offset = wallMilliseconds - upTime.nanoseconds / 1_000_000
        if abs(offset - self.offset) > Self.tolerance { self.jumpedAt = now }
        self.offset = offset
        return self.jumpedAt.map { .nanoseconds((now - $0).nanoseconds) }
    }
}
