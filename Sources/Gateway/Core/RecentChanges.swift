import Devices
import NIOCore

/// Devices that were re-keyed, revoked or removed a moment ago. What TLS proved on a connection from before is worth
/// nothing for them, even if its CONNECT comes only now. Bound to the gateway's loop.
struct RecentChanges {
    /// Longer than any connection may wait for its CONNECT: `limits.connect_timeout` has a minute at most.
    private static let kept: TimeAmount = .minutes(2)

    private var changed: [DeviceID: NIODeadline] = [:]

    /// Notes that what these devices have proven until now holds no longer.
    mutating func note(_ devices: Set<DeviceID>, now: NIODeadline) {
        self.forget(now: now)
        for device in devices { self.changed[device] = now }
    }

    /// Drops what no pending connection can be older than.
    mutating func forget(now: NIODeadline) {
        guard !self.changed.isEmpty else { return }
        self.changed = self.changed.filter { now - $0.value < Self.kept }
    }

    /// Whether the device may have been another one to a handshake of a connection that was accepted at this time.
    func holds(_ device: DeviceID, since accepted: NIODeadline) -> Bool {
        self.changed[device].map { accepted <= $0 } ?? false
    }
}
