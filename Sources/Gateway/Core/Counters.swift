import Devices

/// Why a message or a connection was turned away, for counters and the operator's log. The sender is never told which.
package enum Refusal: String, Sendable, CaseIterable {
    /// The transport proved nothing, the message was not sealed, and no plaintext profile names its sender.
    case notProven = "not proven"
    /// The seal did not verify.
    case badSeal = "bad seal"
    /// A session ID that was used before: a replay.
    case replay = "replay"
    /// The profile of the device asks for a seal and the message has none that fits.
    case sealRequired = "seal required"
    /// The transport proved one device and the seal another.
    case identityMismatch = "identity mismatch"
    /// No line of the profile allows the topic, or a deny line forbids it.
    case policy = "policy"
    /// The device is revoked or removed.
    case revoked = "revoked"
    /// The payload is larger than the profile allows.
    case tooLarge = "payload too large"
    /// Too many failures from this sender.
    case throttled = "too many failures"
    /// Over the rate of its profile, where the sender can't be slowed down: it is told, or one among many behind a broker.
    case rate = "over its rate"
    /// The spool of an uplink is full and its `when_full` says so.
    case spoolFull = "spool full"
    /// A TLS handshake that failed: a wrong key, an unknown identity, a certificate that does not hold.
    case handshake = "TLS handshake failed"
    /// A malformed packet, one that may not come now, or none in time.
    case protocolError = "protocol error"
    /// The profile may not publish retained messages, or the table of retained messages is full.
    case retained = "retained"
    /// A session ID for commands that can't be taken.
    case commandSession = "command session ID"
    /// The topic is longer or deeper than the limits allow.
    case topic = "topic over the limits"
    /// A payload that is to be taken apart, and is not what it says.
    case payload = "payload"

    /// Whether the sender failed to prove itself.
    var isOfProof: Bool {
        switch self {
        case .notProven, .badSeal, .replay, .sealRequired, .identityMismatch, .revoked: true
        default: false
        }
    }
}

/// A limit that somebody ran into, as `[limits]` of gateway.conf names it.
package enum LimitHit: String, Sendable, CaseIterable {
    case connectionsPerDevice = "max_connections_per_device"
    case sessions = "max_sessions"
    case subscriptions = "max_subscriptions"
    case topicSize = "max_topic_levels"
    case queue = "max_queued_messages"
    case receiveMaximum = "max_inflight_inbound"
    case retainedMessages = "max_retained"
}

/// What the gateway counted since it started. Bound to the gateway's loop.
package struct Counters: Sendable, Equatable {
    package var connectionsAccepted = 0
    package var connectionsRefused = 0
    package var received = 0
    /// Sealed messages that verified.
    package var opened = 0
    /// Exact repetitions of an accepted message: acknowledged, not forwarded.
    package var repeated = 0
    package var refused: [Refusal: Int] = [:]
    package var limits: [LimitHit: Int] = [:]
    /// Records handed to the store.
    package var spooled = 0
    /// Messages that no device sent, on a route to an uplink where each device has a connection of its own: not sent there.
    package var withoutIdentity = 0
    /// QoS 0 messages sent to an uplink without the store.
    package var forwardedUnstored = 0
    /// QoS 0 messages dropped because an uplink was down or busy.
    package var droppedUnstored = 0
    /// Records that the outside brokers acknowledged.
    package var acknowledgedOutside = 0
    /// Records dropped by a spool limit.
    package var droppedBySpool = 0
    /// Dead letters that went for newer ones.
    package var deadDropped = 0
    /// Deliveries to local subscribers.
    package var delivered = 0
    /// Deliveries dropped: a slow or absent subscriber, or no right to the topic any more.
    package var deliveriesDropped = 0
    /// Commands that came down from uplinks.
    package var fromUplinks = 0
    /// Messages of uplinks that no route in takes.
    package var unroutedFromUplinks = 0
    /// Commands that were sealed for their devices.
    package var commandsSealed = 0
    /// Commands given up before they were sealed: no room, their ttl over, or nobody to get them.
    package var commandsDropped = 0
    /// Messages that went round from uplink to uplink, and were not sent on.
    package var loopsEnded = 0
    /// Commits that failed; nothing of them was acknowledged.
    package var failedCommits = 0

    package init() {}

    /// All refusals together.
    package var refusedTotal: Int { self.refused.values.reduce(0, +) }

    mutating func count(_ refusal: Refusal) {
        self.refused[refusal, default: 0] += 1
    }

    mutating func count(_ limit: LimitHit) {
        self.limits[limit, default: 0] += 1
    }
}
