internal import CoAPCodec
package import NIOCore

extension CoAPServer {
    /// A datagram came.
    ///
    /// - Parameter isMulticast: It was sent to a group (RFC 7252 §8).
    package func receive(
        _ datagram: ByteBuffer,
        from peer: CoAPPeer,
        isMulticast: Bool = false,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        let message: CoAPMessage
        do {
            message = try CoAPMessage(decoding: datagram, maxBytes: self.configuration.maxMessageBytes)
        } catch {
            self.counts.malformed += 1
            if case .reset(let messageID) = error.answer, !isMulticast {
                self.sendEmpty(.reset, messageID, to: peer, into: &actions)
            }
            return
        }
        switch message.type {
        case .acknowledgement, .reset:
            // To a group nothing confirmable is ever sent, so nothing comes back from one.
            if !isMulticast { self.receiveAnswer(message, from: peer, now: now, into: &actions) }
        case .confirmable where isMulticast:
            self.counts.misplaced += 1  // Must be NON (RFC 7252 §8.1).
        case .confirmable where !message.code.isRequest:
            // A ping (RFC 7252 §4.3), or a response to nothing (§4.2).
            if !message.code.isEmpty { self.counts.misplaced += 1 }
            self.sendEmpty(.reset, message.messageID, to: peer, into: &actions)
        case .nonConfirmable where !message.code.isRequest:
            self.counts.misplaced += 1
        case .confirmable, .nonConfirmable:
            let size = datagram.readableBytes
            var hasher = Hasher()  // Keyed with the process's own random numbers: nobody can make two that are alike.
            datagram.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
            let digest = hasher.finalize()
            self.receiveRequest(message, size, digest, from: peer, isMulticast, now: now, into: &actions)
        }
    }

    func sendEmpty(
        _ type: CoAPMessageType,
        _ messageID: UInt16,
        to peer: CoAPPeer,
        into actions: inout [CoAPAction]
    ) {
        actions.append(.send(CoAPMessage.empty(type, messageID: messageID).encoded(), to: peer))
    }

    // MARK: Requests, one by one

    private func receiveRequest(
        _ message: CoAPMessage,
        _ size: Int,
        _ digest: Int,
        from peer: CoAPPeer,
        _ isMulticast: Bool,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        guard let state = self.state(of: peer) else {
            self.counts.peersTurnedAway += 1
            return
        }
        self.peers.touch(state)
        if let request = state.recall(message.messageID, digest: digest, now: now) {
            return self.receiveAgain(request, from: peer, into: &actions)
        }
        let lifetime = message.type == .confirmable ? self.exchangeLifetime : self.nonLifetime
        let read = CoAPRequestOptions(message.options)
        let exchange = Exchange(
            id: self.nextID(),
            owner: state,
            message: message,
            read: read,
            isMulticast: isMulticast,
            isProtected: read.oscore != nil && self.protection != nil,
            budget: state.isProvenLately(now: now) ? .max : size * self.configuration.amplificationFactor
        )
        let request = RememberedRequest(
            id: exchange.id,
            messageID: message.messageID,
            digest: digest,
            isConfirmable: exchange.isConfirmable,
            expires: now + lifetime
        )
        state.remember(request)
        self.forgetOld(now: now)
        self.open[exchange.id] = exchange
        state.noteOpen(isProtected: exchange.isProtected, 1)
        // Of this one's own place there is no question: it is counted already.
        let openCount = state.openCount(isProtected: exchange.isProtected)
        let isOverShare = openCount > self.configuration.maxOpenPerPeer
        if isOverShare || self.open.count > self.configuration.maxOpen {
            self.counts.overloaded += 1
            let code: CoAPCode = isOverShare ? .tooManyRequests : .serviceUnavailable
            let refusal = CoAPResponse(code, maxAge: self.configuration.retryAfter)
            // Not to be remembered: when it comes again there may be room.
            self.finish(exchange, refusal, now: now, into: &actions)
            return self.forget(exchange.id, of: state)
        }
        self.read(message, exchange, now: now, into: &actions)
        if !exchange.isOpen { return }
        if exchange.isConfirmable {
            self.acknowledgements.append((now + self.configuration.piggybackWithin, exchange))
        }
    }

    /// The same message again (RFC 7252 §4.2, §4.3): the same answer, and nothing is carried out.
    private func receiveAgain(
        _ request: RememberedRequest,
        from peer: CoAPPeer,
        into actions: inout [CoAPAction]
    ) {
        self.counts.duplicates += 1
        guard request.isConfirmable else { return }
        if let reply = request.reply {
            actions.append(.send(reply, to: peer))
        } else if request.isAcknowledged {
            self.sendEmpty(.acknowledgement, request.messageID, to: peer, into: &actions)
        }
    }

    /// For how long a proven address is one.
    private static let proofLifetime = TimeAmount.minutes(5)

    /// The peer has shown that it receives at its address.
    func prove(_ state: PeerState, now: NIODeadline) {
        state.noteProof(until: now + Self.proofLifetime)
        guard !state.isProven else { return }
        self.peers.prove(state)
        self.promoteHistory(of: state)
    }

    private func state(of peer: CoAPPeer) -> PeerState? {
        if let state = self.peers[peer] { return state }
        if let candidate = self.peers.candidateToGo() {
            self.counts.forgottenEarly += UInt64(candidate.history.count)
            self.remove(candidate)
        }
        let state = PeerState(peer, key: self.generator.next())
        return self.peers.insert(state) ? state : nil
    }

    // MARK: What a request says

