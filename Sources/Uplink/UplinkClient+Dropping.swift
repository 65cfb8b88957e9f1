internal import MQTTCodec
package import NIOCore

/// Messages of the broker that are well-formed and over the gateway's own limits.
///
/// A broker that keeps the session sends what is not acknowledged again on every connection, and a retained message after
/// every SUBSCRIBE. So to close for such a message would keep the uplink down for ever: it is dropped, and acknowledged.
extension UplinkClient {
    /// The header of a PUBLISH came that is too large to be taken; the owner throws the rest away as it arrives.
    ///
    /// The PUBACK or PUBREC goes out in its turn `[MQTT-4.6.0-2]`, though the rest of the message has yet to come: on a link
    /// that does not live long enough for the whole of it, it would otherwise come again each time. A broker of 5.0, which
    /// was told how large its packets may be, is treated alike.
    ///
    /// - Parameters:
    ///   - firstByte: Of the packet.
    ///   - packetID: As it arrived; not read at QoS 0.
    package mutating func skipped(
        firstByte: UInt8,
        packetID: UInt16,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        self.clock = now
        switch self.state {
        case .idle, .connecting, .waiting, .stopped: return .none
        case .awaitingConnAck:  // [MQTT-3.2.0-1]
            return self.refuse("PUBLISH before CONNACK", now: now, into: &output)
        case .connected: break
        }
        self.keepAlive.received(now)
        if self.link.lastProgress == nil { self.link.lastProgress = now }
        // Its properties are not seen: it may have given an alias another meaning.
        self.inboundAliases.removeAll()
        func malformed(_ kind: MQTTDecodeError.Kind, _ field: String) -> UplinkAction {
            self.refuse(MQTTDecodeError(kind: kind, field: field, offset: 0), now: now, into: &output)
        }
        guard let qos = QoS(rawValue: firstByte >> 1 & 0b11) else {
            return malformed(.invalidQoS(3), "QoS")  // [MQTT-3.3.1-4]
        }
        if qos == .atMostOnce, firstByte & 0b1000 != 0 {
            return malformed(.duplicateFlagWithQoS0, "DUP")  // [MQTT-3.3.1-2]
        }
        if qos != .atMostOnce, packetID == 0 {
            return malformed(.packetIdentifierZero, "Packet Identifier")  // [MQTT-2.2.1-3], [MQTT-2.3.1-1 of 3.1.1]
        }
        return self.drop(qos, packetID, now: now, into: &output) ?? .none
    }

    /// Bytes of a message that ``skipped(firstByte:packetID:now:into:)`` told of came in. The broker lives, and can
    /// neither answer PINGREQ nor acknowledge anything before the end of that message.
    package mutating func skipping(now: NIODeadline) {
        self.clock = now
        guard case .connected = self.state else { return }
        self.keepAlive.received(now)
        self.link.lastProgress = now
    }

    /// A PUBLISH whose topic has more levels than the gateway takes. The decoder stopped there, so the rest of the format is
    /// looked at here: once more, with another topic in its place.
    mutating func dropTooDeep(
        _ frame: MQTTFrame,
        _ error: MQTTDecodeError,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        var rest = frame.body
        guard frame.type == .publish, let topic = rest.readLengthPrefixedSlice(as: UInt16.self) else {
            return self.refuse(error, now: now, into: &output)
        }
        if let problem = Self.problem(inTopic: topic) {
            let offset = Int(frame.headerSize)
            return self.refuse(.init(kind: problem, field: "Topic Name", offset: offset), now: now, into: &output)
        }
        var body = ByteBuffer(bytes: [0, 1, UInt8(ascii: "x")])
        body.writeImmutableBuffer(rest)
        // It may be the Response Topic that is too deep: then the properties are left alone, as of a message that is skipped.
        let isResponseTopic = error.field != "Topic Name"
        if isResponseTopic { self.inboundAliases.removeAll() }
        var publish: Publish
        do {
            publish = try Publish(
                frame: MQTTFrame(firstByte: frame.firstByte, body: body),
                version: isResponseTopic ? .v311 : self.version,
                from: .server
            )
        } catch {
            return self.refuse(error, now: now, into: &output)
        }
        if case .invalid = self.inboundAliases.resolve(&publish, tooDeep: error) {
            return self.refuseAlias(now: now, into: &output)
        }
        return self.drop(publish.qos, publish.packetID, now: now, into: &output) ?? .dropped(error)
    }

    /// What else makes these bytes no topic name.
    private static func problem(inTopic topic: ByteBuffer) -> MQTTDecodeError.Kind? {
        do throws(MQTTString.ValidationError) { _ = try MQTTString(validating: topic) } catch {
            return .topicName(error == .nullCharacter ? .nullCharacter : .illFormedUTF8)
        }
        let hasWildcard = topic.readableBytesView.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
        return hasWildcard ? .topicName(.misplacedWildcard) : nil  // [MQTT-3.3.2-2]
    }

    /// Acknowledges what QoS 1 and 2 want acknowledged.
    ///
    /// - Returns: The end of the connection, if the broker had no right to send it.
    mutating func drop(
        _ qos: QoS,
        _ packetID: UInt16,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction? {
        guard qos != .atMostOnce else { return nil }
        if let end = self.overReceiveMaximum(qos, packetID, now: now, into: &output) { return end }
        let isNew = qos == .exactlyOnce && self.held.arrival(of: packetID) == .new
        if isNew { self.held.insert(packetID, nil) }
        self.answer(self.inbound.append(packetID, isExactlyOnce: qos == .exactlyOnce), into: &output)
        return nil
    }
}
