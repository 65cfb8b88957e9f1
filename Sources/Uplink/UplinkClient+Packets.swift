internal import MQTTCodec
internal import NIOCore

/// The answers to packets, and the ends of connections.
extension UplinkClient {
    /// A SUBSCRIBE that waits for its SUBACK. They go out one after the other, all under the one packet identifier that
    /// PUBLISH never uses.
    struct Subscribing {
        static let packetID: UInt16 = 0xFFFF

        /// The part of the configuration's subscriptions that this SUBSCRIBE names.
        var asked: Range<Int>
        /// Filters that the broker refused so far.
        var refused: [TopicFilter] = []
    }

    // MARK: Packets

    /// The first packet of a connection must be CONNACK `[MQTT-3.2.0-1]`.
    mutating func receivedFirst(
        _ frame: MQTTFrame,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        let packet: MQTTPacket
        do { packet = try MQTTPacket(frame: frame, version: self.version, from: .server) } catch {
            return self.fail(.malformed(error), now: now)
        }
        guard case .connack(let connAck) = packet else {
            return self.fail(.protocolError("\(packet.type) before CONNACK"), now: now)
        }
        guard connAck.reasonCode == .success else { return self.fail(.refused(connAck.reasonCode), now: now) }
        if connAck.sessionPresent, self.configuration.cleanSession {
            return self.fail(.protocolError("CONNACK tells of a session that was not asked for"), now: now)
        }
        self.state = .connected
        self.link = Link(since: now, lastProgress: now)
        self.subscribe(from: 0, refused: [], now: now, into: &output)
        self.resend(into: &output)
        return .connected(sessionPresent: connAck.sessionPresent)
    }

    mutating func receivedPacket(
        _ frame: MQTTFrame,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        let packet: MQTTPacket
        do { packet = try MQTTPacket(frame: frame, version: self.version, from: .server) } catch {
            if error.kind == .topicName(.tooDeep) { return self.dropTooDeep(frame, error, now: now, into: &output) }
            return self.fail(.malformed(error), now: now)
        }
        switch packet {
        case .publish(let publish):
            switch publish.qos {
            case .atMostOnce: return .message(publish, nil)
            case .atLeastOnce: return .message(publish, self.inbound.append(publish.packetID))
            case .exactlyOnce: return self.fail(Self.unwantedQoS, now: now)
            }
        case .puback(let pubAck):
            return self.receivedPubAck(pubAck.packetID, now: now)
        case .suback(let subAck):
            return self.received(subAck, now: now, into: &output)
        case .pingresp:
            return .none
        case .connack, .pubrec, .pubrel, .pubcomp, .unsuback, .connect, .subscribe, .unsubscribe, .pingreq, .disconnect,
            .auth:
            return self.fail(.protocolError("unexpected \(packet.type)"), now: now)
        }
    }

    mutating func receivedPubAck(_ packetID: UInt16, now: NIODeadline) -> UplinkAction {
        guard let sequence = self.window.acknowledge(packetID) else {
            return self.fail(.protocolError("PUBACK of a packet identifier not in use (\(packetID))"), now: now)
        }
        self.progressed(now)
        return .acknowledged(sequence: sequence)
    }

    private mutating func received(_ subAck: SubAck, now: NIODeadline, into output: inout ByteBuffer) -> UplinkAction {
        guard let subscribing = self.link.subscribing, subAck.packetID == Subscribing.packetID else {
            return self.fail(.protocolError("SUBACK of a packet identifier not in use (\(subAck.packetID))"), now: now)
        }
        let asked = self.configuration.subscriptions[subscribing.asked]
        guard subAck.reasonCodes.count == asked.count else {
            let words = "SUBACK with \(subAck.reasonCodes.count) return codes for \(asked.count) filters"
            return self.fail(.protocolError(words), now: now)
        }
        // No proof of a good link: two gateways with one client id get this far, each time one ousts the other.
        self.link.lastProgress = now
        let refused = zip(asked, subAck.reasonCodes).filter { $1.isFailure }.map(\.0.filter)
        return self.subscribe(
            from: subscribing.asked.upperBound,
            refused: subscribing.refused + refused,
            now: now,
            into: &output
        )
    }

