package import MQTTCodec
package import NIOCore

/// The server's side of one network connection: which packet may come when, and what it asks of the owner.
///
/// Pure. The owner sends, keeps time and decides who may do what; everything here is called on its loop. MQTT 5.0 and
/// QoS 2 towards clients need further cases of ``Event``, not another shape: the session is not in here (see ``Session``).
package struct ServerConnection {
    /// What the owner must decide or do after a packet.
    package enum Event {
        case none
        /// Decide who this is, then call ``accept(_:)`` or ``refuse()``.
        case connect(Connect)
        /// Publish it; at QoS 1 a PUBACK, at QoS 2 a PUBREC is owed, in the order of these events `[MQTT-4.6.0-2]`,
        /// `[MQTT-4.6.0-3]`.
        case publish(Publish)
        /// PUBREL: a PUBCOMP is owed, and the identifier is free `[MQTT-4.3.3-2]`.
        case release(packetID: UInt16)
        /// The client has this QoS 1 message.
        case acknowledged(packetID: UInt16)
        /// A SUBACK is owed, with one code for each filter, in order `[MQTT-3.8.4-5]`.
        case subscribe(Subscribe)
        /// An UNSUBACK is owed `[MQTT-3.10.4-4]`.
        case unsubscribe(Unsubscribe)
        /// A PINGRESP is owed `[MQTT-3.12.4-1]`.
        case ping
        /// Close the network connection, after the bytes that are written already.
        case close(Closure)
    }

    /// Why the connection ends.
    package enum Closure: Error, Equatable, Sendable, CustomStringConvertible {
        /// DISCONNECT: the will is not sent `[MQTT-3.14.4-3]`.
        case disconnected
        /// The protocol name is known and its level is not: CONNACK 0x01, then close `[MQTT-3.1.2-2]`.
        case unsupportedProtocol
        case malformed(MQTTDecodeError)
        case protocolError(String)
        /// Nothing came for one and a half times the keep alive `[MQTT-3.1.2-24]`.
        case keepAliveExpired
        /// No CONNECT in time.
        case connectTimeout

        /// For the operator's log; peers are told nothing but the close.
        package var description: String {
            switch self {
            case .disconnected: "the client disconnected"
            case .unsupportedProtocol: "a protocol version that is not supported: set the client to MQTT 3.1.1"
            case .malformed(let error): "malformed packet: \(error)"
            case .protocolError(let words): "protocol error: \(words)"
            case .keepAliveExpired: "nothing received for 1.5 times the keep alive"
            case .connectTimeout: "no CONNECT in time"
            }
        }
    }

    private enum Phase {
        /// Nothing but CONNECT may come `[MQTT-3.1.0-1]`.
        case awaitingConnect
        /// CONNECT came; the owner decides before it hands in the next frame.
        case deciding
        case connected
        case closed
    }

    private var phase = Phase.awaitingConnect
    /// The version of the CONNECT; 3.1.1 before it came.
    package private(set) var version = MQTTVersion.v311
    /// To be sent if the connection ends without DISCONNECT `[MQTT-3.1.2-8]`; taken by ``takeWill()``.
    private var will: Will?
    private var lastReceived: NIODeadline
    private var keepAlive: TimeAmount?
    private let maxFiltersPerPacket: Int

    /// - Parameters:
    ///   - now: The connection was opened.
    ///   - maxFiltersPerPacket: Most filters of one SUBSCRIBE or UNSUBSCRIBE; the standard has no bound, so that a packet
    ///     could keep the gateway busy with filters that the session may not have anyway.
    package init(now: NIODeadline, maxFiltersPerPacket: Int = 128) {
        self.lastReceived = now
        self.maxFiltersPerPacket = maxFiltersPerPacket
    }

    package var isConnected: Bool { self.phase == .connected }

    /// When the connection is dead unless something arrives before; nil with a keep alive of 0. A timer need be set anew
    /// only when it fires.
    package var deadline: NIODeadline? {
        self.keepAlive.map { self.lastReceived + $0 }
    }

    /// One frame of the client. After ``Event/close(_:)`` nothing more is handed in; if something is, it is ignored.
    package mutating func received(_ frame: MQTTFrame, now: NIODeadline) -> Event {
        self.lastReceived = now
        do throws(MQTTDecodeError) {
            switch self.phase {
            case .connected:
                return try self.receivedConnected(frame)
            case .awaitingConnect:
                return try self.receivedFirst(frame)
            case .deciding, .closed:
                return .none
            }
        } catch {
            return self.failed(error)
        }
    }

    /// The byte stream can't be cut into frames any more.
    package mutating func failed(_ error: MQTTDecodeError) -> Event {
        guard self.phase != .closed else { return .none }
        let closure: Closure
        if self.phase == .awaitingConnect, case .unsupportedProtocolLevel = error.kind {
            closure = .unsupportedProtocol
        } else {
            closure = .malformed(error)
        }
        self.phase = .closed
        return .close(closure)
    }

    /// The owner let the client in.
    ///
    /// - Parameter maxKeepAlive: Longest interval that is granted, in seconds; a longer one, and none at all, is treated as
    ///   this, so that no connection can hold its place for ever. 0: no such limit.
    package mutating func accept(_ connect: Connect, maxKeepAlive: UInt16) {
        precondition(self.phase == .deciding, "accept in \(self.phase)")
        self.phase = .connected
        self.will = connect.will?.compacted()
        let asked = connect.keepAlive == 0 ? UInt16.max : connect.keepAlive
        let seconds = maxKeepAlive == 0 ? connect.keepAlive : min(asked, maxKeepAlive)
        self.keepAlive = seconds == 0 ? nil : .milliseconds(Int64(seconds) * 1500)
    }

    /// The owner refused the client, or closes the connection for a reason of its own.
    package mutating func close() {
        self.phase = .closed
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
            self.phase = .closed
            return .close(.keepAliveExpired)
        case .awaitingConnect, .deciding, .closed:
            return .none
        }
    }

    /// The CONNECT deadline has passed.
    package mutating func connectTimedOut() -> Event {
        guard self.phase == .awaitingConnect else { return .none }
        self.phase = .closed
        return .close(.connectTimeout)
    }

    /// The will, once, for the end of the connection; nil after a DISCONNECT.
    package mutating func takeWill() -> Will? {
        defer { self.will = nil }
        return self.will
    }

    private mutating func receivedFirst(_ frame: MQTTFrame) throws(MQTTDecodeError) -> Event {
        guard frame.type == .connect else {
            self.phase = .closed
            return .close(.protocolError("the first packet is not CONNECT"))
        }
        guard case .connect(let connect) = try MQTTPacket(frame: frame, version: .v311) else {
            preconditionFailure("a CONNECT frame decoded to another packet")
        }
        self.version = connect.version
        guard connect.version != .v5 else {
            self.phase = .closed
            return .close(.unsupportedProtocol)
        }
        self.phase = .deciding
        return .connect(connect)
    }

    private mutating func receivedConnected(_ frame: MQTTFrame) throws(MQTTDecodeError) -> Event {
        if frame.type == .publish {
            return .publish(try Publish(frame: frame, version: self.version))
        }
        switch try MQTTPacket(frame: frame, version: self.version) {
        case .publish: return .none
        case .puback(let puback): return .acknowledged(packetID: puback.packetID)
        case .subscribe(let subscribe):
            return self.tooMany(subscribe.subscriptions.count) ?? .subscribe(subscribe)
        case .unsubscribe(let unsubscribe):
            return self.tooMany(unsubscribe.filters.count) ?? .unsubscribe(unsubscribe)
        case .pingreq: return .ping
        case .disconnect:
            self.will = nil
            self.phase = .closed
            return .close(.disconnected)
        case .connect: return self.refuse("a second CONNECT")  // [MQTT-3.1.0-2]
        case .pubrel(let pubrel): return .release(packetID: pubrel.packetID)
        case .pubrec, .pubcomp: return self.refuse("an answer to a QoS 2 message, which was never sent")
        case .connack, .suback, .unsuback, .pingresp: return self.refuse("a packet that only a server sends")
        case .auth: return self.refuse("AUTH without enhanced authentication")
        }
    }

    private mutating func tooMany(_ filters: Int) -> Event? {
        guard filters > self.maxFiltersPerPacket else { return nil }
        return self.refuse("more filters than \(self.maxFiltersPerPacket) in one packet")
    }

    private mutating func refuse(_ words: String) -> Event {
        self.phase = .closed
        return .close(.protocolError(words))
    }
}

extension Will {
    /// The same in storage of its own, so that keeping it does not keep the read buffer of its CONNECT. MQTT 3.x has no
    /// properties, and no other will is kept.
    fileprivate func compacted() -> Will {
        var copy = self
        copy.topic = self.topic.compacted()
        copy.payload = self.payload.compacted()
        return copy
    }
}
