internal import CoAPCodec
internal import DequeModule
internal import NIOCore

/// What the server remembers of one peer.
final class PeerState {
    /// A confirmable message that waits for its turn (NSTART).
    enum Waiting {
        case response(CoAPMessage, budget: Int)
        case notification(Observation)
        case ping(Observation)
    }

    let peer: CoAPPeer
    /// Whether it is known to receive at its address.
    var isProven: Bool
    /// A key has opened a request from there. That proves no address, for anybody on the way could send it from another one.
    var hasOpened = false
    /// ACKs and RSTs that answered nothing, counted on for ever. Somebody who guesses Message IDs has many: what was sent
    /// knows how many there were before.
    private(set) var strayAnswers: UInt64 = 0
    /// Oldest first, so in the order of their numbers.
    private(set) var history: Deque<RememberedRequest> = []
    /// Of those that are answered.
    private(set) var counts = RankTally()
    private(set) var replyBytes = RankTally()
    /// Requests that wait for the owner, plain ones and those that a key has opened.
    var openCounts = (plain: 0, protected: 0)
    /// Until when what is sent there need not be in proportion to what comes: anybody could take an address over, or write
    /// it on his datagrams, long after it was proven.
    private var proofExpires = NIODeadline.distantPast
    /// When it was last asked whether anybody is there.
    var lastPing: NIODeadline?
    private var messageIDs: MessageIDs
    /// At most NSTART.
    var inFlight: [Transmission] = []
    var waiting: Deque<Waiting> = []
    var observations: [Observation] = []

    /// A list of ``PeerTable``.
    enum Place { case unproven, proven, parked }

    var place = Place.unproven
    /// When it went to the end of its list, as ``PeerTable`` counts.
    var touched: UInt64 = 0
    unowned var previous: PeerState?
    unowned var next: PeerState?

    /// - Parameter key: Of Message IDs, random: whoever does not see what is sent to the peer shall not know them.
    init(_ peer: CoAPPeer, key: UInt64) {
        self.peer = peer
        self.isProven = peer.isSecure
        self.messageIDs = MessageIDs(key: key)
    }

    /// Whether it is forgotten only when all others are.
    var keepsPlace: Bool { self.isProven || self.hasOpened }

    /// Whether something is under way, so that it can't be forgotten.
    ///
    /// To a made-up address responses could be under way for ever, so they keep no place.
    var isBusy: Bool {
        self.openCounts.plain > 0 || self.openCounts.protected > 0 || !self.observations.isEmpty
            || self.isProven && (!self.inFlight.isEmpty || !self.waiting.isEmpty)
    }

    /// Whether it has lately shown that it receives at its address.
    func isProvenLately(now: NIODeadline) -> Bool { self.peer.isSecure || now < self.proofExpires }

    /// It has shown that.
    func noteProof(until expires: NIODeadline) { self.proofExpires = expires }

    /// Requests that count against what may be open: with those that are open the separate responses that are not
    /// acknowledged yet. Plain requests, which anybody can send in the peer's name, don't count for protected ones, but for
    /// the one response that is under way, whosever it is.
    func openCount(isProtected: Bool) -> Int {
        let open = isProtected ? self.openCounts.protected : self.openCounts.plain
        guard !self.inFlight.isEmpty else { return open }
        let underWay = self.inFlight.count { if case .response = $0.purpose { true } else { false } }
        let waiting = self.waiting.count {
            if case .response(let message, _) = $0 { message.isProtected == isProtected } else { false }
        }
        return open + underWay + waiting
    }

    func noteOpen(isProtected: Bool, _ change: Int) {
        if isProtected { self.openCounts.protected += change } else { self.openCounts.plain += change }
    }

    /// For a message of the server's own (RFC 7252 §4.4).
    func nextMessageID() -> UInt16 { self.messageIDs.next() }

    /// An ACK or RST answers nothing. Behind a handshake nobody else can have sent it, so it takes nothing from others.
    func noteStray() { self.strayAnswers += self.peer.isSecure ? 0 : 1 }

