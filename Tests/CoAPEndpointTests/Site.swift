import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// A server, a clock that stands still unless told, and peers that write messages.
final class Site {
    static let node = CoAPPeer(ipv4: 0x0A00_0001, port: 5683)
    static let other = CoAPPeer(ipv4: 0x0A00_0002, port: 40_000)
    /// A peer behind a handshake: its address is proven.
    static let secure = CoAPPeer(ipv4: 0x0A00_0003, port: 40_001, session: 1)

    let server: CoAPServer
    private(set) var now: NIODeadline
    /// What the server asked for, besides sending, since the last ``takeEvents()``.
    private(set) var events: [CoAPAction] = []
    /// What went out and was not taken yet.
    private(set) var sent: [(message: CoAPMessage, bytes: ByteBuffer, peer: CoAPPeer)] = []
    /// Answers each request at once; `nil` leaves it open.
    var resource: ((CoAPRequest) -> CoAPResponse?)?
    /// Whether the resource takes observers.
    var observable = false
    /// Observations that were taken.
    private(set) var observations: [CoAPObservationID] = []

    init(
        seed: UInt64 = 1,
        protection: (any CoAPProtection)? = nil,
        now: NIODeadline = .uptimeNanoseconds(1_000_000_000_000),
        _ change: (inout CoAPServerConfiguration) -> Void = { _ in }
    ) {
        var configuration = CoAPServerConfiguration()
        change(&configuration)
        self.now = now
        self.server = CoAPServer(configuration, protection: protection, seed: seed, now: now)
    }

    // MARK: Going on

    /// Hands a datagram in and gives what goes back to its sender at once.
    @discardableResult
    func receive(_ datagram: ByteBuffer, from peer: CoAPPeer = Site.node, multicast: Bool = false) -> [CoAPMessage] {
        self.feed(datagram, from: peer, multicast: multicast)
        return self.take(for: peer)
    }

    /// Hands a datagram in.
    func feed(_ datagram: ByteBuffer, from peer: CoAPPeer = Site.node, multicast: Bool = false) {
        var actions: [CoAPAction] = []
        self.server.receive(datagram, from: peer, isMulticast: multicast, now: self.now, into: &actions)
        self.perform(actions)
    }

    @discardableResult
    func receive(_ message: CoAPMessage, from peer: CoAPPeer = Site.node, multicast: Bool = false) -> [CoAPMessage] {
        self.receive(message.encoded(), from: peer, multicast: multicast)
    }

    /// Time passes, with a tick at each deadline on the way.
    func pass(_ time: TimeAmount) {
        let end = self.now + time
        var ticks = 0
        while let next = self.server.nextDeadline, next <= end {
            self.now = max(self.now, next)
            self.tick()
            ticks += 1
            precondition(ticks < 100_000, "the server asks to be woken for nothing")
        }
        self.now = end
        self.tick()
    }

    /// Time passes up to the next deadline; what goes out then.
    func passToDeadline() -> [CoAPMessage] {
        guard let next = self.server.nextDeadline else { return [] }
        self.now = max(self.now, next)
        self.tick()
        return self.take()
    }

    private func tick() {
        var actions: [CoAPAction] = []
        self.server.tick(now: self.now, into: &actions)
        self.perform(actions)
    }

    func respond(_ id: CoAPRequest.ID, _ response: CoAPResponse, observing: Bool = false) -> CoAPObservationID? {
        var actions: [CoAPAction] = []
        let observation = self.server.respond(to: id, response, observing: observing, now: self.now, into: &actions)
        self.perform(actions)
        return observation
    }

    func ignore(_ id: CoAPRequest.ID) {
        var actions: [CoAPAction] = []
        self.server.ignore(id, now: self.now, into: &actions)
        self.perform(actions)
    }

    func challenge(_ id: CoAPRequest.ID) {
        var actions: [CoAPAction] = []
        self.server.challenge(id, now: self.now, into: &actions)
        self.perform(actions)
    }

    @discardableResult
    func notify(_ id: CoAPObservationID, _ response: CoAPResponse, isConfirmable: Bool = false) -> Bool {
        var actions: [CoAPAction] = []
        let isThere = self.server.notify(
            id,
            response,
            isConfirmable: isConfirmable,
            now: self.now,
            into: &actions
        )
        self.perform(actions)
        return isThere
    }

