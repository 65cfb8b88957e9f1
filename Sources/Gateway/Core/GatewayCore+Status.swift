import Broker
import Devices
import NIOCore
import Store
import Transport

extension GatewayCore {
    /// What `sealgate status` shows.
    func status() -> GatewayStatus {
        let counters = self.counters
        let refusals = self.limiter.refusals
        var refused: [String: Int] = [:]
        for (refusal, count) in counters.refused where count > 0 { refused[refusal.rawValue] = count }
        var limits: [String: Int] = [:]
        for (limit, count) in counters.limits where count > 0 { limits[limit.rawValue] = count }
        let connections = [
            ("max_connections", refusals.total), ("max_connections_per_address", refusals.perAddress),
            ("connection_rate", refusals.rate), ("max_half_open", refusals.halfOpen + refusals.displaced),
        ]
        for (name, count) in connections where count > 0 { limits[name] = count }
        return GatewayStatus(
            version: Version.text,
            name: self.configuration.name,
            uptimeSeconds: Int((NIODeadline.now() - self.started).nanoseconds / 1_000_000_000),
            clock: .init(
                isSet: self.wallClock.isSet,
                time: JSONText.time(self.wallClock.milliseconds),
                floor: JSONText.time(self.wallClock.floor)
            ),
            clients: .init(
                connected: self.clientCount,
                sessions: self.broker.sessionCount,
                accepted: counters.connectionsAccepted,
                refused: counters.connectionsRefused + self.limiter.refused
            ),
            devices: self.registry.count,
            messages: .init(
                received: counters.received,
                opened: counters.opened,
                delivered: counters.delivered,
                commands: counters.fromUplinks,
                failedCommits: counters.failedCommits
            ),
            refused: refused,
            limits: limits,
            uplinks: self.uplinks.map { $0.report(now: .now(), clock: self.wallClock) },
            attached: self.attached.map { .init(name: $0.name, isConnected: $0.isConnected) },
            coap: self.sites.map(\.report),
            observed: self.observer?.report ?? []
        )
    }
}
