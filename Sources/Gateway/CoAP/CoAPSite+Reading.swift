import CoAPCodec
import CoAPEndpoint
import Devices
import MQTTCodec
import NIOCore
import Transport

/// GET: values of topics, session IDs, the time, and what there is.
extension CoAPSite {
    func read(_ request: CoAPRequest, path: ByteBuffer, _ identity: Client.Identity) {
        let claimed = CoAPQuery.value("d", in: request.options).map { String(buffer: $0) }
        let target = self.resources.target(of: path, device: self.device(of: identity, claimed: claimed))
        if request.isMulticast, target != .wellKnownCore { return self.turnAway(request, .error(.notFound)) }
        guard let channel = self.channel else { return }
        switch target {
        case .topic(let topic):
            self.reader.get(
                request,
                topic: topic,
                identity: identity,
                claimed: claimed,
                isSessionID: false,
                on: channel
            )
        case .topicOfNobody: self.turnAway(request, .error(.unauthorized))
        case .sessionID:
            // Session IDs are public: they are worth nothing without the keys of the node.
            guard let topic = self.sessionTopic(for: identity, claimed: claimed) else {
                return self.turnAway(request, .error(.notFound))
            }
            self.reader.get(request, topic: topic, identity: identity, claimed: claimed, isSessionID: true, on: channel)
        case .time: self.tellTime(request)
        case .wellKnownCore: self.discover(request)
        case .nothing: self.turnAwayFromNothing(request, path: path)
        }
    }

    /// The topic of the device's session IDs, or the only one that there is.
    private func sessionTopic(for identity: Client.Identity, claimed: String?) -> TopicName? {
        if let device = self.device(of: identity, claimed: claimed) {
            return self.core.registry.sessionTopic(of: device).flatMap { self.core.channels[$0]?.topic }
        }
        guard claimed == nil, self.core.channels.count == 1 else { return nil }
        return self.core.channels.keys.first
    }

    /// Seconds since 1970, if they are known.
    private func tellTime(_ request: CoAPRequest) {
        guard self.accepts(request, .textPlain) else { return self.turnAway(request, .error(.notAcceptable)) }
        guard self.core.wallClock.isSet else {
            return self.turnAway(request, CoAPResponse(.serviceUnavailable, maxAge: CoAPSender.retryAfter))
        }
        let seconds = self.core.wallClock.milliseconds / 1000
        self.channel?.respond(
            to: request.id,
            CoAPResponse(.content, contentFormat: .textPlain, maxAge: 1, payload: ByteBuffer(string: "\(seconds)"))
        )
    }

    /// `/.well-known/core` (RFC 6690 §4), as much of it as the query asks for.
    private func discover(_ request: CoAPRequest) {
        guard self.accepts(request, .linkFormat) else { return self.turnAway(request, .error(.notAcceptable)) }
        let filter = CoRELinkFilter(request.options)
        var payload = ByteBuffer()
        for link in self.resources.links where filter.matches(link) { link.write(into: &payload) }
        // Who asks a group for what is not here gets no answer (RFC 6690 §4.1).
        if request.isMulticast, payload.readableBytes == 0 { return self.turnAway(request, .error(.notFound)) }
        self.channel?.respond(to: request.id, CoAPResponse(.content, contentFormat: .linkFormat, payload: payload))
    }

    private func accepts(_ request: CoAPRequest, _ format: CoAPContentFormat) -> Bool {
        request.read.accept.map { $0 == format } ?? true
    }
}
