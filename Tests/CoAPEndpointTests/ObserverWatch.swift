import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// An observer, a clock that stands still unless told, and nodes that write messages.
final class ObserverWatch {
    static let node = CoAPPeer(ipv4: 0x0A00_0007, port: 5683)
    static let other = CoAPPeer(ipv4: 0x0A00_0008, port: 5683)

    let observer: CoAPObserver
    private(set) var now: NIODeadline
    /// What went out and was not taken yet.
    private(set) var sent: [(message: CoAPMessage, bytes: ByteBuffer, peer: CoAPPeer)] = []
    /// What reached the owner and was not taken yet.
    private(set) var representations: [ObservedRepresentation] = []
    private(set) var failures: [CoAPObserverFailure] = []
    /// Whether each was observed.
    private(set) var established: [Bool] = []
    private(set) var isStopped = false
    /// Acknowledges each representation at once.
    var acknowledges = true

    init(
        seed: UInt64 = 1,
        now: NIODeadline = .uptimeNanoseconds(1_000_000_000_000),
        _ change: (inout CoAPObserverConfiguration) -> Void = { _ in }
    ) {
        var configuration = CoAPObserverConfiguration()
        change(&configuration)
        self.observer = CoAPObserver(configuration, seed: seed)
        self.now = now
    }

    // MARK: Going on

    @discardableResult
    func observe(_ resource: CoAPResource = CoAPResource(path: ["temp"]), of peer: CoAPPeer = node) -> CoAPTargetID? {
        var actions: [CoAPObserverAction] = []
        defer { self.perform(actions) }
        return self.observer.observe(resource, of: peer, now: self.now, into: &actions)
    }

    func feed(_ datagram: ByteBuffer, from peer: CoAPPeer = node) {
        self.run { self.observer.receive(datagram, from: peer, now: self.now, into: &$0) }
    }

    /// Hands a message in and gives what goes back at once.
    @discardableResult
    func receive(_ message: CoAPMessage, from peer: CoAPPeer = node) -> [CoAPMessage] {
        self.feed(message.encoded(), from: peer)
        return self.take()
    }

    /// Time passes, with a tick at each deadline on the way.
    func pass(_ time: TimeAmount) {
        let end = self.now + time
        var ticks = 0
        while let next = self.observer.nextDeadline, next <= end {
            self.now = max(self.now, next)
            self.run { self.observer.tick(now: self.now, into: &$0) }
            ticks += 1
            precondition(ticks < 100_000, "the observer asks to be woken for nothing")
        }
        self.now = end
        self.run { self.observer.tick(now: self.now, into: &$0) }
    }

    /// Time passes until something goes out; how long that was.
    @discardableResult
    func passUntilSent(within limit: TimeAmount = .hours(48)) -> TimeAmount {
        let start = self.now
        while self.sent.isEmpty, let next = self.observer.nextDeadline, next - start <= limit {
            self.now = max(self.now, next)
            self.run { self.observer.tick(now: self.now, into: &$0) }
        }
        return self.now - start
    }

    func acknowledge(_ receipt: CoAPReceipt?) {
        if let receipt { self.run { self.observer.acknowledge(receipt, now: self.now, into: &$0) } }
    }

    func decline(_ receipt: CoAPReceipt) { self.observer.decline(receipt) }

    func leave(_ id: CoAPTargetID) { self.run { self.observer.leave(id, now: self.now, into: &$0) } }

    func move(_ id: CoAPTargetID, to peer: CoAPPeer) {
        self.run { self.observer.move(id, to: peer, now: self.now, into: &$0) }
    }

    func registerAll() { self.run { self.observer.registerAll(now: self.now, into: &$0) } }

    func stop() { self.run { self.observer.stop(now: self.now, into: &$0) } }

    private func run(_ body: (inout [CoAPObserverAction]) -> Void) {
        var actions: [CoAPObserverAction] = []
        body(&actions)
        self.perform(actions)
    }

