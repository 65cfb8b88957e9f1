internal import CoAPCodec
internal import DequeModule
package import NIOCore

extension CoAPServer {
    /// Answers a request. One that is answered already, or whose peer is forgotten, is passed over.
    ///
    /// - Parameter observing: Take the client as an observer if it asked for that (``CoAPRequest/wantsObservation``). Only
    ///   with a response of success.
    /// - Returns: The observation, for ``notify(_:_:now:into:)``; `nil`: none was asked for, or there is no room.
    @discardableResult
    package func respond(
        to id: CoAPRequest.ID,
        _ response: CoAPResponse,
        observing: Bool = false,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) -> CoAPObservationID? {
        guard let exchange = self.open[id] else { return nil }
        guard observing, exchange.wantsObservation, response.code.isSuccess else {
            if exchange.wantsObservation {  // What was registered under this token is no longer (RFC 7641 §4.1).
                self.endObservation(of: exchange, .replaced, now: now, into: &actions)
            }
            self.finish(exchange, response, now: now, into: &actions)
            return nil
        }
        guard let observation = self.observe(exchange, response, now: now, into: &actions) else {
            self.finish(exchange, response, now: now, into: &actions)
            return nil
        }
        guard self.finish(exchange, response, observing: observation, now: now, into: &actions) else {
            self.remove(observation)  // The owner never heard of it.
            return nil
        }
        // A separate response is acknowledged, which proves more.
        if !exchange.isAcknowledged { self.ping(observation, after: response, now: now, into: &actions) }
        return observation.id
    }

    /// Leaves a request without an answer, for good: when it comes again, too.
    package func ignore(_ id: CoAPRequest.ID, now: NIODeadline, into actions: inout [CoAPAction]) {
        if let exchange = self.open[id] { self.close(exchange) }
    }

    /// Asks for the request again with a fresh Echo value: 4.01 (RFC 9175 §2.3). When it comes it has an age.
    package func challenge(_ id: CoAPRequest.ID, now: NIODeadline, into actions: inout [CoAPAction]) {
        guard let exchange = self.open[id] else { return }
        if let earlier = exchange.earlierBlocks, let block = exchange.answeredBlock1, exchange.age == nil {
            // Some clients send the last block again, with the value, and others all of them. One that had a value and is
            // challenged all the same is not helped by another one: what came before it is not good.
            let isProven = self.isProven(exchange)
            self.incoming.putBack(earlier, before: block, key: exchange.bodyKey, isProven: isProven, now: now)
        }
        self.finish(exchange, self.challenge(for: exchange, now: now), now: now, into: &actions)
    }

    func challenge(for exchange: Exchange, now: NIODeadline) -> CoAPResponse {
        var response = CoAPResponse(.unauthorized)
        let value = self.echo.value(for: exchange.owner.peer, context: exchange.context, now: now)
        response.options.append(.echo, value)
        return response
    }

    // MARK: Ways out

    /// The owner has decided, or nothing is to be decided.
    ///
    /// - Parameter isCarriedOut: Once more would be too often.
    func close(_ exchange: Exchange, isCarriedOut: Bool = false) {
        guard exchange.isOpen else { return }
        exchange.isOpen = false
        exchange.owner.noteOpen(isProtected: exchange.isProtected, -1)
        self.open[exchange.id] = nil
        self.settle(exchange, isCarriedOut: isCarriedOut)
        // Those that are answered need no waking up for.
        while let first = self.acknowledgements.first, !first.exchange.isOpen {
            self.acknowledgements.removeFirst()
        }
    }

    /// The time for a response in the acknowledgement is over.
    func acknowledge(_ exchange: Exchange, now: NIODeadline, into actions: inout [CoAPAction]) {
        exchange.isAcknowledged = true
        exchange.owner.noteAcknowledged(exchange.id)
        exchange.budget = exchange.budget == .max ? .max : exchange.budget - 4
        self.sendEmpty(.acknowledgement, exchange.messageID, to: exchange.owner.peer, into: &actions)
    }

