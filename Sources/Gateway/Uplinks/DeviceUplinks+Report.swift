import Devices
import NIOCore
import Uplink

/// How the uplink is, for people and programs: all devices together.
extension DeviceUplinks {
    /// Of all devices' links.
    func report(now: NIODeadline, clock: WallClock) -> UplinkReport {
        let links = self.links
        let present = clock.present
        let answers = links.compactMap(\.health.lastAnswer)
        let states = Set(links.map { $0.state(now: now) })
        let order: [UplinkReport.State] = [.connected, .unproven, .stalled, .clock, .connecting, .waiting]
        let age = (now - self.since).nanoseconds / 1_000_000
        let oldest = present.flatMap { present in
            self.share.oldestStoredAt.map { Int(max(present - $0, 0) / 1000) }
        }
        return UplinkReport(
            name: self.name,
            state: order.first { states.contains($0) } ?? .stopped,
            address: links.lazy.compactMap(\.status.address).first,
            since: present.map { JSONText.time($0 - age) },
            sinceSeconds: Int(age / 1000),
            acknowledgedSeconds: answers.max().map { Int((now - $0).nanoseconds / 1_000_000_000) },
            inFlight: links.reduce(0) { $0 + $1.client.inFlightCount },
            spool: UplinkReport.Spool(
                messages: self.share.messages,
                bytes: self.share.bytes,
                oldestSeconds: oldest,
                priorities: self.share.priorities
            ),
            delivered: links.reduce(self.retired.acknowledged) { $0 + $1.status.acknowledged },
            dropped: links.reduce(self.retired.dropped) { $0 + $1.status.dropped },
            expired: links.reduce(self.retired.expired) { $0 + $1.status.expired },
            dead: links.reduce(self.retired.dead) { $0 + $1.status.dead },
            lastError: self.lastError.map { "device \($0.device): \($0.words)" }
        )
    }
}

extension UplinkAtWork {
    func report(now: NIODeadline, clock: WallClock) -> UplinkReport {
        switch self {
        case .gateway(let link): link.report(now: now)
        case .devices(let devices): devices.report(now: now, clock: clock)
        }
    }
}