    private func read(
        _ outer: CoAPMessage,
        _ exchange: Exchange,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        guard let message = self.unprotected(outer, exchange, now: now, into: &actions) else { return }
        exchange.method = message.code
        exchange.options = message.options
        let peer = exchange.owner.peer
        if let problem = exchange.read.problem {
            if problem.isSilent(outer.type), exchange.protection == nil { return self.close(exchange) }
            self.finish(exchange, .error(problem.code), now: now, into: &actions)
            return
        }
        exchange.age = exchange.read.echo.flatMap {
            self.echo.age(of: $0, for: peer, context: exchange.context, now: now)
        }
        if exchange.age != nil {  // Only who receives at this address can have it (RFC 9175 §2.4).
            self.prove(exchange.owner, now: now)
            exchange.budget = .max
        }
        exchange.isShown = exchange.age != nil || peer.isSecure || exchange.protection != nil
        if self.takesAway(exchange) {
            self.finish(exchange, self.challenge(for: exchange, now: now), now: now, into: &actions)
            return
        }
        if message.code == .get, exchange.read.observe == CoAPObserve.deregister {
            self.endObservation(of: exchange, .deregistered, now: now, into: &actions)
        }
        if exchange.read.block1 != nil, exchange.protection == nil, !peer.isSecure,
            self.needsEcho?(CoAPRequest(exchange, message.payload, age: exchange.age)) == true
        {
            // What is there of a body is left alone: it may be of somebody else.
            self.finish(exchange, self.challenge(for: exchange, now: now), now: now, into: &actions)
            return
        }
        guard let whole = self.body(of: message, exchange, now: now, into: &actions) else { return }
        let request = CoAPRequest(exchange, whole.bytes, age: whole.age)
        exchange.wantsObservation = request.wantsObservation
        self.counts.requests += 1
        actions.append(.request(request))
    }

    /// What is inside a protected request, or the request itself; `nil`: it is answered.
    private func unprotected(
        _ outer: CoAPMessage,
        _ exchange: Exchange,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) -> CoAPMessage? {
        guard exchange.read.oscore != nil, exchange.read.problem == nil else { return outer }
        guard let protection = self.protection else {
            // Who does not know OSCORE rejects the option as one that is not known.
            if exchange.isConfirmable {
                self.finish(exchange, .error(.badOption), now: now, into: &actions)
            } else {
                self.close(exchange)
            }
            return nil
        }
        switch protection.open(outer, from: exchange.owner.peer, now: now) {
        case .request(let inner, let opened):
            exchange.protection = opened
            exchange.isOpened = true
            self.peers.noteOpened(exchange.owner)
            // It is proven, and no replay: who made up the address has not made up the message.
            exchange.budget = .max
            exchange.read = CoAPRequestOptions(inner.options)
            return inner
        case .challenged(let response, let opened):
            exchange.protection = opened
            self.finish(exchange, response, now: now, into: &actions)
        case .refused(let response):
            self.finish(exchange, response, now: now, into: &actions)
        }
        return nil
    }

    /// The whole body of the request; `nil`: it is not there yet, or the request is answered.
    private func body(
        of message: CoAPMessage,
        _ exchange: Exchange,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) -> IncomingBodies.Blocks? {
        let later = (exchange.read.block2?.number ?? 0) > 0 && message.code != .get
        if later {
            // More of the response to a request that must not be carried out again (RFC 7959 §3.3).
            guard let response = self.outgoing.find(exchange.bodyKey, now: now) else {
                self.finish(exchange, .error(.requestEntityIncomplete), now: now, into: &actions)
                return nil
            }
            self.finish(exchange, response, now: now, into: &actions)
            return nil
        }
        guard let block = exchange.read.block1 else {
            guard message.payload.readableBytes <= self.configuration.maxBodyBytes else {
                self.finish(exchange, self.tooLarge, now: now, into: &actions)
                return nil
            }
            return IncomingBodies.Blocks(bytes: message.payload, age: exchange.age)
        }
        let step = self.incoming.take(
            block,
            message.payload,
            size: exchange.read.size1,
            key: exchange.bodyKey,
            isProven: self.isProven(exchange),
            age: exchange.age,
            now: now
        )
        switch step {
        case .whole(let body, let earlier):
            exchange.answeredBlock1 = block
            exchange.earlierBlocks = earlier
            return body
        case .more:
            exchange.answeredBlock1 = block
            self.finish(exchange, CoAPResponse(.continue), now: now, into: &actions)
        case .incomplete:
            self.finish(exchange, .error(.requestEntityIncomplete), now: now, into: &actions)
        case .tooLarge:
            self.finish(exchange, self.tooLarge, now: now, into: &actions)
        case .wrongSize:
            self.finish(exchange, .error(.badRequest, "block size"), now: now, into: &actions)
        }
        return nil
    }

    /// 4.13, with the size that would be taken (RFC 7959 §2.9.3).
    private var tooLarge: CoAPResponse {
        var response = CoAPResponse(.requestEntityTooLarge)
        response.options.append(.size1, uint: UInt32(clamping: self.configuration.maxBodyBytes))
        return response
    }
}

extension CoAPRequest {
    fileprivate init(_ exchange: Exchange, _ payload: ByteBuffer, age: TimeAmount?) {
        self.init(
            id: exchange.id,
            peer: exchange.owner.peer,
            context: exchange.context,
            method: exchange.method,
            token: exchange.token,
            options: exchange.options,
            read: exchange.read,
            payload: payload,
            isConfirmable: exchange.isConfirmable,
            isMulticast: exchange.isMulticast,
            isAddressProven: exchange.owner.isProven,
            responseRoom: exchange.budget,
            age: age,
            bringsEcho: exchange.age != nil
        )
    }
}
