import Devices
import NIOCore
import Uplink

/// How the link is, for people and programs.
extension UplinkLink {
    /// What the link does now.
    func state(now: NIODeadline) -> UplinkReport.State {
        if self.waitsForClock { return .clock }
        return switch self.client.phase {
        case .idle, .stopped: .stopped
        case .connecting, .awaitingConnAck: .connecting
        case .waiting: .waiting
        case .connected:
            switch self.health.condition(now: now) {
            case .unproven: .unproven
            case .answering: .connected
            case .owing: .stalled
            }
        }
    }

    func report(now: NIODeadline = .now()) -> UplinkReport {
        let present = self.wallClock.present
        let state = self.state(now: now)
        let inState = (now - self.status.since).nanoseconds / 1_000_000
        let priorities = self.lanes.map { lane in
            (lane.priority.rawValue, UplinkReport.Lane(messages: lane.messages, bytes: lane.bytes))
        }
        let oldest = present.flatMap { present in self.oldestStoredAt.map { Int(max(present - $0, 0) / 1000) } }
        return UplinkReport(
            name: self.name,
            state: state,
            address: self.status.address,
            since: present.map { JSONText.time($0 - inState) },
            sinceSeconds: Int(inState / 1000),
            acknowledgedSeconds: self.health.lastAnswer.map { Int((now - $0).nanoseconds / 1_000_000_000) },
            inFlight: self.client.inFlightCount,
            spool: UplinkReport.Spool(
                messages: self.waitingMessages,
                bytes: self.waitingBytes,
                oldestSeconds: oldest,
                priorities: Dictionary(priorities, uniquingKeysWith: { first, _ in first })
            ),
            delivered: self.status.acknowledged,
            dropped: self.status.dropped,
            expired: self.status.expired,
            dead: self.status.dead,
            lastError: self.waitsForClock ? Self.clockWords : self.status.lastError
        )
    }

    static let clockWords = "the clock is not set, and certificates are judged by it"

    /// Looks whether the outside broker keeps up with acknowledging; to be called every few seconds.
    func lookAtHealth(now: NIODeadline) {
        self.health.look(oldestInFlight: self.isConnected ? self.client.oldestInFlight : nil, now: now)
    }
}
