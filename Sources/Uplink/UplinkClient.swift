package import MQTTCodec
package import NIOCore

/// The gateway's side of one connection after another to an outside broker: a client of MQTT 3.1.1 or 5.0.
///
/// Pure: bytes to send are appended to the buffer that is handed in, the rest is returned as ``UplinkAction``, and time
/// comes in as `now`. The event loop that owns the connection calls everything here. After each call the owner sends what
/// the buffer gained; ``nextDeadline`` says when it must call ``tick(now:into:)`` at the latest. A timer that fires
/// early does no harm, so it need be set anew only when it has fired.
///
/// Delivery is at least once at QoS 1: a message stays here from ``send(_:now:into:)`` until the broker's PUBACK, over any
/// number of connections, and is sent again on each, before any new message and in the order in which it was sent at first
/// `[MQTT-4.4.0-1]`, `[MQTT-4.6.0-1]`. At QoS 2 it is exactly once, also over restarts of the process, if the owner writes down
/// what ``UplinkAction`` says and gives it back with ``restore(releases:held:)``.
package struct UplinkClient {
    /// Where the client stands.
    package enum Phase: Equatable, Sendable {
        /// ``start(now:)`` was not called yet.
        case idle
        /// TCP and TLS are being set up.
        case connecting
        /// CONNECT is out.
        case awaitingConnAck
        /// CONNACK came: messages flow.
        case connected
        /// A connection failed; the next attempt has its time.
        case waiting
        /// ``stop(into:)`` was called.
        case stopped
    }

    /// A connection that the broker accepted.
    struct Link {
        let since: NIODeadline
        /// Whether the broker still has the session.
        var isSessionPresent = false
        var subscribing: Subscribing?
        /// Whether the broker has acknowledged a message, or has stayed for 30 s.
        var isProven = false
        /// Time of the last acknowledgement, or of the first event after the client began to wait for one; `nil` between
        /// that beginning, which brings no time, and the event.
        var lastProgress: NIODeadline?
    }

    enum State {
        case idle
        case connecting
        case awaitingConnAck(until: NIODeadline)
        case connected
        case waiting(until: NIODeadline)
        case stopped
    }

    /// A link that lived so long has proved good even without an acknowledgement.
    static let provenAfter: TimeAmount = .seconds(30)

    /// Most messages in flight that can be asked for: as many as QoS 1 has packet identifiers.
    package static let maxInFlight = Int(AtLeastOnceWindow.lastPacketID)

    /// The packet identifier that a QoS 2 message with this number has, also after a restart, without having been written down.
    package static func exactlyOnceID(of sequence: Int64) -> UInt16 {
        ExactlyOnceWindow.packetID(of: sequence)
    }

    /// As given, or with the credentials of ``replaceCredentials(userName:password:)``.
    package internal(set) var configuration: Configuration
    /// What the broker publishes when the gateway is lost: of the next CONNECT. The configuration's at first.
    package var will: Will?
    /// Of every connection.
    let version: MQTTVersion
    var state: State = .idle
    var backoff: Backoff
    var generator: JitterGenerator
    /// Meaningful in `.connected` only; kept beside the state, for a payload of an enum is copied when it changes.
    var link: Link
    /// What the broker of the present or last connection takes.
    package internal(set) var server = ServerLimits()
    var keepAlive: KeepAlive
    var window: OutboundWindow
    var outboundAliases = OutboundTopicAliases(maximum: 0)
    var inbound = InboundReceipts()
    var held = HeldIdentifiers()
    var inboundAliases: InboundTopicAliases
    /// What the broker called a client without an identifier.
    var assignedClientID: MQTTString?
    /// The latest time that an event brought. Used for what was sent between two events: too early, never too late.
    var clock: NIODeadline = .uptimeNanoseconds(0)

    /// - Parameter seed: Of the jitter.
    package init(configuration: Configuration, seed: UInt64 = .random(in: 0 ... .max)) {
        precondition(configuration.version != .v31, "MQTT 3.1 is not for uplinks")
        self.configuration = configuration
        self.version = configuration.version
        self.will = configuration.will
        self.backoff = configuration.backoff
        self.generator = JitterGenerator(seed: seed)
        self.window = OutboundWindow(
            limit: configuration.inFlight,
            exactlyOnceLimit: configuration.version == .v5 ? .max : configuration.exactlyOnceInFlight,
            maxBytes: configuration.inFlightBytes
        )
        self.inboundAliases = InboundTopicAliases(maximum: configuration.inboundTopicAliasMaximum)
        self.link = Link(since: .uptimeNanoseconds(0))
        self.keepAlive = KeepAlive(interval: nil, now: .uptimeNanoseconds(0))
    }

    /// Takes over the QoS 2 state of an earlier run. Before ``start(now:)``.
    ///
    /// - Parameters:
    ///   - releases: Identifiers of messages that the broker has, in the order in which that was written down.
    ///   - held: Identifiers of messages that the gateway has and the broker has not released.
    package mutating func restore(releases: [UInt16], held: [UInt16]) {
        guard case .idle = self.state else { preconditionFailure("restore in \(self.phase)") }
        for packetID in releases where packetID != 0 {
            self.window.releases.append(packetID, sequence: nil, isCounted: false, isReleased: true)
        }
        for packetID in held where packetID != 0 { self.held.restore(packetID) }
    }

    // MARK: What the owner may ask

    /// Where the client stands.
    package var phase: Phase {
        switch self.state {
        case .idle: .idle
        case .connecting: .connecting
        case .awaitingConnAck: .awaitingConnAck
        case .connected: .connected
        case .waiting: .waiting
        case .stopped: .stopped
        }
    }

    /// Most messages that are in flight at a time, 1 to the configuration's. Lowered to 1, it lets the next connections
    /// show which message a broker closes on: ``oldestInFlight``. May change at any time.
    package var windowLimit: Int {
        get { self.window.limit }
        set { self.window.limit = max(1, min(newValue, self.configuration.inFlight)) }
    }

    /// QoS 1 and 2 messages for which there is room; 0 unless connected, and while those of the connection before are sent
    /// again. The limit on bytes may refuse one all the same.
    package var freeSlots: Int {
        guard case .connected = self.state else { return 0 }
        return self.window.freeSlots
    }

    /// QoS 1 and 2 messages that the broker has yet to answer to the end (or whose predecessors it has).
    package var inFlightCount: Int { self.window.count }

    /// Number of the message that was sent first of those that the broker has not taken. Looks at all of them.
    package var oldestInFlight: Int64? { self.window.oldest }

    /// `false` while so many messages of the broker wait for ``acknowledge(_:into:)`` that reading should pause.
    package var wantsRead: Bool { self.inbound.count < self.configuration.inboundLimit }

    /// Until when ``tick(now:into:)`` must be called at the latest; `nil` when there is nothing to wait for.
    package var nextDeadline: NIODeadline? {
        switch self.state {
        case .idle, .connecting, .stopped: nil
        case .awaitingConnAck(let until), .waiting(let until): until
        case .connected: Self.first(self.keepAlive.deadline, Self.first(self.progressDeadline, self.provenDeadline))
        }
    }

    private static func first(_ a: NIODeadline?, _ b: NIODeadline?) -> NIODeadline? {
        guard let a, let b else { return a ?? b }
        return min(a, b)
    }

    // MARK: Events

    /// Begins the first connection, or the first after ``rest(into:)``.
    package mutating func start(now: NIODeadline) -> UplinkAction {
        guard case .idle = self.state else { preconditionFailure("start in \(self.phase)") }
        self.clock = now
        self.state = .connecting
        return .connect
    }

    /// TCP, and TLS if there is any, is up: CONNECT goes out.
    package mutating func transportConnected(now: NIODeadline, into output: inout ByteBuffer) {
        self.clock = now
        switch self.state {
        case .connecting: break
        case .stopped, .waiting: return  // The owner was about to close it.
        case .idle, .awaitingConnAck, .connected: preconditionFailure("transport connected in \(self.phase)")
        }
        self.state = .awaitingConnAck(until: now + TimeAmount(self.configuration.connAckTimeout))
        self.watch(seconds: self.configuration.keepAliveSeconds, now: now)
        self.writeConnect(into: &output)
    }

    /// The connection ended, or could not be made; `reason` in words. Late news of a connection that this client
    /// gave up changes nothing.
    package mutating func transportClosed(reason: String, now: NIODeadline) -> UplinkAction {
        self.clock = now
        switch self.state {
        case .connecting, .awaitingConnAck, .connected: return self.fail(.transport(reason), now: now)
        case .idle, .waiting, .stopped: return .none
        }
    }

    /// Time has passed.
    package mutating func tick(now: NIODeadline, into output: inout ByteBuffer) -> UplinkAction {
        self.clock = now
        switch self.state {
        case .idle, .connecting, .stopped:
            return .none
        case .waiting(let until):
            guard now >= until else { return .none }
            self.state = .connecting
            return .connect
        case .awaitingConnAck(let until):
            guard now >= until else { return .none }
            return self.fail(.noConnAck(within: self.configuration.connAckTimeout), now: now)
        case .connected:
            if let deadline = self.provenDeadline, now >= deadline { self.prove() }
            if self.link.lastProgress == nil { self.link.lastProgress = now }
            if let deadline = self.progressDeadline, now >= deadline {
                return self.fail(.notAcknowledging(within: self.configuration.acknowledgementTimeout), now: now)
            }
            switch self.keepAlive.check(now) {
            case .fine: break
            case .dead:
                return self.fail(.silent(keepAlive: .seconds(self.keepAliveSeconds)), now: now)
            case .ping:
                output.writeInteger(0xC000, as: UInt16.self)  // PINGREQ [MQTT-3.1.2-20], [MQTT-3.1.2-23 of 3.1.1]
                self.keepAlive.sent(now)
            }
            return .none
        }
    }

    /// Ends the client for good. In a connection it writes DISCONNECT, and the owner closes `[MQTT-3.14.4-1]`,
    /// `[MQTT-3.14.4-1 of 3.1.1]` when the buffer is flushed. What is in flight stays unacknowledged, and the will is not sent.
    package mutating func stop(into output: inout ByteBuffer) {
        if case .connected = self.state { output.writeInteger(0xE000, as: UInt16.self) }
        self.state = .stopped
        self.connectionEnded()
    }

    /// One frame from the broker. Frames that arrive behind the one that ended the connection are ignored.
    package mutating func received(_ frame: MQTTFrame, now: NIODeadline, into output: inout ByteBuffer) -> UplinkAction
    {
        self.clock = now
        switch self.state {
        case .idle, .connecting, .waiting, .stopped:
            return .none
        case .awaitingConnAck:
            self.keepAlive.received(now)
            return self.receivedFirst(frame, now: now, into: &output)
        case .connected:
            self.keepAlive.received(now)
            if self.link.lastProgress == nil { self.link.lastProgress = now }
            // A PUBACK of two bytes is nearly all that comes; it needs no packet value.
            if frame.firstByte == 0x40, frame.body.readableBytes == 2,
                let packetID = frame.body.getInteger(at: frame.body.readerIndex, as: UInt16.self)
            {
                return self.receivedPubAck(packetID, now: now, into: &output)
            }
            return self.receivedPacket(frame, now: now, into: &output)
        }
    }

    /// Seconds between two signs of life; 0: none are asked for. As often as the broker wants them `[MQTT-3.1.2-21]`, and not
    /// less often than the gateway itself does: a broker that wants none must not keep it from noticing that the link is dead.
    var keepAliveSeconds: UInt16 {
        let own = self.configuration.keepAliveSeconds
        guard let server = self.server.keepAlive, server > 0 else { return own }
        return own > 0 ? min(own, server) : server
    }

    /// Asks for the watch over a connection on which something was sent and received just now.
    mutating func watch(seconds: UInt16, now: NIODeadline) {
        self.keepAlive = KeepAlive(interval: seconds == 0 ? nil : .seconds(Int64(seconds)), now: now)
    }
}