    private func perform(_ actions: [CoAPObserverAction]) {
        for action in actions {
            switch action {
            case .send(let bytes, let peer):
                do {
                    self.sent.append((try CoAPMessage(decoding: bytes), bytes, peer))
                } catch {
                    Issue.record("the observer sends \(bytes.hexDump(format: .compact)): \(error)")
                }
            case .representation(let representation):
                self.representations.append(representation)
                if self.acknowledges { self.acknowledge(representation.receipt) }
            case .established(_, let isObserved): self.established.append(isObserved)
            case .failed(_, let failure): self.failures.append(failure)
            case .stopped:
                #expect(!self.isStopped)
                self.isStopped = true
            }
        }
    }

    // MARK: Looking

    func take() -> [CoAPMessage] {
        defer { self.sent.removeAll() }
        return self.sent.map(\.message)
    }

    /// With where they go.
    func takeSent() -> [(message: CoAPMessage, bytes: ByteBuffer, peer: CoAPPeer)] {
        defer { self.sent.removeAll() }
        return self.sent
    }

    /// The only request that went out.
    func takeRequest() throws -> CoAPMessage {
        let taken = self.take()
        #expect(taken.count == 1)
        let request = try #require(taken.first)
        #expect(request.type == .confirmable && request.code == .get)
        return request
    }

    /// The bodies that reached the owner.
    func takeTexts() -> [String] {
        defer { self.representations.removeAll() }
        return self.representations.map { String(buffer: $0.payload) }
    }

    func takeFailures() -> [CoAPObserverFailure] {
        defer { self.failures.removeAll() }
        return self.failures
    }

    func takeEstablished() -> [Bool] {
        defer { self.established.removeAll() }
        return self.established
    }

    /// An observer whose node has answered the registration with `0` and this sequence number.
    static func observing(
        sequence: UInt32 = 10,
        maxAge: UInt32? = nil,
        _ change: (inout CoAPObserverConfiguration) -> Void = { _ in }
    ) throws -> (watch: ObserverWatch, token: CoAPToken) {
        let watch = ObserverWatch(change)
        watch.observe()
        let request = try watch.takeRequest()
        #expect(watch.receive(answer(to: request, "0", observe: sequence, maxAge: maxAge)).isEmpty)
        #expect(watch.takeTexts() == ["0"])
        #expect(watch.takeEstablished() == [true])
        return (watch, request.token)
    }
}

// MARK: - Messages of nodes

private func representation(_ options: [(CoAPOptionNumber, ByteBuffer)], observe: UInt32?, maxAge: UInt32?)
    -> CoAPOptions
{
    var list = CoAPOptions()
    if let observe { list.append(.observe, uint: observe) }
    if let maxAge { list.append(.maxAge, uint: maxAge) }
    for (number, value) in options { list.append(number, value) }
    return list
}

/// A piggybacked response.
func answer(
    to request: CoAPMessage,
    _ body: String = "",
    code: CoAPCode = .content,
    observe: UInt32? = nil,
    maxAge: UInt32? = nil,
    _ options: [(CoAPOptionNumber, ByteBuffer)] = []
) -> CoAPMessage {
    CoAPMessage(
        type: .acknowledgement,
        code: code,
        messageID: request.messageID,
        token: request.token,
        options: representation(options, observe: observe, maxAge: maxAge),
        payload: ByteBuffer(string: body)
    )
}

/// A notification, or a response that comes apart.
func notification(
    _ token: CoAPToken,
    _ body: String,
    type: CoAPMessageType = .nonConfirmable,
    code: CoAPCode = .content,
    id: UInt16,
    observe: UInt32? = nil,
    maxAge: UInt32? = nil,
    _ options: [(CoAPOptionNumber, ByteBuffer)] = []
) -> CoAPMessage {
    CoAPMessage(
        type: type,
        code: code,
        messageID: id,
        token: token,
        options: representation(options, observe: observe, maxAge: maxAge),
        payload: ByteBuffer(string: body)
    )
}

/// Value of a block option.
func blockValue(_ number: UInt32, _ hasMore: Bool, _ sizeExponent: UInt8) -> ByteBuffer {
    let value = number << 4 | (hasMore ? 8 : 0) | UInt32(sizeExponent)
    return ByteBuffer(bytes: [UInt8(value >> 16), UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)].drop { $0 == 0 })
}
