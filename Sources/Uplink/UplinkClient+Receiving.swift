internal import MQTTCodec
package import NIOCore

/// Packets of the broker, and what the owner answers to its messages.
extension UplinkClient {
    mutating func receivedPacket(
        _ frame: MQTTFrame,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        let packet: MQTTPacket
        do { packet = try MQTTPacket(frame: frame, version: self.version, from: .server) } catch {
            if error.kind == .topicName(.tooDeep) { return self.dropTooDeep(frame, error, now: now, into: &output) }
            return self.refuse(error, now: now, into: &output)
        }
        switch packet {
        case .publish(let publish): return self.received(publish, now: now, into: &output)
        case .puback(let pubAck): return self.receivedPubAck(pubAck, now: now, into: &output)
        case .pubrec(let pubRec): return self.receivedPubRec(pubRec, now: now, into: &output)
        case .pubrel(let pubRel): return self.receivedPubRel(pubRel.packetID, now: now, into: &output)
        case .pubcomp(let pubComp): return self.receivedPubComp(pubComp.packetID, now: now, into: &output)
        case .suback(let subAck): return self.received(subAck, now: now, into: &output)
        case .pingresp: return .none
        case .disconnect(let disconnect) where self.version == .v5:  // [MQTT-3.14.4-2] is the owner's.
            let words = ReasonWords.text(of: disconnect.properties)
            return self.fail(.disconnected(disconnect.reasonCode, words: words), now: now)
        case .auth: return self.refuse(.extendedAuthentication, .protocolError, now: now, into: &output)
        case .connack, .unsuback, .connect, .subscribe, .unsubscribe, .pingreq, .disconnect:
            return self.refuse("unexpected \(packet.type)", now: now, into: &output)
        }
    }

    // MARK: Answers to what was sent

    mutating func receivedPubAck(
        _ packetID: UInt16,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        guard let sequence = self.window.acknowledge(packetID) else {
            return self.refuse("PUBACK of a packet identifier not in use (\(packetID))", now: now, into: &output)
        }
        self.progressed(now)
        if self.window.isResending { self.resend(now: now, into: &output) }
        return .acknowledged(sequence: sequence)
    }

    private mutating func receivedPubAck(
        _ pubAck: PubAck,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        let action = self.receivedPubAck(pubAck.packetID, now: now, into: &output)
        guard pubAck.reasonCode.isFailure, case .acknowledged(let sequence) = action else { return action }
        return .refused(sequence: sequence, pubAck.reasonCode, reason: ReasonWords.text(of: pubAck.properties))
    }

    private mutating func receivedPubRec(
        _ pubRec: PubAck,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        let packetID = pubRec.packetID
        let isTaken = !pubRec.reasonCode.isFailure
        if let sequence = self.window.receivePubRec(packetID, isTaken: isTaken) {
            self.progressed(now)
            guard !isTaken else { return .pubrec(sequence: sequence, packetID: packetID) }
            if self.window.isResending { self.resend(now: now, into: &output) }
            return .refused(sequence: sequence, pubRec.reasonCode, reason: ReasonWords.text(of: pubRec.properties))
        }
        guard !self.window.isInUse(packetID) else {
            let words = "PUBREC of a message that was not sent at QoS 2 on this connection (\(packetID))"
            return self.refuse(words, now: now, into: &output)
        }
        guard isTaken else { return .none }  // Nothing is known of it, and nothing more is to be said.
        guard self.window.releases.contains(packetID) else {
            // The broker waits for a PUBREL [MQTT-4.3.3-4], [MQTT-4.3.3-1 of 3.1.1].
            self.write(.pubrel, packetID, .packetIdentifierNotFound, now: now, into: &output)
            return .none
        }
        // It was not sure that the first one arrived. The PUBREL goes out when it may.
        if self.window.releases.isWritten(packetID) { self.write(.pubrel, packetID, .success, now: now, into: &output) }
        return .none
    }

    private mutating func receivedPubComp(
        _ packetID: UInt16,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        guard self.window.complete(packetID) else {
            guard !self.window.isInUse(packetID), !self.window.releases.contains(packetID) else {
                return self.refuse("PUBCOMP without a PUBREL (\(packetID))", now: now, into: &output)
            }
            return .none  // The second answer to a PUBREL that went out twice.
        }
        self.progressed(now)
        if self.window.isResending { self.resend(now: now, into: &output) }
        return .completed(packetID: packetID)
    }

    // MARK: Messages of the broker

    private mutating func received(
        _ publish: Publish,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        var publish = publish
        if self.version == .v5 {
            switch self.inboundAliases.resolve(&publish) {
            case .topic: break
            case .tooDeep(let error):
                return self.drop(publish.qos, publish.packetID, now: now, into: &output) ?? .dropped(error)
            case .invalid: return self.refuseAlias(now: now, into: &output)
            }
        }
        guard publish.qos != .atMostOnce else { return .message(publish, nil) }
        return self.receivedReliable(publish, now: now, into: &output)
    }