    // MARK: Writing

    mutating func writeConnect(into output: inout ByteBuffer) {
        let connect = Connect(
            version: self.version,
            clientID: self.configuration.clientID,
            cleanStart: self.configuration.cleanSession,
            keepAlive: self.configuration.keepAliveSeconds,
            userName: self.configuration.userName,
            password: self.configuration.password
        )
        MQTTPacket.connect(connect).encode(into: &output, version: self.version)
    }

    /// Asks for the next subscriptions, or tells that all were answered.
    @discardableResult
    private mutating func subscribe(
        from first: Int,
        refused: [TopicFilter],
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        let all = self.configuration.subscriptions
        guard first < all.count else {
            self.link.subscribing = nil
            return .subscribed(refused: refused)
        }
        let asked = first..<min(first + max(1, self.configuration.filtersPerSubscribe), all.count)
        self.link.subscribing = Subscribing(asked: asked, refused: refused)
        let subscriptions = all[asked].map { Subscription(filter: $0.filter, qos: min($0.qos, .atLeastOnce)) }
        let subscribe = Subscribe(packetID: Subscribing.packetID, subscriptions: subscriptions)
        MQTTPacket.subscribe(subscribe).encode(into: &output, version: self.version)
        self.keepAlive.sent(now)
        return .none
    }

    /// Everything in flight once more, with the same packet identifiers, oldest first `[MQTT-4.4.0-1]`. To a broker that
    /// was asked to keep the session these are repetitions `[MQTT-3.3.1-1]`; in a clean session they are new.
    private mutating func resend(into output: inout ByteBuffer) {
        let dup = !self.configuration.cleanSession
        self.window.forEachUnacknowledged { packetID, entry in
            self.write(entry, packetID: packetID, dup: dup, into: &output)
        }
    }

    func write(_ entry: InFlightWindow.Entry, packetID: UInt16, dup: Bool, into output: inout ByteBuffer) {
        Publish.write(
            topic: entry.topic,
            payload: entry.payload,
            qos: .atLeastOnce,
            retain: entry.retain,
            dup: dup,
            packetID: packetID,
            version: self.version,
            into: &output
        )
    }

    // MARK: Time and ends

    /// When it is too long that the broker has acknowledged nothing; `nil` while it owes nothing.
    var progressDeadline: NIODeadline? {
        guard !self.window.isEmpty || self.link.subscribing != nil else { return nil }
        return (self.link.lastProgress ?? self.clock) + TimeAmount(self.configuration.acknowledgementTimeout)
    }

    /// When a link without an acknowledgement has proved good by its age; `nil` if it has already.
    var provenDeadline: NIODeadline? {
        self.link.isProven ? nil : self.link.since + Self.provenAfter
    }

    /// From here on the next failure waits the shortest time again.
    mutating func prove() {
        self.link.isProven = true
        self.backoff.reset()
    }

    private mutating func progressed(_ now: NIODeadline) {
        self.link.lastProgress = now
        if !self.link.isProven { self.prove() }
    }

    /// Ends the connection. What is in flight stays for the next one; what the broker sent is forgotten, for it sends
    /// that again.
    mutating func fail(_ failure: UplinkFailure, now: NIODeadline) -> UplinkAction {
        if case .connected = self.state, let deadline = self.provenDeadline, now >= deadline { self.prove() }
        let wait = self.backoff.next(using: &self.generator)
        let retryAt = now + TimeAmount(wait)
        self.state = .waiting(until: retryAt)
        self.inbound.removeAll()
        return .close(failure, retryAt: retryAt)
    }
}
