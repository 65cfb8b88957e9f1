import CoAPCodec
import Devices
import MQTTCodec
import NIOCore

/// Brings payloads with a Content-Format, and acknowledges each when all messages made of it are dealt with.
protocol PackCarrier: ClientConnection {
    /// Of what is being handed in.
    var contentFormat: CoAPContentFormat? { get }
    /// For one more message of what is being handed in.
    func makePacketID() -> UInt16
}

extension CoAPSender: PackCarrier {}
extension ObservedConnection: PackCarrier {}

/// SenML packs (RFC 8428), which a profile may want in pieces.
extension Client {
    /// Hands a message whose sender is known to Policy and Router: as it is, or as one message for each record of the pack that it
    /// holds.
    func admit(
        _ publish: Publish,
        payload: ByteBuffer,
        to destination: Destination,
        undo: (() -> Void)? = nil
    ) {
        guard let carrier: any PackCarrier = self.coap ?? self.observed, destination.profile.senml != .keep,
            let form = carrier.contentFormat.flatMap(SenMLForm.init)
        else { return self.core.admit(publish, payload: payload, to: destination, from: self, undo: undo) }
        do {
            let parts = try self.parts(of: publish, payload: payload, form, destination)
            for (index, part) in parts.enumerated() {
                var message = part.publish
                if index > 0 { message.packetID = carrier.makePacketID() }
                // They are in one commit, and undone together.
                let undo = index == 0 ? undo : nil
                self.core.admit(message, payload: message.payload, to: part.destination, from: self, undo: undo)
                // At QoS 0 nobody else says that it is dealt with.
                if message.qos == .atMostOnce { carrier.acknowledge(message.packetID, with: .puback) }
            }
        } catch {
            undo?()
            self.refuse(publish, error.refusal, device: destination.name, detail: error.detail)
        }
    }

    private struct Part {
        let publish: Publish
        let destination: Destination
    }

    /// Why a pack is not taken apart. All of it is refused then.
    private struct Objection: Error {
        let refusal: Refusal
        let detail: String
    }

    /// The messages of a pack, each of which the sender may publish.
    private func parts(
        of publish: Publish,
        payload: ByteBuffer,
        _ form: SenMLForm,
        _ whole: Destination
    ) throws(Objection) -> [Part] {
        guard publish.payload.readableBytes <= whole.profile.maxPayload else {
            throw Objection(
                refusal: .tooLarge,
                detail: "\(publish.payload.readableBytes) bytes, over max_payload = \(whole.profile.maxPayload)"
            )
        }
        // It is one message to the rate, and judged before any of its records is taken.
        if let pace = whole.pace, !pace.hasRoom(now: .now()) {
            throw Objection(refusal: .rate, detail: "over the rate of its profile")
        }
        let clock = self.core.wallClock
        let now = clock.isSet ? SenMLNumber.integer(clock.milliseconds / 1000) : nil
        let records: [SenMLRecord]
        do {
            records = try SenMLPack.records(of: payload, form, now: now)
        } catch {
            throw Objection(refusal: .payload, detail: "\(error)")
        }
        var parts: [Part] = []
        for (index, record) in records.enumerated() {
            let topic = record.topic(below: whole.topic.buffer)
            if let problem = self.core.configuration.limits.problem(with: topic) {
                throw Objection(refusal: .topic, detail: problem)
            }
            guard let name = try? TopicName(validating: topic),
                let destination = self.core.destination(like: whole, topic: name, isCounted: index == 0)
            else { throw Objection(refusal: .payload, detail: "SenML: a name that no topic can have") }
            guard destination.decision.isAllowed else {
                throw Objection(refusal: .policy, detail: destination.decision.explanation)
            }
            var part = publish
            part.topic = destination.topic
            part.payload = record.payload(as: whole.profile.senml)
            // The pack's own format is not that of its pieces.
            part.properties.contentType = nil
            if let objection = self.objection(to: part, destination) { throw objection }
            parts.append(Part(publish: part, destination: destination))
        }
        guard !parts.isEmpty else { throw Objection(refusal: .payload, detail: "SenML: no records") }
        if let full = self.core.uplinkWithoutRoom(forAll: parts.map { ($0.destination, $0.publish.payload) }) {
            throw Objection(refusal: .spoolFull, detail: "the spool of uplink \(full) is full")
        }
        if publish.retain, !self.core.canRetain(parts.map { ($0.publish, $0.destination) }) {
            throw Objection(refusal: .retained, detail: "as many messages are retained as may be")
        }
        return parts
    }

    /// What would be found when others of the pack are taken already.
    private func objection(to part: Publish, _ destination: Destination) -> Objection? {
        let bytes = part.payload.readableBytes
        guard bytes <= destination.profile.maxPayload else {
            return Objection(refusal: .tooLarge, detail: "a record of \(bytes) bytes, over max_payload")
        }
        guard destination.commandSession == nil else {
            return Objection(refusal: .payload, detail: "SenML: a record on a topic of session IDs")
        }
        return nil
    }
}