    /// Sends a response, cut to what the client and its address allow.
    ///
    /// - Returns: Whether it is a response of success that went out.
    @discardableResult
    func finish(
        _ exchange: Exchange,
        _ response: CoAPResponse,
        observing observation: Observation? = nil,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) -> Bool {
        self.close(exchange, isCarriedOut: exchange.isCarriedOut(response.code))
        var response = response
        if exchange.method == .get, response.code == .content { self.validate(&response, for: exchange) }
        if self.isUnwanted(response.code, exchange) {
            self.finishSilently(exchange, into: &actions)
            return response.code.isSuccess
        }
        if let bare = self.bare(response, exchange), observation == nil {
            self.deliver(bare, for: exchange, now: now, into: &actions)
            return response.code.isSuccess
        }
        if let block = exchange.answeredBlock1 { response.options.append(.block1, uint: block.value) }
        if observation != nil { response.options.append(.observe, uint: self.nextSequence()) }
        // What has to be cut leaves something for the ping that asks whether anybody is there.
        let isNotification = observation != nil
        let reserve =
            isNotification && !self.fits(response, exchange) ? min(Self.pingBytes, exchange.budget / 2) : 0
        exchange.budget -= reserve
        guard let cut = self.fitted(response, exchange, now: now),
            let message = self.message(cut, token: exchange.token, exchange.protection, isNotification: isNotification)
        else {
            self.finishSilently(exchange, into: &actions)
            return false
        }
        self.deliver(message, for: exchange, now: now, into: &actions)
        observation?.budget = exchange.budget + reserve
        return cut.code.isSuccess
    }

    /// A response that is a code alone, as most are: there is nothing to cut, nor to add.
    private func bare(_ response: CoAPResponse, _ exchange: Exchange) -> CoAPMessage? {
        guard response.options.isEmpty, response.payload.readableBytes == 0, exchange.answeredBlock1 == nil,
            exchange.read.block2 == nil, exchange.protection == nil, 4 + exchange.token.count <= exchange.budget
        else { return nil }
        return CoAPMessage(type: .nonConfirmable, code: response.code, messageID: 0, token: exchange.token)
    }

    /// The client has this representation: 2.03 (RFC 7252 §5.10.6.2).
    private func validate(_ response: inout CoAPResponse, for exchange: Exchange) {
        guard exchange.read.hasETag, let eTag = response.options.first(.eTag),
            exchange.options.contains(where: { $0 == CoAPOption(.eTag, eTag) })
        else { return }
        response.code = .valid
        response.payload = ByteBuffer()
        response.options.remove(.contentFormat)
    }

    /// No-Response (RFC 7967 §2), and groups, which are told of success only (RFC 7252 §8.2) unless they ask.
    private func isUnwanted(_ code: CoAPCode, _ exchange: Exchange) -> Bool {
        if code == .continue { return false }  // Without it no body ever becomes whole.
        if let noResponse = exchange.read.noResponse { return noResponse.suppresses(code) }
        return exchange.isMulticast && !code.isSuccess
    }

    /// The acknowledgement that a confirmable request gets in any case (RFC 7967 §2).
    private func finishSilently(_ exchange: Exchange, into actions: inout [CoAPAction]) {
        guard exchange.isConfirmable, !exchange.isAcknowledged else { return }
        let empty = CoAPMessage.empty(.acknowledgement, messageID: exchange.messageID).encoded()
        self.keep(empty, of: exchange)
        actions.append(.send(empty, to: exchange.owner.peer))
    }

    private func deliver(
        _ message: CoAPMessage,
        for exchange: Exchange,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        var message = message
        let state = exchange.owner
        if exchange.isConfirmable, exchange.isAcknowledged {
            // Separate (RFC 7252 §5.2.2): confirmable as the request was.
            message.type = .confirmable
            state.waiting.append(.response(message, budget: exchange.budget))
            return self.sendWaiting(of: state, now: now, into: &actions)
        }
        if exchange.isConfirmable {
            message.type = .acknowledgement
            message.messageID = exchange.messageID
        } else {
            message.type = .nonConfirmable
            message.messageID = state.nextMessageID()
        }
        let datagram = message.encoded()
        if exchange.budget != .max { exchange.budget -= datagram.readableBytes }
        if exchange.isMulticast { return self.delay(datagram, to: state.peer, now: now) }
        if exchange.isConfirmable { self.keep(datagram, of: exchange) }
        actions.append(.send(datagram, to: state.peer))
    }

    /// Answers to a group are spread over its leisure (RFC 7252 §8.2).
    private func delay(_ datagram: ByteBuffer, to peer: CoAPPeer, now: NIODeadline) {
        guard self.delayed.count < self.configuration.maxOpen else { return }
        let id = self.nextID()
        let wait = Int64.random(in: 0...max(self.configuration.leisure.nanoseconds, 0), using: &self.generator)
        self.delayed[id] = (datagram, peer)
        self.setTimer(now + .nanoseconds(wait), .delayed(id))
    }

