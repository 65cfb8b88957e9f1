internal import CoAPCodec
internal import NIOCore

// What is remembered so that a message that comes twice is carried out once (RFC 7252 §4.5), bounded by time, number and
// bytes, for each peer and in all. A request that is open is bounded by what may be open; its place in the history is taken
// when it is answered, for only then is it known what would be lost with it. Anybody can send in anybody's name, so what is
// lost least goes first.
extension CoAPServer {
    /// A request was answered, or is not going to be.
    ///
    /// - Parameter isCarriedOut: Once more would be too often.
    func settle(_ exchange: Exchange, isCarriedOut: Bool) {
        let state = exchange.owner
        let rank = self.rank(of: exchange, isCarriedOut: isCarriedOut)
        guard state.settle(exchange.id, rank) else { return }
        self.history.append(exchange.id, of: state, rank)
        self.makeRoom(for: rank, of: state)
    }

    private func rank(of exchange: Exchange, isCarriedOut: Bool) -> HistoryRank {
        if exchange.isOpened { return .keyed }
        guard isCarriedOut else { return .idle }
        if exchange.owner.peer.isSecure { return .keyed }
        return exchange.owner.isProven ? .proven : .unproven
    }

    /// Keeps what went out in an acknowledgement.
    func keep(_ reply: ByteBuffer, of exchange: Exchange) {
        guard let rank = exchange.owner.keep(reply, of: exchange.id) else { return }
        self.history.noteReply(bytes: reply.readableBytes, rank)
        self.makeRoom(for: rank, of: exchange.owner)
    }

    /// The address of a peer is proven: what was carried out for it before is not anybody's any more.
    func promoteHistory(of state: PeerState) {
        for request in state.promote(.unproven, to: .proven) {
            self.history.promote(request, of: state, to: .proven)
        }
    }

    /// Forgets a request, whatever its age.
    func forget(_ id: CoAPRequest.ID, of state: PeerState) {
        if let request = state.forget(id) { self.history.noteForgotten(request) }
    }

    /// Forgets what can't come again. A few at a time, so that no call is long.
    func forgetOld(now: NIODeadline) {
        for rank in HistoryRank.all {
            for _ in 0..<8 {
                guard let (state, request) = self.history.first(rank), request.expires <= now else { break }
                self.forget(request.id, of: state)
            }
        }
    }

    /// Forgets what is too much since something came to a rank. Those with keys have a share of their peer's own.
    private func makeRoom(for rank: HistoryRank, of state: PeerState) {
        let share = rank == .keyed ? HistoryRank.withKey : HistoryRank.withoutKey
        let limits = self.configuration
        while let rank = state.counts.first(of: share, over: limits.maxHistoryPerPeer)
            ?? state.replyBytes.first(of: share, over: limits.maxReplyBytesPerPeer),
            let request = state.forgetOldest(rank)
        {
            self.history.noteForgotten(request)
            self.counts.forgottenEarly += 1
        }
        while let rank = self.history.counts.first(of: HistoryRank.all, over: limits.maxHistory)
            ?? self.history.replyBytes.first(of: HistoryRank.all, over: limits.maxReplyBytes),
            let (state, request) = self.history.first(rank)
        {
            self.forget(request.id, of: state)
            self.counts.forgottenEarly += 1
        }
    }
}
