internal import DequeModule
internal import NIOCore

// What is remembered so that a message that comes twice is carried out once (RFC 7252 §4.5), bounded by time, number and
// bytes, for each peer and in all.
extension CoAPServer {
    func remember(_ request: RememberedRequest, of state: PeerState, now: NIODeadline) {
        if state.history.count >= self.configuration.maxHistoryPerPeer { self.forgetOldest(of: state) }
        state.remember(request)
        self.history.append((state, request.id))
        self.historyCount += 1
        self.forgetOld(now: now)
        while self.historyCount > self.configuration.maxHistory, self.forgetOldest() {}
        self.compactHistory()
    }

    /// Keeps what went out in an acknowledgement.
    func keep(_ reply: ByteBuffer, of exchange: Exchange) {
        let state = exchange.owner
        guard state.keep(reply, of: exchange.id) else { return }
        self.replyBytes += reply.readableBytes
        while state.replyBytes > self.configuration.maxReplyBytesPerPeer, self.forgetOldest(of: state) {}
        while self.replyBytes > self.configuration.maxReplyBytes, self.forgetOldest() {}
    }

    /// Forgets a request, whatever its age.
    func forget(_ id: CoAPRequest.ID, of state: PeerState) {
        guard let bytes = state.forget(id) else { return }
        self.historyCount -= 1
        self.replyBytes -= bytes
    }

    /// Forgets what can't come again. A few at a time, so that no call is long.
    func forgetOld(now: NIODeadline) {
        for _ in 0..<16 {
            guard let (state, id) = self.history.first else { return }
            if let request = state.remembered(id) {
                guard request.expires <= now else { return }
                // Still open after minutes: it stays, as the youngest.
                if request.isOpen { self.history.append((state, id)) } else { self.forget(id, of: state) }
            }
            self.history.removeFirst()
        }
    }

    /// - Returns: False if the peer has none to forget.
    @discardableResult
    private func forgetOldest(of state: PeerState) -> Bool {
        guard let bytes = state.forgetOldest() else { return false }
        self.historyCount -= 1
        self.replyBytes -= bytes
        self.counts.forgottenEarly += 1
        return true
    }

    /// - Returns: False if there is none to forget: all are open.
    private func forgetOldest() -> Bool {
        for _ in 0..<self.history.count {
            guard let (state, id) = self.history.popFirst() else { return false }
            guard let request = state.remembered(id) else { continue }
            if request.isOpen {
                self.history.append((state, id))
                continue
            }
            self.forget(id, of: state)
            self.counts.forgottenEarly += 1
            return true
        }
        return false
    }

    /// Keeps what was forgotten out of turn from piling up.
    private func compactHistory() {
        guard self.history.count > 2 * self.historyCount + 1024 else { return }
        self.history.removeAll { state, id in state.remembered(id) == nil }
    }
}