    // MARK: Cutting

    /// The block of a response that the client asked for, or that the budget of its address allows; a challenge or the
    /// bare code where not even that fits, and `nil` where nothing does.
    private func fitted(_ response: CoAPResponse, _ exchange: Exchange, now: NIODeadline) -> CoAPResponse? {
        let limit = self.configuration.blockSizeExponent
        let asked = response.code.isSuccess && response.code != .continue ? exchange.read.block2 : nil
        let offset = asked?.offset ?? 0
        guard offset == 0 || offset < response.payload.readableBytes else {
            return self.fitted(.error(.badRequest, "no such block"), exchange, now: now)
        }
        let isAsked = asked != nil && response.payload.readableBytes > 0
        let largest = min(asked?.sizeExponent ?? limit, limit)
        // Smaller blocks for an address that is not proven, so that clients that know no Echo are served too.
        let smallest = exchange.budget == .max || response.code != .content ? largest : 0
        for exponent in (smallest...largest).reversed() {
            let isPart = isAsked || exponent < largest
            let part = self.part(of: response, offset: offset, exponent: exponent, isAsked: isPart) {
                exchange.read.size2 != nil
            }
            if self.fits(part, exchange) {
                let size = 16 << Int(exponent)
                if exchange.method != .get, offset == 0, response.payload.readableBytes > size {
                    // The rest can't be had by carrying the request out again.
                    var kept = response
                    kept.options.remove(.block1)
                    self.outgoing.store(kept, key: exchange.bodyKey, now: now)
                }
                if exponent < largest { self.counts.amplificationsHeldBack += 1 }
                return part
            }
        }
        self.counts.amplificationsHeldBack += 1
        // What a GET asked for is told to whoever comes back with the Echo value. Anything else was carried out, or is
        // an error: the code says so.
        let isChallenge = exchange.method == .get && response.code.isSuccess
        var short = isChallenge ? self.challenge(for: exchange, now: now) : CoAPResponse(response.code)
        if let block = exchange.answeredBlock1 { short.options.append(.block1, uint: block.value) }
        return self.fits(short, exchange) ? short : nil
    }

    private func fits(_ response: CoAPResponse, _ exchange: Exchange) -> Bool {
        if exchange.budget == .max { return true }
        let payload = response.payload.readableBytes
        let size = 4 + exchange.token.count + response.options.encodedSize + (payload == 0 ? 0 : payload + 1)
        return size <= exchange.budget
    }

    /// One block with what tells the client so (RFC 7959 §2.2, §2.4), or the response as it is.
    func part(
        of response: CoAPResponse,
        offset: Int,
        exponent: UInt8,
        isAsked: Bool,
        wantsSize: () -> Bool
    ) -> CoAPResponse {
        let size = 16 << Int(exponent)
        let total = response.payload.readableBytes
        guard isAsked || total > size else { return response }
        var part = response
        let length = max(min(size, total - offset), 0)
        part.payload =
            response.payload.getSlice(at: response.payload.readerIndex + offset, length: length) ?? ByteBuffer()
        let number = UInt32(clamping: offset / size)
        let hasMore = offset + length < total
        let block = CoAPBlock(number: min(number, CoAPBlock.maxNumber), hasMore: hasMore, sizeExponent: exponent)
        part.options.append(.block2, uint: block.value)
        if hasMore || offset > 0, response.options.first(.eTag) == nil {
            // Shows the client that the blocks are of one representation.
            var hasher = Hasher()
            response.payload.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
            var eTag = ByteBuffer()
            eTag.writeInteger(UInt32(truncatingIfNeeded: hasher.finalize()))
            part.options.append(.eTag, eTag)
        }
        if wantsSize() { part.options.append(.size2, uint: UInt32(clamping: total)) }
        return part
    }

    /// Sealed, if the request was; `nil`: it can't be.
    func message(
        _ response: CoAPResponse,
        token: CoAPToken,
        _ protected: CoAPProtectedRequest?,
        isNotification: Bool
    ) -> CoAPMessage? {
        let plain = CoAPMessage(
            type: .nonConfirmable,
            code: response.code,
            messageID: 0,
            token: token,
            options: response.options,
            payload: response.payload
        )
        guard let protected, let protection = self.protection else { return plain }
        let needsOwn = isNotification || protected.needsOwnPartialIV
        var sealed = protection.seal(plain, to: protected, withOwnPartialIV: needsOwn)
        sealed?.token = token
        return sealed
    }
}
