import CoAPCodec
import CoAPEndpoint
import Devices
import MQTTCodec
import NIOCore
import Sealing
import Transport

/// POST, PUT and DELETE: messages for the topics.
extension CoAPSite {
    func publish(_ request: CoAPRequest, path: ByteBuffer, _ identity: Client.Identity) {
        guard !request.isMulticast else { return self.turnAway(request, .error(.methodNotAllowed)) }
        let query = request.read.hasQuery ? CoAPPublishQuery(request.options) : CoAPPublishQuery()
        if let problem = query.problem { return self.turnAway(request, .error(.badRequest, problem)) }
        switch self.resources.target(of: path, device: self.device(of: identity, claimed: query.claimed)) {
        case .topic(let topic):
            guard !self.core.isCongested else {
                return self.turnAway(request, CoAPResponse(.serviceUnavailable, maxAge: CoAPSender.retryAfter))
            }
            self.publish(request, query, to: topic, as: identity)
        case .topicOfNobody:
            self.core.counters.count(.notProven)
            self.note(
                .notProven,
                request,
                "the path leads to a device's topic, and the request neither proves nor names one"
            )
            self.turnAway(request, .error(.unauthorized))
        case .sessionID, .time, .wellKnownCore: self.turnAway(request, .error(.methodNotAllowed))
        case .nothing: self.turnAwayFromNothing(request, path: path)
        }
    }

    /// Whether a block is of a message that has to be fresh, and is not.
    func needsEcho(_ request: CoAPRequest) -> Bool {
        guard [.post, .put, .delete].contains(request.method), !CoAPSender.isFresh(request),
            let identity = self.identity(of: request),
            let path = try? CoAPPath.topic(of: request.options, maxBytes: self.core.configuration.limits.maxTopicLength)
        else { return false }
        let claimed = request.read.hasQuery ? CoAPPublishQuery(request.options).claimed : nil
        let device = self.device(of: identity, claimed: claimed)
        guard case .topic(let topic) = self.resources.target(of: path, device: device) else { return false }
        return self.sender(of: request, identity, claimed: claimed).mustBeFresh(topic)
    }

    /// The device that the request is of, as far as it proves or says so.
    func device(of identity: Client.Identity, claimed: String?) -> DeviceID? {
        if case .device(let id) = identity { return id }
        return claimed.flatMap { try? DeviceID($0) }
    }

    private func publish(
        _ request: CoAPRequest,
        _ query: CoAPPublishQuery,
        to topic: TopicName,
        as identity: Client.Identity
    ) {
        let isDeletion = request.method == .delete
        if request.read.hasIfMatch || request.read.hasIfNoneMatch {
            // The answer tells something of the value, so it is for those who may read it.
            guard let channel = self.channel else { return }
            let objection = self.reader.objection(to: topic, request, identity, claimed: query.claimed, on: channel)
            if let objection { return self.turnAway(request, .error(objection)) }
            guard request.meetsPreconditions(current: self.reader.eTag(of: topic)) else {
                return self.turnAway(request, .error(.preconditionFailed))
            }
        }
        let client = self.sender(of: request, identity, claimed: query.claimed)
        guard let sender = client.coap else { return }
        // Whatever the request changes, its replay window goes to disk with it.
        if request.context != 0 { self.core.oscore.noteAccepted(request.context) }
        let posting = CoAPPosting(request, query, success: isDeletion ? .deleted : .changed)
        sender.handIn(posting) {
            var publish = Publish(
                topic: topic,
                payload: isDeletion ? ByteBuffer() : request.payload,
                qos: query.qos,
                retain: query.retain || isDeletion
            )
            publish.packetID = sender.makePacketID()
            publish.properties = self.properties(of: request, query)
            client.received(fromCoAP: publish)
            // Its sender waits for an answer all the same.
            if query.qos == .atMostOnce { sender.acknowledge(publish.packetID, with: .puback) }
            posting.device = self.device(of: identity, claimed: nil) ?? client.provenNow
            posting.likelyDevice = posting.device ?? client.lastProven
        }
    }

    /// What MQTT 5.0 has properties for.
    private func properties(of request: CoAPRequest, _ query: CoAPPublishQuery) -> MQTTProperties {
        var properties = MQTTProperties()
        if let lifetime = query.lifetime { properties.messageExpiryInterval = lifetime }
        if let type = request.read.contentFormat?.mediaType { properties.contentType = try? MQTTString(type) }
        return properties
    }

    // MARK: The answer

    /// All messages of a request are dealt with.
    func finish(_ posting: CoAPPosting) {
        let request = posting.request
        if let refusal = posting.refusal { return self.answer(request, refusal) }
        if posting.needsChallenge {
            self.channel?.challenge(request.id)
            return
        }
        guard let device = posting.device, request.isConfirmable, self.core.piggyback.serves(device) else {
            return self.answer(request, self.success(posting))
        }
        self.core.piggyback.begin(
            for: device,
            sessionID: posting.query.commandSessionID,
            isProven: request.context != 0 || request.peer.isSecure,
            room: { topic, bytes in
                let response = self.response(posting, topic, ByteBuffer())
                if let response, self.takes(response, payload: bytes, request) { return true }
                self.noteLeftBehind(topic, of: device)
                return false
            }
        ) { command in
            let response = command.flatMap { self.response(posting, $0.topic, $0.payload) }
            let isTaken =
                response.map { self.takes($0, payload: $0.payload.readableBytes, request) } ?? false
            self.answer(request, isTaken ? response ?? self.success(posting) : self.success(posting))
            return isTaken
        }
    }

    private func answer(_ request: CoAPRequest, _ response: CoAPResponse) {
        self.channel?.respond(to: request.id, response)
    }

    private func takes(_ response: CoAPResponse, payload: Int, _ request: CoAPRequest) -> Bool {
        request.takes(response, payload: payload) && self.channel?.isWaiting(for: request.id) == true
    }

    /// For the operator: a command that a node which only posts may never get.
    private func noteLeftBehind(_ topic: TopicName, of device: DeviceID) {
        self.core.refusals.note(
            .tooLarge,
            device: device.text,
            topic: topic.buffer,
            from: "the gateway",
            detail: "the answer to its post can't take this command: a topic that no path can be, or more than three "
                + "times the request, to an address that is not proven; others go first",
            now: .now()
        )
    }

    private func success(_ posting: CoAPPosting) -> CoAPResponse {
        var response = CoAPResponse(posting.success)
        if posting.query.wantsSessionID, let device = posting.likelyDevice, let id = self.sessionID(of: device) {
            response.payload = id
        }
        return response
    }

    /// A command in the answer: its topic is the Location-Path (RFC 7252 §5.10.7), so that a node with several can tell.
    private func response(_ posting: CoAPPosting, _ topic: TopicName, _ payload: ByteBuffer) -> CoAPResponse? {
        var response = CoAPResponse(posting.success, payload: payload)
        // A topic that no path can be has no name here; its command has to go another way.
        guard (try? CoAPPath.append(topic.buffer, to: &response.options, as: .locationPath)) != nil else { return nil }
        return response
    }

    /// The session ID that the device's next sealed message can use.
    private func sessionID(of device: DeviceID) -> ByteBuffer? {
        self.core.registry.sessionTopic(of: device).flatMap { self.core.channels[$0] }?.receiver.validSessionIDs.last?
            .payload
    }
}
