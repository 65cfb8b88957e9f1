internal import NIOCore

/// Watches both directions of a connection (MQTT 3.1.1 §3.1.2.10).
///
/// A PINGREQ is due when nothing was sent for the interval, which the standard asks for `[MQTT-3.1.2-23 of 3.1.1]`, and also
/// when nothing was received for it: a gateway that only publishes at QoS 0 would otherwise never notice that nobody is
/// there.
/// The link is dead when nothing was received for one and a half intervals, so the answer has half an interval to come.
struct KeepAlive {
    enum Verdict: Equatable { case fine, ping, dead }

    /// `nil` turns the watch off.
    let interval: TimeAmount?
    private var lastSent: NIODeadline
    private var lastReceived: NIODeadline
    /// Whether a PINGREQ went out since something was received.
    private var isAsking = false

    /// - Parameter now: When CONNECT was sent.
    init(interval: TimeAmount?, now: NIODeadline) {
        self.interval = interval
        self.lastSent = now
        self.lastReceived = now
    }

    /// Something was sent at `now`, or a little later.
    mutating func sent(_ now: NIODeadline) {
        self.lastSent = now
    }

    mutating func received(_ now: NIODeadline) {
        self.lastReceived = now
        self.isAsking = false
    }

    /// When ``check(_:)`` has something to say at the earliest.
    var deadline: NIODeadline? {
        guard let interval else { return nil }
        let silence = self.isAsking ? self.deadAt(interval) : self.lastReceived + interval
        return min(self.lastSent + interval, silence)
    }

    /// What is due at `now`. The caller sends the PINGREQ and reports it with ``sent(_:)``.
    mutating func check(_ now: NIODeadline) -> Verdict {
        guard let interval else { return .fine }
        if now >= self.deadAt(interval) { return .dead }
        let isQuiet = !self.isAsking && now >= self.lastReceived + interval
        guard isQuiet || now >= self.lastSent + interval else { return .fine }
        self.isAsking = true
        return .ping
    }

    private func deadAt(_ interval: TimeAmount) -> NIODeadline {
        self.lastReceived + .nanoseconds(interval.nanoseconds / 2 * 3)
    }
}
