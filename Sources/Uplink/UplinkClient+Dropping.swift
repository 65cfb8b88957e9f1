internal import MQTTCodec
package import NIOCore

/// Messages of the broker that are well-formed and over the gateway's own limits.
///
/// A broker that keeps the session sends what is not acknowledged again on every connection, and a retained message after
/// every SUBSCRIBE. So to close for such a message would keep the uplink down for ever: it is dropped, and acknowledged.
extension UplinkClient {
    static let unwantedQoS = UplinkFailure.protocolError("PUBLISH at QoS 2, which was not asked for")

    /// The header of a PUBLISH came that is too large to be taken; the owner throws the rest away as it arrives.
    ///
    /// The PUBACK goes out in its turn `[MQTT-4.6.0-2]`, though the rest of the message has yet to come: on a link that does
    /// not live long enough for the whole of it, it would otherwise come again each time.
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
        case .awaitingConnAck: return self.fail(.protocolError("PUBLISH before CONNACK"), now: now)  // [MQTT-3.2.0-1]
        case .connected: break
        }
        self.keepAlive.received(now)
        if self.link.lastProgress == nil { self.link.lastProgress = now }
        return self.drop(firstByte: firstByte, packetID: packetID, packetIDOffset: 0, into: &output) ?? .none
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
    /// looked at here.
    mutating func dropTooDeep(
        _ frame: MQTTFrame,
        _ error: MQTTDecodeError,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        var body = frame.body
        guard frame.type == .publish, let topic = body.readLengthPrefixedSlice(as: UInt16.self) else {
            return self.fail(.malformed(error), now: now)
        }
        let offset = Int(frame.headerSize)
        if let problem = Self.problem(inTopic: topic) {
            let malformed = MQTTDecodeError(kind: problem, field: "Topic Name", offset: offset)
            return self.fail(.malformed(malformed), now: now)
        }
        var packetID: UInt16 = 0
        let packetIDOffset = offset + body.readerIndex - frame.body.readerIndex
        if frame.firstByte & 0b0110 != 0 {
            guard let read = body.readInteger(as: UInt16.self) else {
                let field = "Packet Identifier"
                return self.fail(.malformed(.init(kind: .truncated, field: field, offset: packetIDOffset)), now: now)
            }
            packetID = read
        }
        let end = self.drop(
            firstByte: frame.firstByte,
            packetID: packetID,
            packetIDOffset: packetIDOffset,
            into: &output
        )
        return end ?? .dropped(error)
    }

    /// What else makes these bytes no topic name.
    private static func problem(inTopic topic: ByteBuffer) -> MQTTDecodeError.Kind? {
        do throws(MQTTString.ValidationError) { _ = try MQTTString(validating: topic) } catch {
            return .topicName(error == .nullCharacter ? .nullCharacter : .illFormedUTF8)
        }
        let hasWildcard = topic.readableBytesView.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
        return hasWildcard ? .topicName(.misplacedWildcard) : nil  // [MQTT-3.3.2-2]
    }

    /// Acknowledges what QoS 1 wants acknowledged.
    ///
    /// - Returns: The end of the connection if the header is not one that a broker may send.
    private mutating func drop(
        firstByte: UInt8,
        packetID: UInt16,
        packetIDOffset: Int,
        into output: inout ByteBuffer
    ) -> UplinkAction? {
        switch QoS(rawValue: firstByte >> 1 & 0b11) {
        case .atMostOnce:
            guard firstByte & 0b1000 == 0 else {  // [MQTT-3.3.1-2]
                let malformed = MQTTDecodeError(kind: .duplicateFlagWithQoS0, field: "DUP", offset: 0)
                return self.fail(.malformed(malformed), now: self.clock)
            }
        case .atLeastOnce:
            guard packetID != 0 else {  // [MQTT-2.3.1-1 of 3.1.1]
                let field = "Packet Identifier"
                let malformed = MQTTDecodeError(kind: .packetIdentifierZero, field: field, offset: packetIDOffset)
                return self.fail(.malformed(malformed), now: self.clock)
            }
            self.acknowledge(self.inbound.append(packetID), into: &output)
        case .exactlyOnce:
            return self.fail(Self.unwantedQoS, now: self.clock)
        case nil:  // [MQTT-3.3.1-4]
            let malformed = MQTTDecodeError(kind: .invalidQoS(3), field: "QoS", offset: 0)
            return self.fail(.malformed(malformed), now: self.clock)
        }
        return nil
    }
}