    /// How many there were since as many as that.
    func strays(since count: UInt64) -> UInt64 { self.strayAnswers - count }

    /// The observation of this token (RFC 7641 §4.1).
    func observation(of token: CoAPToken, context: UInt64) -> Observation? {
        self.observations.first { $0.token == token && $0.context == context }
    }

    /// Observations of one security context; 0: of none.
    func observationCount(of context: UInt64) -> Int { self.observations.count { $0.context == context } }

    // MARK: Requests that came

    /// This very message, if it came before. A node that has restarted uses the same Message IDs for other messages,
    /// which is why the digest counts.
    func recall(_ messageID: UInt16, digest: Int, now: NIODeadline) -> RememberedRequest? {
        for index in self.history.indices.reversed()
        where self.history[index].messageID == messageID && self.history[index].digest == digest {
            return self.history[index].expires > now || self.history[index].isOpen ? self.history[index] : nil
        }
        return nil
    }

    func remembered(_ id: CoAPRequest.ID) -> RememberedRequest? { self.index(of: id).map { self.history[$0] } }

    func remember(_ request: RememberedRequest) { self.history.append(request) }

    func noteAcknowledged(_ id: CoAPRequest.ID) {
        if let index = self.index(of: id) { self.history[index].isAcknowledged = true }
    }

    /// It is not open any more; false if it is no longer remembered.
    func settle(_ id: CoAPRequest.ID, _ rank: HistoryRank) -> Bool {
        guard let index = self.index(of: id) else { return false }
        self.history[index].rank = rank
        self.counts[rank] += 1
        return true
    }

    /// Keeps a reply to be sent again; `nil`: its request is no longer remembered.
    func keep(_ reply: ByteBuffer, of id: CoAPRequest.ID) -> HistoryRank? {
        guard let index = self.index(of: id), let rank = self.history[index].rank else { return nil }
        self.history[index].reply = reply
        self.replyBytes[rank] += reply.readableBytes
        return rank
    }

    /// Gives all of one rank another one; as they were.
    func promote(_ rank: HistoryRank, to other: HistoryRank) -> [RememberedRequest] {
        let promoted = self.history.filter { $0.rank == rank }
        for index in self.history.indices where self.history[index].rank == rank { self.history[index].rank = other }
        self.counts[other] += self.counts[rank]
        self.counts[rank] = 0
        self.replyBytes[other] += self.replyBytes[rank]
        self.replyBytes[rank] = 0
        return Array(promoted)
    }

    /// Forgets the oldest of a rank; `nil`: there is none.
    func forgetOldest(_ rank: HistoryRank) -> RememberedRequest? {
        self.history.firstIndex { $0.rank == rank }.map { self.forget(at: $0) }
    }

    /// Forgets one; `nil`: it is not remembered.
    func forget(_ id: CoAPRequest.ID) -> RememberedRequest? { self.index(of: id).map { self.forget(at: $0) } }

    /// Forgets all of them.
    func forgetAll() {
        self.history.removeAll()
        self.counts = RankTally()
        self.replyBytes = RankTally()
    }

    private func forget(at index: Int) -> RememberedRequest {
        // The oldest as a rule, where nothing has to move.
        let request = index == 0 ? self.history.removeFirst() : self.history.remove(at: index)
        if let rank = request.rank {
            self.counts[rank] -= 1
            self.replyBytes[rank] -= request.replyBytes
        }
        return request
    }

    /// By halves: the numbers are in order.
    private func index(of id: CoAPRequest.ID) -> Int? {
        var low = 0
        var high = self.history.count
        while low < high {
            let middle = (low + high) / 2
            if self.history[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < self.history.count && self.history[low].id == id ? low : nil
    }
}

extension CoAPMessage {
    /// Whether OSCORE seals it.
    fileprivate var isProtected: Bool { self.options.contains { $0.number == .oscore } }
}
