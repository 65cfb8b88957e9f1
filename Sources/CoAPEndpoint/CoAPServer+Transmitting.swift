internal import CoAPCodec
internal import DequeModule
internal import NIOCore

// Confirmable messages of the server's own: separate responses and notifications (RFC 7252 §4.2).
extension CoAPServer {
    /// Answers that fit nothing, after which an acknowledgement no longer proves an address: a Message ID has only
    /// sixteen bits.
    private static let strayLimit = 8

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
        if case .notification(let observation, isOwed: false) = transmission.purpose,
            let newer = observation.takeWaiting()
        {
            // The newer value goes in place of the old, and counts as its repetition (RFC 7641 §4.5.2). One that is owed
            // is sent until it is acknowledged.
            if var message = self.notification(newer.response, to: observation) {
                transmission.purpose = .notification(observation, isOwed: newer.isOwed)
                message.type = .confirmable
                message.messageID = state.nextMessageID()
                transmission.messageID = message.messageID
                transmission.datagram = message.encoded()
                observation.noteSent(message.messageID)
            } else if newer.isOwed {
                return self.end(observation, .unreachable, now: now, into: &actions)
            }
        }
        self.send(transmission, to: state, into: &actions)
    }

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
            guard let observation = state.observations.first(where: { $0.hasSent(message.messageID) }) else {
                state.strayAnswers += 1
                return
            }
            // A notification that was not confirmable, or that a newer one took the place of.
            if isReset {
                self.end(observation, .rejected, now: now, into: &actions)
            } else {
                observation.lastConfirmed = now
            }
            return
        }
        let transmission = state.inFlight.remove(at: index)
        let isBelieved = state.strayAnswers < Self.strayLimit
        if !isReset, isBelieved, !transmission.purpose.isPing {
            // Took something with a token that it had chosen: it is there and wants it. A RST proves nothing, for
            // anybody's endpoint would send one.
            self.peers.prove(state)
        }
        switch transmission.purpose {
        case .notification(let observation, _) where isReset:
            self.end(observation, .rejected, now: now, into: &actions)
        case .notification(let observation, let isOwed):
            self.confirmed(observation, isOwed: isOwed, now: now, into: &actions)
        case .ping(let observation): if isBelieved { self.pinged(observation) }
        case .response: break
        }
        self.sendWaiting(of: state, now: now, into: &actions)
    }
}
