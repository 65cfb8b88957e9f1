package import MQTTCodec
package import NIOCore

/// The gateway's side of one connection after another to an outside broker: an MQTT 3.1.1 client.
///
/// Pure: bytes to send are appended to the buffer that is handed in, the rest is returned as ``UplinkAction``, and time
/// comes in as `now`. The event loop that owns the connection calls everything here. After each call the owner sends what
/// the buffer gained; ``nextDeadline`` says when it must call ``tick(now:into:)`` at the latest. A timer that fires
/// early does no harm, so it need be set anew only when it has fired.
///
/// Delivery is at least once: a QoS 1 message stays here from ``send(sequence:topic:payload:qos:retain:into:)`` until the
/// broker's PUBACK, over any number of connections, and is sent again on each, before any new message and in the
/// order in which it was sent at first `[MQTT-4.4.0-1]`, `[MQTT-4.6.0-1]`.
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

    /// Most unacknowledged QoS 1 messages that can be asked for: packet identifier 0 does not exist, and 65,535 is left to
    /// SUBSCRIBE.
    package static let maxInFlight = Int(InFlightWindow.lastPacketID)

    /// Of every connection.
    let version = MQTTVersion.v311
    /// As given, or with the credentials of ``replaceCredentials(userName:password:)``.
    package internal(set) var configuration: Configuration
    var state: State = .idle
    var backoff: Backoff
    var generator: JitterGenerator
    /// Meaningful in `.connected` only; kept beside the state, for a payload of an enum is copied when it changes.
    var link: Link
    var keepAlive: KeepAlive
    var window: InFlightWindow
    var inbound = InboundReceipts()
    /// The latest time that an event brought. Used for what was sent between two events: too early, never too late.
    var clock: NIODeadline = .uptimeNanoseconds(0)
    var lastSequence: Int64 = .min

    /// - Parameter seed: Of the jitter.
    package init(configuration: Configuration, seed: UInt64 = .random(in: 0 ... .max)) {
        self.configuration = configuration
        self.backoff = configuration.backoff
        self.generator = JitterGenerator(seed: seed)
        self.window = InFlightWindow(limit: configuration.inFlight, maxBytes: configuration.inFlightBytes)
        self.link = Link(since: .uptimeNanoseconds(0))
        self.keepAlive = KeepAlive(interval: nil, now: .uptimeNanoseconds(0))
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

    /// QoS 1 messages for which there is room; 0 unless connected. The limit on bytes may refuse one all the same.
    package var freeSlots: Int {
        guard case .connected = self.state else { return 0 }
        return self.window.freeSlots
    }

    /// QoS 1 messages that the broker has yet to acknowledge (or whose predecessors it has).
    package var inFlightCount: Int { self.window.count }

    /// Every message that was sent with a number up to this one is done: acknowledged, or sent at QoS 0. `nil` if none.
    ///
    /// So a whole range of records can be removed at once, after each burst of reads.
    package var acknowledgedThrough: Int64? {
        let through = self.window.firstSequence.map { $0 - 1 } ?? self.lastSequence
        return through == .min ? nil : through
    }

    /// `false` while so many messages of the broker wait for ``acknowledge(_:into:)`` that reading should pause.
    package var wantsRead: Bool { self.inbound.count < self.configuration.inboundLimit }

    /// Until when ``tick(now:into:)`` must be called at the latest; `nil` when there is nothing to wait for.
    package var nextDeadline: NIODeadline? {
        switch self.state {
        case .idle, .connecting, .stopped: nil
        case .awaitingConnAck(let until), .waiting(let until): until
        case .connected: [self.keepAlive.deadline, self.progressDeadline, self.provenDeadline].compactMap(\.self).min()
        }
    }

    // MARK: Events

    /// Begins the first connection. Once.
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
        let seconds = self.configuration.keepAliveSeconds
        self.keepAlive = KeepAlive(interval: seconds == 0 ? nil : .seconds(Int64(seconds)), now: now)
        self.writeConnect(into: &output)
    }

    /// The connection ended, or could not be made; `reason` in words. Late news of a connection that this client
    /// gave up changes nothing.
    package mutating func transportClosed(reason: String, now: NIODeadline) -> UplinkAction {
        self.clock = now
        switch self.state {
        case .connecting, .awaitingConnAck, .connected: return self.fail(.transport(reason), now: now)
        case .waiting, .stopped: return .none
        case .idle: preconditionFailure("transport closed in \(self.phase)")
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
            case .dead: return self.fail(.silent(keepAlive: .seconds(self.configuration.keepAliveSeconds)), now: now)
            case .ping:
                output.writeInteger(0xC000, as: UInt16.self)  // PINGREQ [MQTT-3.1.2-23 of 3.1.1]
                self.keepAlive.sent(now)
            }
            return .none
        }
    }

    /// Ends the client for good. In a connection it writes DISCONNECT, and the owner closes `[MQTT-3.14.4-1 of 3.1.1]`
    /// when the buffer is flushed. What is in flight stays unacknowledged.
    package mutating func stop(into output: inout ByteBuffer) {
        if case .connected = self.state { output.writeInteger(0xE000, as: UInt16.self) }
        self.state = .stopped
        self.inbound.removeAll()
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
                return self.receivedPubAck(packetID, now: now)
            }
            return self.receivedPacket(frame, now: now, into: &output)
        }
    }

    // MARK: Sending

    /// Sends one message, encoded straight into `output`.
    ///
    /// At QoS 1 it stays in flight until acknowledged; `topic` and `payload` are kept until then, so slices of large
    /// buffers keep those alive.
    ///
    /// - Parameters:
    ///   - sequence: The owner's number of the message, higher than that of every message before.
    ///   - topic: At the outside broker.
    ///   - payload: At most 268,369,000 bytes, so that the packet can be written down at all.
    ///   - qos: QoS 2 is sent as 1, until the client has that half of the protocol.
    /// - Returns: `false`, and nothing is changed, unless connected and with room in the window.
    package mutating func send(
        sequence: Int64,
        topic: TopicName,
        payload: ByteBuffer,
        qos: QoS,
        retain: Bool,
        into output: inout ByteBuffer
    ) -> Bool {
        guard case .connected = self.state else { return false }
        precondition(sequence > self.lastSequence, "message \(sequence) sent after \(self.lastSequence)")
        if qos == .atMostOnce {
            Publish.write(
                topic: topic,
                payload: payload,
                qos: .atMostOnce,
                retain: retain,
                version: self.version,
                into: &output
            )
        } else {
            let wasEmpty = self.window.isEmpty
            let entry = InFlightWindow.Entry(sequence: sequence, topic: topic, payload: payload, retain: retain)
            guard let packetID = self.window.append(entry) else { return false }
            if wasEmpty, self.link.subscribing == nil { self.link.lastProgress = nil }
            self.write(entry, packetID: packetID, dup: false, into: &output)
        }
        self.lastSequence = sequence
        self.keepAlive.sent(self.clock)
        return true
    }

    /// The gateway has taken charge of this message of the broker's: its PUBACK goes out as soon as those of the messages
    /// before it have. A receipt of an earlier connection is ignored: the broker sends that message again.
    package mutating func acknowledge(_ receipt: UplinkReceipt, into output: inout ByteBuffer) {
        if self.inbound.complete(receipt, into: &output) { self.keepAlive.sent(self.clock) }
    }
}
