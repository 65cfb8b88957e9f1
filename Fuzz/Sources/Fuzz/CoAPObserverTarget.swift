import CoAPCodec
import CoAPEndpoint
import NIOCore

/// The side that observes resources, with small limits, and three nodes that answer what they like: also what the others were
/// asked, too late, twice, and in pieces that do not fit.
struct CoAPObserverTarget {
    private static let configuration = {
        var configuration = CoAPObserverConfiguration()
        configuration.maxTargets = 4
        configuration.maxMessageBytes = 400
        configuration.maxBodyBytes = 120
        configuration.maxHistoryPerPeer = 6
        configuration.maxUnacknowledgedPerPeer = 3
        configuration.maxSilence = .seconds(600)
        return configuration
    }()

    /// A request that went out.
    private struct Asked {
        let message: CoAPMessage
        let peer: CoAPPeer
    }

    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let observer = CoAPObserver(Self.configuration, seed: 1)
    private var actions: [CoAPObserverAction] = []
    private var targets: [CoAPTargetID] = []
    private var receipts: [CoAPReceipt] = []
    /// The last of them.
    private var asked: [Asked] = []
    private var representations = 0
    private var failed: Set<CoAPTargetID> = []
    private var isStopped = false

    static func check(_ input: FuzzInput) {
        var target = Self()
        var input = input
        target.observe(0)
        while !input.isEmpty { target.step(&input) }
        target.finish()
    }

    private mutating func step(_ input: inout FuzzInput) {
        let step = input.byte() % 11
        let choice = input.byte()
        switch step {
        case 0:  // Any bytes.
            let count = Int(input.byte())
            self.receive(ByteBuffer(bytes: input.bytes(count)), from: Self.peer(choice))
        case 1, 2, 3: self.answer(choice, input.byte(), input.byte())
        case 4:  // Nothing but an acknowledgement, or a rejection.
            guard let asked = self.pick(choice) else { return }
            let type: CoAPMessageType = choice & 1 == 0 ? .acknowledgement : .reset
            self.receive(CoAPMessage.empty(type, messageID: asked.message.messageID).encoded(), from: asked.peer)
        case 5:
            guard !self.receipts.isEmpty else { return }
            let receipt = self.receipts.remove(at: Int(choice >> 1) % self.receipts.count)
            if choice & 1 == 0 {
                self.observer.acknowledge(receipt, now: self.now, into: &self.actions)
            } else {
                self.observer.decline(receipt)
            }
            self.perform()
        case 6: self.pass(.milliseconds(Int64(choice) * 20))
        case 7: self.pass(.seconds(Int64(choice)))
        case 8: self.observe(choice)
        case 9:
            guard !self.targets.isEmpty else { return }
            let id = self.targets[Int(choice >> 2) % self.targets.count]
            if choice & 1 == 0 {
                self.observer.leave(id, now: self.now, into: &self.actions)
                self.targets.removeAll { $0 == id }
            } else {
                self.observer.move(id, to: Self.peer(choice >> 1), now: self.now, into: &self.actions)
            }
            self.perform()
        default:
            self.observer.registerAll(now: self.now, into: &self.actions)
            self.perform()
        }
    }

    private static func peer(_ number: UInt8) -> CoAPPeer { CoAPPeer(ipv4: UInt32(number % 3), port: 5683, session: 0) }

    private func pick(_ choice: UInt8) -> Asked? {
        self.asked.isEmpty ? nil : self.asked[self.asked.count - 1 - Int(choice >> 3) % self.asked.count]
    }

    private mutating func observe(_ choice: UInt8) {
        let resource = CoAPResource(path: [choice & 4 == 0 ? "a" : "b"])
        let peer = Self.peer(choice)
        let id = self.observer.observe(resource, of: peer, now: self.now, into: &self.actions)
        if let id {
            expect(!self.targets.contains(id), "a name that is used already")
            self.targets.append(id)
        }
        self.perform()
    }

