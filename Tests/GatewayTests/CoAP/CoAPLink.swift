import CoAPCodec
import CoAPEndpoint
import Devices
import MQTTCodec
import NIOCore
import Testing
import Transport

@testable import Gateway

/// A socket's machine without the socket, with a clock that stands still unless told. On the core's loop.
///
/// Like the real channel it tells its owner nothing from inside of what the owner calls.
final class CoAPLink: CoAPAnswering {
    /// Who is behind a peer, as the transport or a query says.
    struct Person {
        var identity = Client.Identity.unproven
        var claimed: String?
    }

    private let core: GatewayCore
    private let loop: any EventLoop
    let server: CoAPServer
    let reader: CoAPReader
    private(set) var now = NIODeadline.now()
    private var actions: [CoAPAction] = []
    private var isPerforming = false
    private var isScheduled = false
    /// What went out and was not taken yet.
    private var sent: [(message: CoAPMessage, peer: CoAPPeer)] = []
    var people: [CoAPPeer: Person] = [:]
    private(set) var ended: [CoAPObservationEnd] = []
    private(set) var observations: [CoAPObservationID] = []

    init(core: GatewayCore, _ configuration: CoAPServerConfiguration = CoAPServerConfiguration()) {
        self.core = core
        self.loop = core.loop
        self.server = CoAPServer(configuration, seed: 1, now: self.now)
        self.reader = CoAPReader(core: core)
    }

    // MARK: CoAPAnswering

    @discardableResult
    func respond(to id: CoAPRequest.ID, _ response: CoAPResponse, observing: Bool) -> CoAPObservationID? {
        defer { self.settle() }
        let id = self.server.respond(to: id, response, observing: observing, now: self.now, into: &self.actions)
        if let id { self.observations.append(id) }
        return id
    }

    func notify(_ id: CoAPObservationID, _ response: CoAPResponse, isConfirmable: Bool) -> Bool {
        defer { self.settle() }
        return self.server.notify(id, response, isConfirmable: isConfirmable, now: self.now, into: &self.actions)
    }

    func endObservation(_ id: CoAPObservationID) {
        self.server.endObservation(id, now: self.now, into: &self.actions)
        self.settle()
    }

    func address(of peer: CoAPPeer) -> PeerAddress { PeerAddress(nil) }

    // MARK: The network

    /// A datagram comes.
    func receive(_ message: CoAPMessage, from peer: CoAPPeer) {
        self.server.receive(message.encoded(), from: peer, now: self.now, into: &self.actions)
        self.perform()
    }

    /// The response in the acknowledgement, or the first that is none; what else was sent stays.
    func takeAnswer(to request: CoAPMessage, from peer: CoAPPeer) -> CoAPMessage? {
        let index = self.sent.firstIndex { message, to in
            guard to == peer, message.token == request.token else { return false }
            return request.type == .confirmable
                ? message.type == .acknowledgement && message.messageID == request.messageID : true
        }
        return index.map { self.sent.remove(at: $0).message }
    }

    /// What went out to a peer since the last time.
    func take(_ peer: CoAPPeer) -> [CoAPMessage] {
        self.perform()
        defer { self.sent.removeAll { $0.peer == peer } }
        return self.sent.filter { $0.peer == peer }.map(\.message)
    }

    /// Time passes, with a tick at each deadline on the way.
    func pass(_ time: TimeAmount) {
        let end = self.now + time
        while let next = self.server.nextDeadline, next <= end {
            self.now = max(self.now, next)
            self.server.tick(now: self.now, into: &self.actions)
            self.perform()
        }
        self.now = end
    }

    /// Time passes up to the next thing that the server does by itself.
    func passToDeadline() {
        guard let next = self.server.nextDeadline else { return }
        self.pass(max(next - self.now, .zero))
    }

    private func settle() {
        guard !self.isPerforming, !self.isScheduled else { return }
        self.isScheduled = true
        self.loop.assumeIsolated().execute {
            self.isScheduled = false
            self.perform()
        }
    }

    private func perform() {
        guard !self.isPerforming else { return }
        self.isPerforming = true
        defer { self.isPerforming = false }
        while !self.actions.isEmpty {
            let actions = self.actions
            self.actions = []
            for action in actions { self.perform(action) }
        }
    }

    private func perform(_ action: CoAPAction) {
        switch action {
        case .send(let bytes, let peer):
            do {
                let message = try CoAPMessage(decoding: bytes)
                guard message.code.isEmpty, message.type == .confirmable else {
                    self.sent.append((message, peer))
                    return
                }
                // A ping: whoever is there answers.
                guard self.people[peer] != nil else { return }
                let answer = CoAPMessage.empty(.reset, messageID: message.messageID).encoded()
                self.server.receive(answer, from: peer, now: self.now, into: &self.actions)
            } catch {
                Issue.record("what is sent is no message: \(error)")
            }
        case .request(let request): self.get(request)
        case .observationDue(let id): self.reader.observationDue(id, on: self)
        case .notificationConfirmed(let id): self.reader.notificationConfirmed(id, on: self)
        case .observationEnded(let id, let end):
            self.ended.append(end)
            self.reader.observationEnded(id, end, on: self)
        }
    }

    /// `/ps/TOPIC` is a topic, `/sid` the session topic of the device behind the peer.
    private func get(_ request: CoAPRequest) {
        let person = self.people[request.peer] ?? Person()
        let path = request.options.filter { $0.number == .uriPath }.map { String(buffer: $0.value) }
        var topic = path.dropFirst().joined(separator: "/")
        let isSessionID = path == ["sid"]
        if isSessionID {
            let claimed = person.claimed.flatMap { DeviceID.of($0) }
            let own = if case .device(let id) = person.identity { id as DeviceID? } else { claimed }
            topic = own.flatMap { self.core.registry.sessionTopic(of: $0) }?.description ?? ""
        }
        guard let name = try? TopicName(topic) else {
            self.respond(to: request.id, .error(.notFound), observing: false)
            return
        }
        self.reader.get(
            request,
            topic: name,
            identity: person.identity,
            claimed: person.claimed,
            isSessionID: isSessionID,
            on: self
        )
    }
}
