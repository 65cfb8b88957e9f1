internal import CoAPCodec
internal import DequeModule
internal import NIOCore

// Confirmable messages of the server's own: separate responses and notifications (RFC 7252 §4.2).
extension CoAPServer {
    /// Sends what waits for its turn, as far as NSTART allows (RFC 7252 §4.7).
    func sendWaiting(of state: PeerState, now: NIODeadline, into actions: inout [CoAPAction]) {
        while state.inFlight.count < self.configuration.nStart, let next = state.waiting.popFirst() {
            switch next {
            case .response(var message, let budget):
                message.messageID = state.nextMessageID()
                self.transmit(message, .response, to: state, budget: budget, now: now, into: &actions)
            case .notification(let observation):
                guard self.observations[observation.id] != nil, let waiting = observation.takeWaiting() else {
                    continue
                }
                self.sendConfirmable(waiting, to: observation, now: now, into: &actions)
            case .ping(let observation):
                self.sendPing(to: observation, now: now, into: &actions)
            }
        }
    }

    func transmit(
        _ message: CoAPMessage,
        _ purpose: Transmission.Purpose,
        to state: PeerState,
        budget: Int,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        let least = self.configuration.ackTimeout.nanoseconds
        let most = max(Int64(Double(least) * self.configuration.ackRandomFactor), least)
        let transmission = Transmission(
            messageID: message.messageID,
            datagram: message.encoded(),
            purpose: purpose,
            straysBefore: state.strayAnswers,
            budget: budget,
            timeout: .nanoseconds(Int64.random(in: least...most, using: &self.generator)),
            now: now
        )
        state.inFlight.append(transmission)
        self.send(transmission, to: state, into: &actions)
    }

    /// Sends once, unless the budget of the address is used up, and sets the timer.
    private func send(_ transmission: Transmission, to state: PeerState, into actions: inout [CoAPAction]) {
        let size = transmission.datagram.readableBytes
        if state.isProven { transmission.budget = .max }
        if transmission.budget == .max || transmission.budget >= size {
            if transmission.budget != .max { transmission.budget -= size }
            actions.append(.send(transmission.datagram, to: state.peer))
        }
        self.setTimer(transmission.deadline, .retransmission(state.peer, messageID: transmission.messageID))
    }

    /// Nothing came for one of them.
    func retransmit(_ messageID: UInt16, to peer: CoAPPeer, now: NIODeadline, into actions: inout [CoAPAction]) {
        // The timer of one that was answered, or took another Message ID, finds nothing.
        guard let state = self.peers[peer],
            let index = state.inFlight.firstIndex(where: { $0.messageID == messageID && $0.deadline <= now })
        else { return }
        let transmission = state.inFlight[index]
        let tries = transmission.purpose.isPing ? Self.pingRetransmissions : self.configuration.maxRetransmit
        guard transmission.timedOut(now: now, maxRetransmit: tries) else {
            state.inFlight.remove(at: index)
            self.counts.unacknowledged += 1
            if case .notification(let observation, _) = transmission.purpose {
                self.end(observation, .unreachable, now: now, into: &actions)
            }
            return self.sendWaiting(of: state, now: now, into: &actions)
        }
        self.counts.retransmissions += 1
        guard self.renew(transmission, of: state) else {
            if case .notification(let observation, _) = transmission.purpose {
                self.end(observation, .unreachable, now: now, into: &actions)
            }
            return
        }
        self.send(transmission, to: state, into: &actions)
    }

    /// What is sent again is not always what was sent: a newer value, or the same under a Message ID that nobody can have
    /// guessed.
    ///
    /// - Returns: False: the client would never learn what it is owed, for it can't be sealed.
    private func renew(_ transmission: Transmission, of state: PeerState) -> Bool {
        let isGuessed = transmission.isDoubted || state.strays(since: transmission.straysBefore) >= Self.strayLimit
        guard case .notification(let observation, let sent) = transmission.purpose else {
            if isGuessed { self.give(transmission, nil, of: state) }
            return true
        }
        // The newer value goes in place of the old, and counts as its repetition (RFC 7641 §4.5.2). One that is owed is
        // sent until it is acknowledged.
        let newer = sent.isOwed ? nil : observation.takeWaiting()
        guard newer != nil || isGuessed else { return true }
        var message: CoAPMessage?
        // The same bytes are no news to a client that has them already; sealed they would be a replay, and some clients
        // don't even acknowledge that.
        if newer != nil || observation.protection != nil {
            let next = newer ?? sent
            message = self.notification(next.response, to: observation)
            if message == nil { return !next.isOwed }
            transmission.purpose = .notification(observation, next)
        }
        self.give(transmission, message, of: state)
        observation.noteSent(transmission.messageID)
        return true
    }

    /// Another Message ID, and perhaps another message.
    private func give(_ transmission: Transmission, _ message: CoAPMessage?, of state: PeerState) {
        let messageID = state.nextMessageID()
        var datagram = transmission.datagram(under: messageID)
        if var message {
            message.type = .confirmable
            message.messageID = messageID
            datagram = message.encoded()
        }
        transmission.become(messageID, datagram, straysBefore: state.strayAnswers)
    }
}
