package import Broker
package import MQTTCodec
import NIOCore

/// What the gateway sends, and what the client takes.
extension MQTTConnection {
    package var version: MQTTVersion { self.machine.version }

    /// Most QoS 1 and QoS 2 messages that the client takes before it has answered one `[MQTT-3.3.4-9]`; 65,535 unless its
    /// CONNECT says otherwise.
    package var clientReceiveMaximum: UInt16 { self.machine.clientReceiveMaximum }

    /// Whether the client wants to be told reasons in words.
    package var allowsProblemInformation: Bool { self.machine.allowsProblemInformation }

    package var hasRoom: Bool {
        guard !self.isClosed, self.isWritable else { return false }
        return (self.output?.readableBytes ?? 0) < self.configuration.maxQueuedBytes
    }

    package func send(_ message: Message, as delivery: Delivery) -> Bool {
        guard !self.isClosed, let context = self.context else { return true }
        guard let publish = self.machine.publish(message, as: delivery, now: context.eventLoop.now) else {
            return false  // [MQTT-3.1.2-25]
        }
        let version = self.machine.version
        self.write { publish.encode(into: &$0, version: version) }
        return true
    }

    package func release(_ packetID: UInt16) {
        self.acknowledge(packetID, with: .pubrel)
    }

    /// PUBACK, or another packet about one message: PUBREC, PUBREL or PUBCOMP; under its identifier `[MQTT-2.2.1-5]`.
    ///
    /// - Parameters:
    ///   - code: one that a packet of this type may carry. A client of MQTT 3.x is told nothing but success.
    ///   - reason: for the people at the client's side; sent only if the client wants it and has room for it.
    package func acknowledge(
        _ packetID: UInt16,
        with type: MQTTPacketType = .puback,
        code: ReasonCode = .success,
        reason: String? = nil
    ) {
        guard !self.isClosed else { return }
        self.machine.answered(packetID, with: type, code)
        guard self.machine.version == .v5, code != .success || reason != nil else {
            return self.write { PubAck.write(type, packetID: packetID, into: &$0) }
        }
        var ack = PubAck(packetID: packetID, reasonCode: code)
        if let reason { ack.properties.reasonString = try? MQTTString(reason) }
        switch type {
        case .puback: self.send(.puback(ack))
        case .pubrec: self.send(.pubrec(ack))
        case .pubrel: self.send(.pubrel(ack))
        case .pubcomp: self.send(.pubcomp(ack))
        default: preconditionFailure("\(type) acknowledges no message")
        }
    }

    /// SUBACK, UNSUBACK: any packet that is not on the per-message path, without the reason strings and user properties that
    /// the client does not take. It goes at once, however many messages are in flight `[MQTT-4.9.0-3]`. A client that has no
    /// room even for the rest is cut off.
    package func send(_ packet: MQTTPacket) {
        guard !self.isClosed else { return }
        guard let packet = self.machine.fitting(packet) else {
            return self.close(.packetTooLarge, reason: "its maximum packet size leaves no room for an answer")
        }
        let version = self.machine.version
        self.write { packet.encode(into: &$0, version: version) }
    }
}
