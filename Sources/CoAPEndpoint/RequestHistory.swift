import DequeModule

/// The requests of all peers that were answered and are remembered, by their ranks, in the order in which they came there.
/// What they are is with their peers (``PeerState``).
struct RequestHistory {
    /// Some are forgotten already, or have another rank by now.
    private var queues = [Deque<(state: PeerState, id: CoAPRequest.ID)>](
        repeating: [],
        count: HistoryRank.allCases.count
    )
    /// Those that are not.
    private(set) var counts = RankTally()
    private(set) var replyBytes = RankTally()

    mutating func append(_ id: CoAPRequest.ID, of state: PeerState, _ rank: HistoryRank) {
        self.counts[rank] += 1
        self.queues[rank.rawValue].append((state, id))
        // Keeps what was forgotten out of turn from piling up.
        guard self.queues[rank.rawValue].count > 2 * self.counts[rank] + 1024 else { return }
        self.queues[rank.rawValue].removeAll { state, id in state.remembered(id)?.rank != rank }
    }

    /// The first of a rank; `nil`: there is none. It stays.
    mutating func first(_ rank: HistoryRank) -> (state: PeerState, request: RememberedRequest)? {
        while let (state, id) = self.queues[rank.rawValue].first {
            if let request = state.remembered(id), request.rank == rank { return (state, request) }
            self.queues[rank.rawValue].removeFirst()
        }
        return nil
    }

    /// Its peer knows a new rank of it.
    mutating func promote(_ request: RememberedRequest, of state: PeerState, to rank: HistoryRank) {
        self.noteForgotten(request)
        self.append(request.id, of: state, rank)
        self.replyBytes[rank] += request.replyBytes
    }

    mutating func noteReply(bytes: Int, _ rank: HistoryRank) { self.replyBytes[rank] += bytes }

    /// Its peer does not remember it any more.
    mutating func noteForgotten(_ request: RememberedRequest) {
        guard let rank = request.rank else { return }
        self.counts[rank] -= 1
        self.replyBytes[rank] -= request.replyBytes
    }

    /// All of a peer's are forgotten.
    mutating func noteGone(_ state: PeerState) {
        self.counts -= state.counts
        self.replyBytes -= state.replyBytes
    }
}
