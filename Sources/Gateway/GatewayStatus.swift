/// What a running gateway says of itself: the answer of its control socket, and of `sealgate status --json`. Counts are since the
/// start.
package struct GatewayStatus: Codable, Sendable, Equatable {
    /// What the gateway knows of the time of day.
    package struct Clock: Codable, Sendable, Equatable {
        /// Whether the machine's clock shows a time that can be right.
        package var isSet: Bool
        /// What it shows, ISO 8601.
        package var time: String
        /// Below it the clock is not set, ISO 8601.
        package var floor: String

        private enum CodingKeys: String, CodingKey {
            case time, floor
            case isSet = "set"
        }

        package init(isSet: Bool, time: String, floor: String) {
            self.isSet = isSet
            self.time = time
            self.floor = floor
        }
    }

    /// Who is there.
    package struct Clients: Codable, Sendable, Equatable {
        package var connected: Int
        /// Those of absent clients included.
        package var sessions: Int
        package var accepted: Int
        package var refused: Int
    }

    /// What passed.
    package struct Messages: Codable, Sendable, Equatable {
        package var received: Int
        /// Sealed ones that verified.
        package var opened: Int
        package var delivered: Int
        /// Commands that came from outside.
        package var commands: Int
        package var failedCommits: Int

        private enum CodingKeys: String, CodingKey {
            case received, opened, delivered, commands
            case failedCommits = "failed_commits"
        }
    }

    /// A broker that the gateway is a client of, to hear the nodes there.
    package struct Attached: Codable, Sendable, Equatable {
        package var name: String
        package var isConnected: Bool

        private enum CodingKeys: String, CodingKey {
            case name
            case isConnected = "connected"
        }
    }

    package var version: String
    /// The `name` of gateway.conf.
    package var name: String
    package var uptimeSeconds: Int
    package var clock: Clock
    package var clients: Clients
    package var devices: Int
    package var messages: Messages
    /// By reason; those that happened only.
    package var refused: [String: Int]
    /// By the key of `[limits]`; those that were met only.
    package var limits: [String: Int]
    /// In the order of gateway.conf.
    package var uplinks: [UplinkReport]
    package var attached: [Attached]

    private enum CodingKeys: String, CodingKey {
        case version, name, clock, clients, devices, messages, refused, limits, uplinks, attached
        case uptimeSeconds = "uptime_seconds"
    }
}