    /// An answer to one of the last requests, or a notification, more or less good.
    private mutating func answer(_ choice: UInt8, _ more: UInt8, _ third: UInt8) {
        guard let asked = self.pick(choice) else { return }
        let type: CoAPMessageType = [.acknowledgement, .confirmable, .nonConfirmable, .acknowledgement][Int(choice & 3)]
        // Most are the code that a representation has.
        let codes: [UInt8: CoAPCode] = [4: .unauthorized, 5: .notFound, 6: .serviceUnavailable, 7: .changed]
        var options = CoAPOptions()
        if more & 8 != 0 { options.append(.eTag, ByteBuffer(bytes: [third & 1])) }
        if more & 16 != 0 { options.append(.observe, uint: UInt32(third >> 1)) }
        if more & 32 != 0 { options.append(.maxAge, uint: UInt32(third)) }
        var payload = ByteBuffer(repeating: third, count: Int(third & 31))
        if more & 64 != 0 {
            // The block that was asked for, and what follows it; one in eight is another.
            var block = asked.message.options.first(.block2).flatMap { CoAPBlock(value: Self.number($0)) }
            if third & 0xE0 == 0xE0 { block = CoAPBlock(value: UInt32(third & 0x1F) << 3) }
            let number = block?.number ?? 0
            let hasMore = more & 128 != 0
            options.append(.block2, uint: CoAPBlock(number: number, hasMore: hasMore, sizeExponent: 0).value)
            payload = ByteBuffer(repeating: third, count: hasMore || third & 16 != 0 ? 16 : Int(third & 15))
        }
        if more & 7 == 4 { options.append(.echo, ByteBuffer(repeating: third, count: Int(third & 63))) }
        if third == 0xFF { options.append(CoAPOptionNumber(rawValue: 0x1235)) }
        let message = CoAPMessage(
            type: type,
            code: codes[more & 7] ?? .content,
            messageID: type == .acknowledgement ? asked.message.messageID : UInt16(third),
            token: asked.message.token,
            options: options,
            payload: payload
        )
        let peer = choice & 4 == 0 ? asked.peer : Self.peer(third)
        self.receive(message.encoded(), from: peer)
    }

    private static func number(_ value: ByteBuffer) -> UInt32 {
        value.readableBytesView.suffix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    private mutating func receive(_ datagram: ByteBuffer, from peer: CoAPPeer) {
        let before = self.representations
        self.observer.receive(datagram, from: peer, now: self.now, into: &self.actions)
        self.perform()
        expect(self.representations <= before + 1, "two representations in one datagram")
        guard self.representations > before else { return }
        Tally.count("representations")
        // Nobody has declined it, so a copy that comes at once is known.
        self.observer.receive(datagram, from: peer, now: self.now, into: &self.actions)
        self.perform()
        expect(self.representations == before + 1, "a copy is given to the owner")
    }

    private mutating func pass(_ time: TimeAmount) {
        let end = self.now + time
        var ticks = 0
        while let next = self.observer.nextDeadline, next <= end {
            self.now = max(self.now, next)
            self.observer.tick(now: self.now, into: &self.actions)
            self.perform()
            ticks += 1
            expect(ticks < 10_000, "woken for nothing")
        }
        self.now = end
    }

    private mutating func perform() {
        for action in self.actions {
            switch action {
            case .send(let bytes, let peer):
                guard let message = try? CoAPMessage(decoding: bytes) else { fatalError("sends what nobody can read") }
                guard message.code == .get else {
                    expect(message.code.isEmpty && message.type != .confirmable, "says \(message.code)")
                    continue
                }
                expect(message.type == .confirmable && message.token.count == 8, "a token that can be guessed")
                if self.asked.last?.message.messageID == message.messageID { continue }
                if self.asked.count == 8 { self.asked.removeFirst() }
                self.asked.append(Asked(message: message, peer: peer))
                if message.options.first(.block2) != nil { Tally.count("blocks") }
            case .representation(let representation):
                expect(self.targets.contains(representation.target), "a representation that nobody wants")
                expect(representation.payload.readableBytes <= Self.configuration.maxBodyBytes, "a body over the limit")
                self.representations += 1
                if let receipt = representation.receipt {
                    expect(!self.receipts.contains(receipt), "a receipt twice")
                    self.receipts.append(receipt)
                }
            case .established(let id, _): expect(self.targets.contains(id), "established, but left")
            case .failed(let id, _):
                expect(self.targets.contains(id), "failed, but left")
                self.failed.insert(id)
                Tally.count("failed")
            case .stopped:
                expect(!self.isStopped, "stopped twice")
                self.isStopped = true
            }
        }
        self.actions.removeAll(keepingCapacity: true)
        let limits = Self.configuration
        expect(self.observer.targetCount <= limits.maxTargets, "too many targets")
        expect(self.observer.targetCount >= self.targets.count, "a target is lost")
        expect(self.observer.nodeCount <= self.observer.targetCount, "nodes of which nothing is wanted")
        expect(self.observer.timerCount <= 4 * limits.maxTargets + 65, "timers pile up")
        expect(self.targets.isEmpty || self.observer.nextDeadline != nil, "nothing will ever happen again")
    }

    /// All nodes fall silent, which each target finds out; then everything is left: the end comes, and nothing stays behind.
    private mutating func finish() {
        self.failed = []
        self.pass(.seconds(3_000))
        expect(self.failed.isSuperset(of: self.targets), "a target that nothing happens to any more")
        self.targets = []
        self.observer.stop(now: self.now, into: &self.actions)
        self.perform()
        self.pass(.seconds(2_000))
        expect(self.isStopped, "never stopped")
        expect(self.observer.targetCount == 0 && self.observer.nodeCount == 0, "something is left")
        expect(self.observer.nextDeadline == nil, "something is under way for ever")
    }
}
