internal import MQTTCodec
package import NIOCore

/// Messages to the broker.
extension UplinkClient {
    /// Sends one message, encoded straight into `output`.
    ///
    /// At QoS 1 and 2 it stays in flight until it is answered; topic, payload and properties are kept until then, so slices
    /// of large buffers keep those alive. QoS and RETAIN are lowered to what the broker takes.
    ///
    /// - Returns: Nothing is changed unless it was sent.
    package mutating func send(
        _ message: consuming UplinkMessage,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkSendOutcome {
        guard case .connected = self.state else { return .noRoom }
        if let reason = self.server.problem(with: message, version: self.version, now: now) {
            switch reason {
            case .expired: return .expired
            case .tooLarge(let limit): return .tooLarge(limit: limit)
            }
        }
        let qos = min(message.qos, self.server.maxQoS)
        guard qos != .atMostOnce else {
            self.write(message, qos: .atMostOnce, packetID: 0, dup: false, now: now, into: &output)
            self.keepAlive.sent(self.clock)
            return .sentAtMostOnce
        }
        let wasOwed = self.window.isOwed || self.link.subscribing != nil
        guard let packetID = self.window.packetID(for: message, qos: qos) else { return .noRoom }
        if !wasOwed { self.link.lastProgress = nil }
        let dup = message.isRepeat && self.link.isSessionPresent  // [MQTT-3.3.1-1]
        self.write(message, qos: qos, packetID: packetID, dup: dup, now: now, into: &output)
        self.window.append(message, qos: qos)
        self.keepAlive.sent(self.clock)
        return .sent
    }

    /// The owner has written down that the broker has the QoS 2 message of this identifier, and that the message is not to be
    /// sent again: its PUBREL goes out, in its turn, on this connection or the next.
    package mutating func release(packetID: UInt16, into output: inout ByteBuffer) {
        let wasOwed = self.window.isOwed || self.link.subscribing != nil
        let isConnected = self.phase == .connected
        guard self.window.releases.release(packetID, into: &output, isConnected: isConnected) else { return }
        if !wasOwed { self.link.lastProgress = nil }
        self.keepAlive.sent(self.clock)
    }

    /// The owner has forgotten the identifier for good after ``UplinkAction/completed(packetID:)``, or ``UplinkSession``: another
    /// message may have it.
    package mutating func forget(packetID: UInt16) {
        self.window.forget(packetID)
    }

    /// Takes a message in flight out, for good; only while there is no connection. The broker may have it all the same.
    ///
    /// At QoS 2 its identifier stays in use until the broker has answered the release: the owner writes that down as after
    /// ``UplinkAction/pubrec(sequence:packetID:)``, under ``exactlyOnceID(of:)``, and need not call
    /// ``release(packetID:into:)``.
    ///
    /// - Returns: `false` if it is not in flight, or there is a connection.
    package mutating func withdraw(sequence: Int64) -> Bool {
        guard self.phase != .connected else { return false }
        return self.window.withdraw(sequence: sequence)
    }

    /// What was in flight, once more, with the same packet identifiers `[MQTT-4.4.0-1]`, as far as the broker and the window
    /// let it. To a broker that has the session these are repetitions `[MQTT-3.3.1-1]`; to another they are new.
    mutating func resend(now: NIODeadline, into output: inout ByteBuffer) {
        var hasWritten = false
        while let (packetID, message) = self.window.nextToResend() {
            let qos: QoS = packetID < ExactlyOnceWindow.firstPacketID ? .atLeastOnce : .exactlyOnce
            let dup = self.link.isSessionPresent
            self.write(message, qos: qos, packetID: packetID, dup: dup, now: now, into: &output)
            hasWritten = true
        }
        if hasWritten { self.keepAlive.sent(now) }
    }

    // MARK: Writing

    @inline(__always)
    mutating func write(
        _ message: borrowing UplinkMessage,
        qos: QoS,
        packetID: UInt16,
        dup: Bool,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) {
        let isPlain = message.properties.isAbsent && message.expiry == nil && self.outboundAliases.maximum == 0
        guard self.version != .v5 || isPlain else {
            return self.writeV5(message, qos: qos, packetID: packetID, dup: dup, now: now, into: &output)
        }
        Publish.write(
            topic: message.topic,
            payload: message.payload,
            qos: qos,
            retain: message.retain && self.server.retainAvailable,  // [MQTT-3.2.2-14]
            dup: dup,
            packetID: packetID,
            version: self.version,
            into: &output
        )
    }

    private mutating func writeV5(
        _ message: borrowing UplinkMessage,
        qos: QoS,
        packetID: UInt16,
        dup: Bool,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) {
        var properties = message.propertiesToSend(now: now)
        // A longer header may be needed for three bytes more.
        let hasRoom = self.server.maxPacketBytes - message.packetSize(qos, properties) >= 5
        var topic: TopicName? = message.topic
        switch self.outboundAliases.use(for: message.topic, hasRoom: hasRoom) {
        case .topicOnly: break
        case .known(let alias):
            properties.topicAlias = alias
            topic = nil
        case .new(let alias): properties.topicAlias = alias
        }
        Publish.write(
            topic: topic,
            payload: message.payload,
            qos: qos,
            retain: message.retain && self.server.retainAvailable,  // [MQTT-3.2.2-14]
            dup: dup,
            packetID: packetID,
            properties: properties,
            into: &output
        )
    }
}

extension ServerLimits {
    /// Why the broker can't have the message; `nil` if it can.
    @inline(__always)
    func problem(
        with message: borrowing UplinkMessage,
        version: MQTTVersion,
        now: NIODeadline
    ) -> UplinkSession.UnsendableReason? {
        if let expiry = message.expiry, expiry <= now { return .expired }
        // Enough for nearly all: a fixed header has at most 5 bytes, and there are lengths, identifier and expiry.
        let bytes = message.topic.buffer.readableBytes + message.payload.readableBytes
        if message.properties.isAbsent, bytes + 18 <= self.maxPacketBytes { return nil }
        let qos = min(message.qos, self.maxQoS)
        let properties = version == .v5 ? message.propertiesToSend(now: now) : PublishProperties(ofMessage: .init())
        return message.packetSize(qos, properties) > self.maxPacketBytes ? .tooLarge(limit: self.maxPacketBytes) : nil
    }
}

extension UplinkMessage {
    /// Of the packet with its whole topic.
    fileprivate func packetSize(_ qos: QoS, _ properties: PublishProperties) -> Int {
        Publish.encodedSize(
            topicBytes: self.topic.buffer.readableBytes,
            payloadBytes: self.payload.readableBytes,
            qos: qos,
            properties: properties
        )
    }

    /// Those of the message, and what is left of its time: at least a second, for it was judged before.
    fileprivate func propertiesToSend(now: NIODeadline) -> PublishProperties {
        var ofMessage = self.properties
        if !ofMessage.isAbsent, ofMessage.hasThoseOfPacket { ofMessage = ofMessage.ofMessage }  // [MQTT-3.3.4-6]
        let interval = self.expiry.map { expiry in
            UInt32(clamping: max(1, ((expiry - now).nanoseconds + 999_999_999) / 1_000_000_000))
        }
        return PublishProperties(ofMessage: ofMessage, messageExpiryInterval: interval)
    }
}

extension MQTTProperties {
    /// Whether there are some that one packet has for itself.
    fileprivate var hasThoseOfPacket: Bool {
        self.topicAlias != nil || self.messageExpiryInterval != nil || !self.subscriptionIdentifiers.isEmpty
    }
}
