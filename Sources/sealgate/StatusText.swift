import Devices
import Gateway

/// A gateway's status for people: names and values, one table for the uplinks.
struct StatusText {
    private let status: GatewayStatus

    init(_ status: GatewayStatus) {
        self.status = status
    }

    var text: String {
        let status = self.status
        var lines: [(String, String)] = [
            ("gateway", "\(Printable.text(status.name)), sealgate \(Printable.text(status.version))"),
            ("running for", Self.age(status.uptimeSeconds)),
            ("clock", self.clock),
            (
                "clients",
                "\(status.clients.connected) connected, \(status.clients.sessions) sessions, "
                    + "\(status.clients.accepted) accepted, \(status.clients.refused) refused"
            ),
            ("devices", "\(status.devices)"),
            (
                "messages",
                "\(status.messages.received) received, \(status.messages.opened) opened, "
                    + "\(status.messages.delivered) delivered here, \(status.messages.commands) commands from outside"
            ),
        ]
        if status.messages.failedCommits > 0 {
            lines.append(("disk", "\(status.messages.failedCommits) writes failed"))
        }
        if !status.refused.isEmpty { lines.append(("refused", Self.counts(status.refused))) }
        if !status.limits.isEmpty { lines.append(("limits met", Self.counts(status.limits))) }
        for listener in status.coap {
            var line =
                "\(Printable.text(listener.bind)): \(listener.requests) requests, \(listener.repeated) repeated, "
            line += "\(listener.malformed) malformed, \(listener.peers) peers, \(listener.observers) observers"
            if let sessions = listener.dtlsSessions { line += ", \(sessions) DTLS sessions" }
            lines.append(("coap", line))
        }
        for resource in status.observed {
            var line = "\(Printable.text(resource.resource)) of \(Printable.text(resource.device)): "
            line += "\(resource.state.rawValue), \(resource.values) values"
            if let reason = resource.reason { line += " (\(Printable.text(reason)))" }
            lines.append(("observed", line))
        }
        for broker in status.attached {
            let state = broker.isConnected ? "connected" : "not connected"
            lines.append(("attached", "\(Printable.text(broker.name)): \(state)"))
        }
        for uplink in status.uplinks {
            lines.append(("", ""))
            lines += Self.lines(of: uplink)
        }
        return lines.map { name, value in
            name.isEmpty ? "\n" : name + String(repeating: " ", count: max(1, 14 - name.count)) + value + "\n"
        }.joined()
    }

    private var clock: String {
        let clock = self.status.clock
        return clock.isSet
            ? "set (\(Printable.text(clock.time)))"
            : "NOT SET: shows \(Printable.text(clock.time)), and it is \(Printable.text(clock.floor)) at least"
    }

    private static func lines(of uplink: UplinkReport) -> [(String, String)] {
        var state = uplink.state.rawValue
        if let address = uplink.address { state += " to \(Printable.text(address))" }
        state += ", for \(Self.age(uplink.sinceSeconds))"
        let spool = uplink.spool
        var waiting = "\(DeadDropCommand.count(spool.messages)), \(spool.bytes) bytes"
        if let oldest = spool.oldestSeconds { waiting += ", the oldest for \(Self.age(oldest))" }
        let lanes = ["high", "normal", "low"].compactMap { name in
            spool.priorities[name].map { "\(name) \($0.messages)" }
        }
        if lanes.count > 1 { waiting += " (\(lanes.joined(separator: ", ")))" }
        var lines = [
            ("uplink", "\(Printable.text(uplink.name)): \(state)"),
            ("  answered", uplink.acknowledgedSeconds.map { "\(Self.age($0)) ago" } ?? "never in this run"),
            ("  waiting", waiting),
            ("  in flight", "\(uplink.inFlight)"),
            ("  delivered", "\(uplink.delivered)"),
            ("  lost", "\(uplink.dropped) dropped by limits, \(uplink.expired) expired"),
            ("  dead", uplink.dead == 0 ? "0" : "\(uplink.dead): see sealgate dead list --uplink \(uplink.name)"),
        ]
        if let error = uplink.lastError { lines.append(("  last error", Printable.text(error, limit: 400))) }
        return lines
    }

    private static func counts(_ counts: [String: Int]) -> String {
        counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { "\(Printable.text($0.key)) \($0.value)" }.joined(separator: ", ")
    }

    /// `3 d 4 h`, `12 min`, `8 s`: two units at most.
    static func age(_ seconds: Int) -> String {
        switch seconds {
        case ..<60: "\(max(seconds, 0)) s"
        case ..<3_600: "\(seconds / 60) min"
        case ..<86_400: "\(seconds / 3_600) h" + (seconds % 3_600 < 60 ? "" : " \(seconds % 3_600 / 60) min")
        default: "\(seconds / 86_400) d" + (seconds % 86_400 < 3_600 ? "" : " \(seconds % 86_400 / 3_600) h")
        }
    }
}
