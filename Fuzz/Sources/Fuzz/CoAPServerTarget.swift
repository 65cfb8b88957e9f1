import CoAPCodec
import CoAPEndpoint
import NIOCore

/// A CoAP server with small limits, and four peers that send what they like.
struct CoAPServerTarget {
    private static let factor = 3
    /// What the answer to a ping may allow.
    private static let pingAllowance = 512

    private static let configuration = {
        var configuration = CoAPServerConfiguration()
        configuration.maxPeers = 3
        configuration.maxOpenPerPeer = 3
        configuration.maxOpen = 5
        configuration.maxHistoryPerPeer = 4
        configuration.maxHistory = 8
        configuration.maxReplyBytesPerPeer = 200
        configuration.maxReplyBytes = 300
        configuration.maxBodyBytes = 300
        configuration.blockSizeExponent = 1
        configuration.maxBodiesPerPeer = 2
        configuration.maxBodies = 3
        configuration.maxBodiesBytes = 500
        configuration.maxObservationsPerPeer = 2
        configuration.maxObservations = 3
        configuration.amplificationFactor = Self.factor
        return configuration
    }()

    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let server: CoAPServer
    private var actions: [CoAPAction] = []
    private var open: [CoAPRequest.ID] = []
    private var observations: [CoAPObservationID] = []
    private var seen: Set<CoAPRequest.ID> = []
    /// Of what was sent last, sixteen at most: they don't count on.
    private var messageIDs: [UInt16] = [0]
    private var echo = ByteBuffer(bytes: [1])
    private var received: [CoAPPeer: Int] = [:]
    private var sent: [CoAPPeer: Int] = [:]
    /// For answers to pings.
    private var allowed: [CoAPPeer: Int] = [:]
    /// Those that may have proven their address.
    private var proven: Set<CoAPPeer> = []

    static func check(_ input: FuzzInput) {
        var target = Self()
        var input = input
        while !input.isEmpty { target.step(&input) }
        target.finish()
    }

    private init() {
        self.server = CoAPServer(Self.configuration, seed: 1, now: self.now)
        // Some bodies have to be fresh.
        self.server.needsEcho = { $0.age == nil && $0.payload.readableBytes == 32 }
    }

    private mutating func step(_ input: inout FuzzInput) {
        switch input.byte() % 9 {
        case 0:  // Any bytes.
            let peer = Self.peer(input.byte())
            let count = Int(input.byte())
            self.receive(ByteBuffer(bytes: input.bytes(count)), from: peer, isMulticast: false)
        case 1, 2:
            let choice = input.byte()
            let peer = Self.peer(choice >> 6)
            self.receive(self.request(choice, &input).encoded(), from: peer, isMulticast: choice & 0x20 != 0)
        case 3: self.respond(input.byte())
        case 4:
            let choice = input.byte()
            if let id = self.observations.isEmpty ? nil : self.observations[Int(choice) % self.observations.count] {
                let response = Self.response(choice)
                if choice & 0xC0 == 0xC0 {
                    self.server.endObservation(id, now: self.now, into: &self.actions)
                    self.observations.removeAll { $0 == id }
                } else {
                    let isOwed = choice & 0x40 != 0
                    self.server.notify(id, response, isConfirmable: isOwed, now: self.now, into: &self.actions)
                }
                self.perform()
            }
        case 5:  // An answer to what was sent last, or before.
            let choice = input.byte()
            let type: CoAPMessageType = choice & 1 == 0 ? .acknowledgement : .reset
            let messageID = self.messageIDs[max(self.messageIDs.count - 1 - Int(choice >> 4), 0)]
            let peer = Self.peer(choice >> 1)
            self.receive(CoAPMessage.empty(type, messageID: messageID).encoded(), from: peer, isMulticast: false)
        case 6: self.pass(.milliseconds(Int64(input.byte()) * 200))
        case 7: self.pass(.milliseconds(Int64(input.byte())))
        default:
            self.server.forget(Self.peer(input.byte()), into: &self.actions)
            self.perform()
        }
    }

    private static func peer(_ number: UInt8) -> CoAPPeer {
        let number = number & 3
        return CoAPPeer(ipv4: UInt32(number), port: 5683, session: number == 3 ? 1 : 0)
    }

    /// A good request, more or less.
    private mutating func request(_ choice: UInt8, _ input: inout FuzzInput) -> CoAPMessage {
        let more = input.byte()
        let third = input.byte()
        var options = CoAPOptions()
        options.append(.uriPath, third & 1 == 0 ? "a" : "b")
        if more & 1 != 0 { options.append(.observe, uint: UInt32(third >> 7)) }
        if more & 2 != 0 { options.append(.block1, uint: UInt32(third & 0x38 | (more & 0x40) >> 3)) }
        if more & 4 != 0 { options.append(.block2, uint: UInt32(third & 0x31)) }
        if more & 8 != 0 { options.append(.echo, self.echo) }
        if more & 16 != 0 { options.append(.noResponse, uint: third) }
        if more & 32 != 0 { options.append(CoAPOptionNumber(rawValue: UInt16(third) * 31)) }
        return CoAPMessage(
            type: choice & 8 == 0 ? .confirmable : .nonConfirmable,
            code: CoAPCode(rawValue: choice & 7),
            messageID: UInt16(input.byte()),
            token: CoAPToken([third & 2]) ?? .empty,
            options: options,
            payload: ByteBuffer(repeating: third, count: [0, 16, 32, 60][Int(choice >> 4) & 3])
        )
    }