    func endObservation(_ id: CoAPObservationID) {
        var actions: [CoAPAction] = []
        self.server.endObservation(id, now: self.now, into: &actions)
        self.perform(actions)
    }

    func forget(_ peer: CoAPPeer) {
        var actions: [CoAPAction] = []
        self.server.forget(peer, into: &actions)
        self.perform(actions)
    }

    private func perform(_ actions: [CoAPAction]) {
        for action in actions {
            switch action {
            case .send(let bytes, let peer):
                do {
                    self.sent.append((try CoAPMessage(decoding: bytes), bytes, peer))
                } catch {
                    Issue.record("the server sends \(bytes.hexDump(format: .compact)): \(error)")
                }
            case .request(let request):
                self.events.append(action)
                guard let response = self.resource?(request) else { continue }
                if let observation = self.respond(request.id, response, observing: self.observable) {
                    self.observations.append(observation)
                }
            case .observationDue, .observationEnded, .notificationConfirmed:
                self.events.append(action)
            }
        }
    }

    // MARK: Looking

    /// What went out to a peer, or to all.
    func take(for peer: CoAPPeer? = nil) -> [CoAPMessage] {
        let taken = self.sent.filter { peer == nil || $0.peer == peer }
        self.sent.removeAll { peer == nil || $0.peer == peer }
        return taken.map(\.message)
    }

    /// The bytes of what went out.
    func takeBytes() -> [ByteBuffer] {
        defer { self.sent.removeAll() }
        return self.sent.map(\.bytes)
    }

    /// Requests that were handed to the owner.
    func takeRequests() -> [CoAPRequest] {
        let requests = self.events.compactMap { if case .request(let request) = $0 { request } else { nil } }
        self.events.removeAll { if case .request = $0 { true } else { false } }
        return requests
    }

    /// Observations that ended, and why.
    func takeEnded() -> [CoAPObservationEnd] {
        let ended = self.events.compactMap { if case .observationEnded(_, let reason) = $0 { reason } else { nil } }
        self.events.removeAll { if case .observationEnded = $0 { true } else { false } }
        return ended
    }

    /// Observations of which a notification that was owed is confirmed.
    func takeConfirmed() -> [CoAPObservationID] {
        let confirmed = self.events.compactMap { if case .notificationConfirmed(let id) = $0 { id } else { nil } }
        self.events.removeAll { if case .notificationConfirmed = $0 { true } else { false } }
        return confirmed
    }

    /// Observers that are to be asked.
    func takeDue() -> [CoAPObservationID] {
        let due = self.events.compactMap { if case .observationDue(let id) = $0 { id } else { nil } }
        self.events.removeAll { if case .observationDue = $0 { true } else { false } }
        return due
    }
}

// MARK: - Messages

/// A token for tests.
func token(_ text: String) -> CoAPToken {
    guard let token = CoAPToken(Array(text.utf8)) else { preconditionFailure("no token") }
    return token
}

/// A request for tests: path with slashes, more options, a body.
func request(
    _ method: CoAPCode,
    _ path: String,
    type: CoAPMessageType = .confirmable,
    id: UInt16 = 1,
    token text: String = "t",
    _ options: [(CoAPOptionNumber, [UInt8])] = [],
    body: String = ""
) -> CoAPMessage {
    var list = CoAPOptions()
    for segment in path.split(separator: "/") { list.append(.uriPath, String(segment)) }
    for (number, value) in options { list.append(number, ByteBuffer(bytes: value)) }
    return CoAPMessage(
        type: type,
        code: method,
        messageID: id,
        token: token(text),
        options: list,
        payload: ByteBuffer(string: body)
    )
}

/// A response of the owner.
func response(_ code: CoAPCode, _ body: String = "", eTag: [UInt8]? = nil) -> CoAPResponse {
    CoAPResponse(code, eTag: eTag.map { ByteBuffer(bytes: $0) }, payload: ByteBuffer(string: body))
}

func empty(_ type: CoAPMessageType, _ messageID: UInt16) -> CoAPMessage { .empty(type, messageID: messageID) }

extension CoAPMessage {
    var text: String { String(buffer: self.payload) }
    /// The value of an option that is a number.
    func number(_ number: CoAPOptionNumber) -> UInt64? { self.options.first { $0.number == number }.flatMap(\.uint) }
    func block(_ number: CoAPOptionNumber) -> CoAPBlock? {
        self.number(number).flatMap { CoAPBlock(value: UInt32(clamping: $0)) }
    }
}