    private mutating func receivedReliable(
        _ publish: Publish,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        if let end = self.overReceiveMaximum(publish.qos, publish.packetID, now: now, into: &output) { return end }
        let receipt = self.inbound.append(publish.packetID, isExactlyOnce: publish.qos == .exactlyOnce)
        guard publish.qos == .exactlyOnce else { return .message(publish, receipt) }
        switch self.held.arrival(of: publish.packetID) {
        case .new:
            self.held.insert(publish.packetID, receipt)
            return .message(publish, receipt)
        case .waiting where self.held.wait(publish.packetID, with: receipt): return .none
        case .waiting, .repeated:  // [MQTT-4.3.3-10]
            self.answer(receipt, into: &output)
            return .none
        }
    }

    mutating func refuseAlias(now: NIODeadline, into output: inout ByteBuffer) -> UplinkAction {
        let failure = UplinkFailure.protocolError("PUBLISH with a topic alias that stands for nothing")
        return self.refuse(failure, .topicAliasInvalid, now: now, into: &output)
    }

    /// The end of the connection if the broker sent one more QoS 1 or 2 message than it may `[MQTT-3.3.4-8]`.
    mutating func overReceiveMaximum(
        _ qos: QoS,
        _ packetID: UInt16,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction? {
        guard self.version == .v5 else { return nil }
        guard self.inbound.atLeastOnce + self.held.counted >= self.receiveMaximum else { return nil }
        if qos == .exactlyOnce, self.held.arrival(of: packetID) != .new { return nil }
        let words = "more messages without an answer than its Receive Maximum (\(self.receiveMaximum)) allows"
        return self.refuse(.protocolError(words), .receiveMaximumExceeded, now: now, into: &output)
    }

    private var receiveMaximum: Int { max(1, Int(self.configuration.receiveMaximum)) }

    private mutating func receivedPubRel(
        _ packetID: UInt16,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        switch self.held.release(packetID) {
        case .tell: return .released(packetID: packetID)
        case .told: return .none
        case .premature: return self.refuse("PUBREL before PUBREC (\(packetID))", now: now, into: &output)
        case .complete: self.write(.pubcomp, packetID, .success, now: now, into: &output)
        // [MQTT-4.3.3-11], [MQTT-4.3.3-2 of 3.1.1]
        case .unknown: self.write(.pubcomp, packetID, .packetIdentifierNotFound, now: now, into: &output)
        }
        return .none
    }

    // MARK: What the owner answers

    /// The gateway has taken charge of this message of the broker's, and at QoS 2 has written its identifier down: PUBACK
    /// or PUBREC goes out as soon as those of the messages before it have. For a receipt of an earlier connection nothing
    /// is written, as the broker sends that message again; at QoS 2 it is then known.
    package mutating func acknowledge(_ receipt: UplinkReceipt, into output: inout ByteBuffer) {
        if receipt.isExactlyOnce, let repeated = self.held.stored(receipt) { self.answer(repeated, into: &output) }
        self.answer(receipt, into: &output)
    }

    /// The gateway could not store this message of the broker's: it is to come again.
    ///
    /// - Returns: Whether the connection must be closed for that: the broker sends again on the next one.
    package mutating func abandon(_ receipt: UplinkReceipt) -> Bool {
        let hasRepetition = receipt.isExactlyOnce && self.held.abandon(receipt)
        return self.phase == .connected && (hasRepetition || self.inbound.contains(receipt))
    }

    /// The owner has forgotten the identifier for good after ``UplinkAction/released(packetID:)``: PUBCOMP goes out if this
    /// connection asked for it `[MQTT-4.3.3-11]`.
    package mutating func complete(packetID: UInt16, into output: inout ByteBuffer) {
        guard self.held.complete(packetID), case .connected = self.state else { return }
        self.write(.pubcomp, packetID, .success, now: self.clock, into: &output)
    }

    mutating func answer(_ receipt: UplinkReceipt, into output: inout ByteBuffer) {
        if self.inbound.complete(receipt, into: &output) { self.keepAlive.sent(self.clock) }
    }

    /// `code` is for 5.0.
    private mutating func write(
        _ type: MQTTPacketType,
        _ packetID: UInt16,
        _ code: ReasonCode,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) {
        if self.version == .v5, code != .success {
            let answer = PubAck(packetID: packetID, reasonCode: code)
            let packet = type == .pubrel ? MQTTPacket.pubrel(answer) : .pubcomp(answer)
            packet.encode(into: &output, version: .v5)
        } else {
            PubAck.write(type, packetID: packetID, into: &output)
        }
        self.keepAlive.sent(now)
    }
}