    private static func response(_ choice: UInt8) -> CoAPResponse {
        let codes: [CoAPCode] = [.content, .changed, .notFound, .serviceUnavailable]
        var response = CoAPResponse(codes[Int(choice >> 4) & 3])
        response.payload = ByteBuffer(repeating: choice, count: Int(choice & 15) * 9)
        if choice & 0x80 != 0 { response.options.append(.eTag, ByteBuffer(bytes: [choice])) }
        return response
    }

    private mutating func respond(_ choice: UInt8) {
        guard !self.open.isEmpty else { return }
        let id = self.open.remove(at: Int(choice) % self.open.count)
        switch choice % 8 {
        case 0: self.server.ignore(id, now: self.now, into: &self.actions)
        case 1: self.server.challenge(id, now: self.now, into: &self.actions)
        default:
            let response = Self.response(choice)
            let isObserving = choice % 8 > 3
            let observation = self.server.respond(
                to: id,
                response,
                observing: isObserving,
                now: self.now,
                into: &self.actions
            )
            if let observation {
                Tally.count("observing")
                self.observations.append(observation)
            }
        }
        self.perform()
    }

    private mutating func receive(_ datagram: ByteBuffer, from peer: CoAPPeer, isMulticast: Bool) {
        self.received[peer, default: 0] += datagram.readableBytes
        let message = try? CoAPMessage(decoding: datagram)
        if peer.isSecure || message?.type == .acknowledgement || message?.options.first(.echo) != nil {
            self.proven.insert(peer)
        }
        if message?.type == .reset { self.allowed[peer, default: 0] += Self.pingAllowance }
        let before = self.seen.count
        self.server.receive(datagram, from: peer, isMulticast: isMulticast, now: self.now, into: &self.actions)
        self.perform()
        expect(self.seen.count <= before + 1, "two requests of one datagram")
        if self.seen.count > before {
            Tally.count("requests")
            // A copy at once: the request is still open, so it can't have been forgotten.
            self.received[peer, default: 0] += datagram.readableBytes
            self.server.receive(datagram, from: peer, isMulticast: isMulticast, now: self.now, into: &self.actions)
            self.perform()
            expect(self.seen.count == before + 1, "a copy is carried out")
        }
    }

    private mutating func pass(_ time: TimeAmount) {
        let end = self.now + time
        var ticks = 0
        while let next = self.server.nextDeadline, next <= end {
            self.now = max(self.now, next)
            self.server.tick(now: self.now, into: &self.actions)
            self.perform()
            ticks += 1
            expect(ticks < 10_000, "woken for nothing")
        }
        self.now = end
        self.server.tick(now: end, into: &self.actions)
        self.perform()
    }

    private mutating func perform() {
        for action in self.actions {
            switch action {
            case .send(let bytes, let peer):
                guard let message = try? CoAPMessage(decoding: bytes) else { fatalError("sends what nobody can read") }
                if message.type == .confirmable || message.type == .nonConfirmable {
                    self.messageIDs = self.messageIDs.suffix(15) + [message.messageID]
                }
                if let value = message.options.first(.echo) { self.echo = value }
                self.sent[peer, default: 0] += bytes.readableBytes
                let most = Self.factor * (self.received[peer] ?? 0) + (self.allowed[peer] ?? 0)
                let isBounded = self.proven.contains(peer) || (self.sent[peer] ?? 0) <= most
                expect(isBounded, "over \(most) bytes to an address that is not proven")
            case .request(let request):
                expect(self.seen.insert(request.id).inserted, "a request twice")
                self.open.append(request.id)
                expect(request.payload.readableBytes <= Self.configuration.maxBodyBytes, "a body over the limit")
            case .observationDue(let id):
                expect(self.observations.contains(id), "an observation that was never told of")
            case .notificationConfirmed(let id):
                expect(self.observations.contains(id), "a confirmation of nothing")
                Tally.count("confirmed")
            case .observationEnded(let id, _):
                expect(self.observations.contains(id), "an end of nothing")
                self.observations.removeAll { $0 == id }
                Tally.count("ended")
            }
        }
        self.actions.removeAll(keepingCapacity: true)
        let limits = Self.configuration
        expect(self.server.peerCount <= limits.maxPeers, "too many peers")
        expect(self.server.openCount <= limits.maxOpen, "too many open requests")
        expect(self.server.observationCount <= limits.maxObservations, "too many observations")
        expect(self.server.observationCount == self.observations.count, "observations of which nobody knows")
        expect(self.server.remembered.replyBytes <= limits.maxReplyBytes, "too many bytes remembered")
        expect(self.server.remembered.requests <= limits.maxHistory, "too many requests remembered")
    }

    /// Everything is answered and everybody silent: nothing may be left but observers that nobody asks.
    private mutating func finish() {
        while let id = self.open.popLast() {
            self.server.ignore(id, now: self.now, into: &self.actions)
            self.perform()
        }
        self.pass(.seconds(1000))
        expect(self.server.openCount == 0, "requests open without an owner")
        expect(self.server.observationCount > 0 || self.server.nextDeadline == nil, "something is under way for ever")
    }
}
