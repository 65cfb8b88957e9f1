internal import CoAPCodec
internal import NIOCore

// Acknowledgements and resets of what the server has sent (RFC 7252 §4.2, §4.3). Nothing seals them, not even with OSCORE
// (RFC 8613 §4.1.3.5, §7.4): who can't see a Message ID can still try all 65,536 within a second. So an answer counts only
// if few others came in vain since the message was sent.
extension CoAPServer {
    /// Answers in vain after which one that fits is not believed. It is sent again then, under another Message ID, as if
    /// nobody had answered; the one that answers that is believed, if whoever guesses has stopped.
    static let strayLimit: UInt64 = 8

    /// An ACK or RST came.
    func receiveAnswer(
        _ message: CoAPMessage,
        from peer: CoAPPeer,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        guard let state = self.peers[peer] else { return }
        let isReset = message.type == .reset
        guard let index = state.inFlight.firstIndex(where: { $0.messageID == message.messageID }) else {
            return self.receiveLateAnswer(message, of: state, now: now, into: &actions)
        }
        let transmission = state.inFlight[index]
        guard self.isBelieved(isReset, of: state, since: transmission.straysBefore, transmission.observation) else {
            transmission.isDoubted = true
            return
        }
        state.inFlight.remove(at: index)
        if !isReset, !transmission.purpose.isPing {
            // Took something with a token that it had chosen: it is there and wants it. A RST proves nothing, for
            // anybody's endpoint would send one.
            self.prove(state, now: now)
        }
        switch transmission.purpose {
        case .notification(let observation, _) where isReset:
            self.end(observation, .rejected, now: now, into: &actions)
        case .notification(let observation, let sent):
            self.confirmed(observation, isOwed: sent.isOwed, now: now, into: &actions)
        case .ping(let observation): self.pinged(observation)
        case .response: break
        }
        self.sendWaiting(of: state, now: now, into: &actions)
    }

    /// Answers a notification that was not confirmable, or that a newer one took the place of, or nothing.
    private func receiveLateAnswer(
        _ message: CoAPMessage,
        of state: PeerState,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        for observation in state.observations {
            guard let straysBefore = observation.straysBefore(message.messageID) else { continue }
            let isReset = message.type == .reset
            let isBelieved = self.isBelieved(isReset, of: state, since: straysBefore, observation)
            switch (isReset, isBelieved) {
            case (true, true): self.end(observation, .rejected, now: now, into: &actions)
            case (true, false): self.makeSure(of: observation, now: now, into: &actions)
            case (false, true): observation.lastConfirmed = now
            case (false, false): break
            }
            return
        }
        state.noteStray()
    }

    /// A RST ends what OSCORE has begun only if none came in vain at all: to ask once more costs little.
    private func isBelieved(
        _ isReset: Bool,
        of state: PeerState,
        since count: UInt64,
        _ observation: Observation?
    ) -> Bool {
        let isProtected = observation?.protection != nil
        return state.strays(since: count) < (isReset && isProtected ? 1 : Self.strayLimit)
    }

    /// Somebody rejects a notification, who may have guessed its Message ID: the next one must be acknowledged or rejected.
    /// What is under way is that already.
    private func makeSure(of observation: Observation, now: NIODeadline, into actions: inout [CoAPAction]) {
        guard !observation.isUnderWay, !observation.mustConfirm else { return }
        observation.mustConfirm = true
        observation.lastAsked = now
        actions.append(.observationDue(observation.id))
    }
}
