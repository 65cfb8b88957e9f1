/// How one uplink is, as programs read it: on its state topic, and in `sealgate status --json`. Ages are in seconds.
package struct UplinkReport: Codable, Sendable, Equatable {
    /// What it does now.
    package enum State: String, Codable, Sendable, CaseIterable {
        /// The outside broker accepted the connection and acknowledges.
        case connected
        /// It accepted the connection, and has acknowledged nothing on it yet.
        case unproven
        /// It has not acknowledged a message for longer than ``LinkHealth/patience``.
        case stalled
        /// TCP, TLS or MQTT is being set up.
        case connecting
        /// The last connection failed; the next attempt has its time.
        case waiting
        /// Certificates can't be judged before the clock is set.
        case clock
        /// Not begun, or over.
        case stopped
    }

    /// What waits on disk.
    package struct Spool: Codable, Sendable, Equatable {
        /// Messages, in all lanes.
        package var messages: Int
        /// Their topics, payloads and properties.
        package var bytes: Int
        /// Since the oldest of known time was taken; nil: none waits, or the clock is not set.
        package var oldestSeconds: Int?
        /// By priority: `high`, `normal`, `low`.
        package var priorities: [String: Lane]

        private enum CodingKeys: String, CodingKey {
            case messages, bytes, priorities
            case oldestSeconds = "oldest_seconds"
        }
    }

    /// What waits at one priority.
    package struct Lane: Codable, Sendable, Equatable {
        package var messages: Int
        package var bytes: Int
    }

    /// The `NAME` of `[uplink.NAME]`.
    package var name: String
    package var state: State
    /// The broker that is connected, as in gateway.conf.
    package var address: String?
    /// When the broker accepted the connection, or the last one ended, ISO 8601; nil while the clock is not set.
    package var since: String?
    /// The same, as an age.
    package var sinceSeconds: Int
    /// Since the last acknowledgement of any kind; nil: none in this run.
    package var acknowledgedSeconds: Int?
    /// Messages sent and not yet acknowledged.
    package var inFlight: Int
    package var spool: Spool
    /// Messages that the outside broker acknowledged in this run.
    package var delivered: Int
    /// Messages that a limit of the spool took in this run.
    package var dropped: Int
    /// Messages that outlived their expiry in this run.
    package var expired: Int
    /// Messages that went to the dead letters in this run.
    package var dead: Int
    /// Why the last connection ended or did not come about, or what is waited for.
    package var lastError: String?

    private enum CodingKeys: String, CodingKey {
        case name, state, address, since, spool, delivered, dropped, expired, dead
        case sinceSeconds = "since_seconds"
        case acknowledgedSeconds = "acknowledged_seconds"
        case inFlight = "in_flight"
        case lastError = "last_error"
    }

    /// Whether this is news that does not wait: another state, address or error.
    func isNews(after other: UplinkReport?) -> Bool {
        guard let other else { return true }
        return self.state != other.state || self.address != other.address || self.lastError != other.lastError
    }

    /// Whether anything but ages is different.
    func differs(from other: UplinkReport?) -> Bool {
        guard let other else { return true }
        return self.withoutAges != other.withoutAges
    }

    private var withoutAges: UplinkReport {
        var copy = self
        copy.since = nil
        copy.sinceSeconds = 0
        copy.acknowledgedSeconds = nil
        copy.spool.oldestSeconds = nil
        return copy
    }
}
