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

    /// A listener of CoAP. Counts of the DTLS handshakes are there for `coaps` alone.
    package struct CoAPListener: Codable, Sendable, Equatable {
        package var bind: String
        /// Endpoints that something is remembered of.
        package var peers: Int
        package var observers: Int
        package var dtlsSessions: Int?
        package var requests: UInt64
        /// Requests that came again.
        package var repeated: UInt64
        /// Datagrams that were no message.
        package var malformed: UInt64
        /// Requests and endpoints turned away for want of room.
        package var overloaded: UInt64
        package var handshakes: UInt64?
        package var resumptions: UInt64?
        package var failedHandshakes: UInt64?

        private enum CodingKeys: String, CodingKey {
            case bind, peers, observers, requests, repeated, malformed, overloaded, handshakes, resumptions
            case dtlsSessions = "dtls_sessions"
            case failedHandshakes = "failed_handshakes"
        }
    }

    /// A resource of a node that the gateway observes.
    package struct ObservedResource: Codable, Sendable, Equatable {
        /// How it stands with it.
        package enum State: String, Codable, Sendable {
            /// Nothing was heard of it yet in this run.
            case waiting
            /// The node tells of changes.
            case observed
            /// The node takes no observers, so it is asked again and again.
            case polled
            /// It can't be read at present.
            case failing
        }

        /// As `[[observe]]` names it.
        package var resource: String
        package var device: String
        package var state: State
        /// Since it is ``State/failing``: why.
        package var reason: String?
        /// Values that came, refused ones included.
        package var values: UInt64
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
    /// In the order of gateway.conf.
    package var coap: [CoAPListener]
    /// In the order of gateway.conf.
    package var observed: [ObservedResource]

    private enum CodingKeys: String, CodingKey {
        case version, name, clock, clients, devices, messages, refused, limits, uplinks, attached, coap, observed
        case uptimeSeconds = "uptime_seconds"
    }
}
