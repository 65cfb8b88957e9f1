package import MQTTCodec
package import NIOCore

/// The server's side of one network connection in MQTT 5.0, 3.1.1 and 3.1: which packet may come when, what it asks of the
/// owner, and what the client takes.
///
/// Pure. The owner sends, keeps time and decides who may do what; everything here is called on its loop. What outlives the
/// connection is not in here (see ``Session``).
package struct ServerConnection {
    /// What one connection may ask for; a client of MQTT 5.0 is told most of it in CONNACK.
    package struct Limits: Sendable {
        /// Most filters of one SUBSCRIBE or UNSUBSCRIBE; the standard has no bound, so that a packet could keep the gateway
        /// busy with filters that the session may not have anyway.
        package var maxFiltersPerPacket = 128
        /// Most QoS 1 and QoS 2 messages of the client that are not answered to the end, 1 to 65,535. For MQTT 5.0; a client
        /// of 3.x can't be told.
        package var receiveMaximum: UInt16 = 100
        /// Highest topic alias that is taken; 0: none.
        package var topicAliasMaximum: UInt16 = 10
        /// Longest topic in bytes for which an alias is taken: the connection keeps it.
        package var maxTopicBytes = 65_535
        /// Highest topic alias that is sent, if the client takes so many; 0: none.
        package var outboundTopicAliasMaximum: UInt16 = 10
        /// Most user properties of one packet.
        package var maxUserProperties = MQTTProperties.defaultMaxUserProperties
        /// Largest packet in bytes, fixed header included: told as Maximum Packet Size. The owner cuts the frames by it.
        package var maxPacketBytes = 256 << 10
        /// Longest keep alive that is granted, in seconds; a longer one, and none at all, is treated as this, so that no
        /// connection can hold its place for ever. 0: no such limit.
        package var maxKeepAlive: UInt16 = 3600

        package init() {}
    }

    enum Phase {
        /// Nothing but CONNECT may come `[MQTT-3.1.0-1]`.
        case awaitingConnect
        /// CONNECT came; the owner decides before it hands in the next frame `[MQTT-3.1.4-6]`.
        case deciding
        case connected
        case closed
    }

    /// In which packet the client can be told why the connection ends.
    enum LastWord {
        case none
        case connack
        case disconnect
    }

    let limits: Limits
    var phase = Phase.awaitingConnect
    var lastWord = LastWord.none
    /// The version of the CONNECT; 3.1.1 before it came.
    package internal(set) var version = MQTTVersion.v311
    /// Most QoS 1 and QoS 2 messages that the client takes before it has answered one (MQTT 5.0 §3.1.2.11.3).
    package internal(set) var clientReceiveMaximum = UInt16.max
    /// Largest packet in bytes that the client takes `[MQTT-3.1.2-24]`.
    package internal(set) var clientMaximumPacketSize = UInt32.max
    /// Whether the client wants reason strings and user properties in answers `[MQTT-3.1.2-29]`.
    package internal(set) var allowsProblemInformation = true
    /// Of a DISCONNECT that changed it, in seconds (MQTT 5.0 §3.14.2.2.2).
    package internal(set) var changedSessionExpiry: UInt32?
    /// What CONNECT asked for.
    var sessionExpiry: UInt32 = 0
    /// To be sent if the connection ends without DISCONNECT `[MQTT-3.1.2-8]`; taken by ``takeWill()``.
    var will: Will?
    var maximumQoS = QoS.exactlyOnce
    var retainAvailable = true
    var quota: InboundQuota
    var inboundAliases: InboundTopicAliases
    var outboundAliases = OutboundTopicAliases(maximum: 0)
    private var lastReceived: NIODeadline
    var keepAlive: TimeAmount?

    /// - Parameter now: The connection was opened.
    package init(now: NIODeadline, limits: Limits = Limits()) {
        self.lastReceived = now
        self.limits = limits
        self.quota = InboundQuota(maximum: limits.receiveMaximum)
        self.inboundAliases = InboundTopicAliases(
            maximum: limits.topicAliasMaximum,
            maxTopicBytes: limits.maxTopicBytes
        )
    }

    package var isConnected: Bool { self.phase == .connected }

    /// Whether CONNECT came and the owner has not decided.
    package var isDeciding: Bool { self.phase == .deciding }

    /// When the connection is dead unless something arrives before; nil with a keep alive of 0. A timer need be set anew
    /// only when it fires.
    package var deadline: NIODeadline? {
        self.keepAlive.map { self.lastReceived + $0 }
    }

    /// One frame of the client. After ``Event/close(_:)`` nothing more is handed in; if something is, it is ignored.
    package mutating func received(_ frame: MQTTFrame, now: NIODeadline) -> Event {
        self.lastReceived = now
        switch self.phase {
        case .connected:
            do throws(MQTTDecodeError) {
                return try self.receivedConnected(frame)
            } catch {
                return self.failed(error)
            }
        case .awaitingConnect:
            return self.receivedFirst(frame)
        case .deciding, .closed:
            return .none
        }
    }

    /// The byte stream can't be cut into frames any more.
    package mutating func failed(_ error: MQTTDecodeError) -> Event {
        if self.phase == .awaitingConnect, case .unsupportedProtocolLevel = error.kind {
            return self.end(.unsupportedProtocol)
        }
        return self.end(.malformed(error))  // [MQTT-4.13.1-1]
    }

    /// The owner closes the connection for a reason of its own; ``farewell(_:)`` comes before.
    package mutating func close() {
        self.phase = .closed
        self.lastWord = .none
    }

    /// The owner did not listen until now, so that silence proves nothing against the client.
    package mutating func touch(now: NIODeadline) {
        self.lastReceived = max(self.lastReceived, now)
    }

    /// Time has passed; whether the keep alive has.
    package mutating func tick(now: NIODeadline) -> Event {
        switch self.phase {
        case .connected:
            guard let deadline = self.deadline, now >= deadline else { return .none }
            return self.end(.keepAliveExpired)
        case .awaitingConnect, .deciding, .closed:
            return .none
        }
    }

    /// The CONNECT deadline has passed.
    package mutating func connectTimedOut() -> Event {
        guard self.phase == .awaitingConnect else { return .none }
        return self.end(.connectTimeout)
    }

    /// The owner's time for its decision has passed.
    package mutating func decisionTimedOut() -> Event {
        guard self.phase == .deciding else { return .none }
        return self.end(.decisionTimeout)
    }

    /// The will, once, for the end of the connection, in storage of its own; nil after a DISCONNECT that takes it back.
    package mutating func takeWill() -> Will? {
        defer { self.will = nil }
        return self.will
    }

    mutating func end(_ closure: Closure) -> Event {
        guard self.phase != .closed else { return .none }
        if !closure.publishesWill { self.will = nil }
        self.phase = .closed
        return .close(closure)
    }
}
