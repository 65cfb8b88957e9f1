internal import CoAPCodec
package import NIOCore

extension CoAPServer {
    /// Tells an observer of a new representation (RFC 7641 §4.2).
    ///
    /// One notification is under way to an observer at a time; of those that come meanwhile the newest is sent. A response
    /// that is no success, or that has another Content-Format than the first, is the last: the observation ends.
    ///
    /// - Parameter isConfirmable: It must arrive: it is sent as confirmable whatever went before, nothing but a newer one of
    ///   its kind takes its place, and ``CoAPAction/notificationConfirmed(_:)`` follows when the client has acknowledged
    ///   it. An owner whose every notification must arrive waits for that before it gives the next.
    /// - Returns: False if there is no such observation.
    @discardableResult
    package func notify(
        _ id: CoAPObservationID,
        _ response: CoAPResponse,
        isConfirmable: Bool = false,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) -> Bool {
        guard let observation = self.observations[id] else { return false }
        let hasFormat = response.code.isSuccess && response.contentFormat == observation.contentFormat
        guard hasFormat else {
            let last = response.code.isSuccess ? CoAPResponse.error(.notAcceptable) : response
            self.withdraw(observation, last, now: now, into: &actions)
            return true
        }
        let mustWait = observation.isUnderWay || isConfirmable || self.isConfirmable(observation, now: now)
        guard mustWait else {
            self.sendNonConfirmable(response, to: observation, now: now, into: &actions)
            return true
        }
        self.counts.notificationsSuperseded += observation.put(response, isOwed: isConfirmable)
        if !observation.isUnderWay { self.queue(observation, now: now, into: &actions) }
        return true
    }

    /// The owner has no more to say to an observer. It is not told, and neither is the owner.
    package func endObservation(_ id: CoAPObservationID, now: NIODeadline, into actions: inout [CoAPAction]) {
        guard let observation = self.observations[id] else { return }
        self.remove(observation)
        self.sendWaiting(of: observation.owner, now: now, into: &actions)
    }

    // MARK: Coming and going

    /// Takes the client as an observer; `nil`: there is no room.
    func observe(
        _ exchange: Exchange,
        _ response: CoAPResponse,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) -> Observation? {
        let state = exchange.owner
        let former = state.observation(of: exchange.token, context: exchange.context)
        let wasShown = former.map { $0.isShown && $0.registration == exchange.registration } ?? false
        self.endObservation(of: exchange, .replaced, now: now, into: &actions)
        if self.observations.count >= self.configuration.maxObservations, self.isProven(exchange),
            let other = self.observations.values.first(where: { self.budget(of: $0) != .max })
        {
            self.end(other, .crowdedOut, now: now, into: &actions)
        }
        guard state.observationCount(of: exchange.context) < self.configuration.maxObservationsPerPeer,
            self.observations.count < self.configuration.maxObservations, !exchange.isMulticast
        else {
            self.counts.observationsTurnedAway += 1
            return nil
        }
        let limit = self.configuration.blockSizeExponent
        let observation = Observation(
            id: self.nextID(),
            exchange: exchange,
            contentFormat: response.contentFormat,
            blockSizeExponent: min(exchange.read.block2?.sizeExponent ?? limit, limit),
            now: now
        )
        observation.isShown = exchange.isShown || wasShown
        state.observations.append(observation)
        self.observations[observation.id] = observation
        self.lookAtObservers(now: now)
        return observation
    }

    /// Whether a request would end or replace an observation that its client has shown to be its own, and does not show that
    /// it is of that client: a token that is empty, or always the same, anybody knows. To register the same again changes
    /// nothing, so nodes that know no Echo may.
    func takesAway(_ exchange: Exchange) -> Bool {
        guard exchange.method == .get, !exchange.isShown, let observe = exchange.read.observe,
            let observation = exchange.owner.observation(of: exchange.token, context: exchange.context),
            observation.isShown
        else { return false }
        // A later block is no registration, whatever else it says (RFC 7959 §2.6).
        let isRegistration = observe == CoAPObserve.register && (exchange.read.block2?.number ?? 0) == 0
        return observe == CoAPObserve.deregister
            || isRegistration && observation.registration != exchange.registration
    }

    func isProven(_ exchange: Exchange) -> Bool { exchange.owner.isProven || exchange.protection != nil }

    /// Ends the observation that has the token of this request.
    func endObservation(
        of exchange: Exchange,
        _ reason: CoAPObservationEnd,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        if let observation = exchange.owner.observation(of: exchange.token, context: exchange.context) {
            self.end(observation, reason, now: now, into: &actions)
        }
    }

    /// Whatever is under way to it is not sent again, and what waited behind is sent.
    func end(
        _ observation: Observation,
        _ reason: CoAPObservationEnd,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        guard self.observations[observation.id] != nil else { return }
        self.remove(observation)
        actions.append(.observationEnded(observation.id, reason))
        self.sendWaiting(of: observation.owner, now: now, into: &actions)
    }

    func remove(_ observation: Observation) {
        self.observations[observation.id] = nil
        observation.dropWaiting()
        let state = observation.owner
        state.observations.removeAll { $0 === observation }
        state.inFlight.removeAll { transmission in
            switch transmission.purpose {
            case .notification(let other, _), .ping(let other): other === observation
            case .response: false
            }
        }
    }

    /// The last notification: without Observe, so that the client knows (RFC 7641 §3.2).
    private func withdraw(
        _ observation: Observation,
        _ response: CoAPResponse,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        let state = observation.owner
        let last = self.message(
            response,
            token: observation.token,
            observation.protection,
            isNotification: true
        )
        self.end(observation, .withdrawn, now: now, into: &actions)
        guard var message = last else { return }
        message.type = .confirmable
        state.waiting.append(.response(message, budget: self.budget(of: observation)))
        self.sendWaiting(of: state, now: now, into: &actions)
    }

    // MARK: Sending

    /// In how many steps of the interval observers are looked at.
    private static let looksPerInterval: Int64 = 16
    /// Observers that are asked in one look; the others follow a second later.
    private static let mostAsked = 500
    /// Made-up addresses shall not take the places of others for long, and whoever observes shall soon have shown it.
    private static let unprovenInterval: TimeAmount = .seconds(30)

    /// Bytes for the first notifications to an address where somebody has answered a ping. Their acknowledgement proves it.
    private static let pingAllowance = 512
    private static let pingInterval = TimeAmount.minutes(5)
    /// A ping is sent again so often: for so long notifications wait for its answer.
    static let pingRetransmissions = 1
    /// Bytes of a ping, each time that it is sent.
    static let pingBytes = 4 * (CoAPServer.pingRetransmissions + 1)

    /// Asks whether anybody is at an address that is not proven, when its observation has begun: what it may be sent may be
    /// used up by the first response, and then no notification could be sent whose acknowledgement would prove it.
    /// Notifications wait for the answer.
    ///
    /// - Parameter response: The first. Where just one more like it could be sent, the ping must not take the place of that.
    func ping(
        _ observation: Observation,
        after response: CoAPResponse,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        let left = self.budget(of: observation)
        guard left != .max else { return }
        let payload = response.payload.readableBytes
        // 4: Observe.
        let size = 4 + observation.token.count + response.options.encodedSize + 4 + (payload == 0 ? 0 : payload + 1)
        if (size..<size + Self.pingBytes).contains(left) || !self.mayPing(observation.owner, now: now) { return }
        observation.owner.lastPing = now
        observation.owner.waiting.append(.ping(observation))
        self.sendWaiting(of: observation.owner, now: now, into: &actions)
    }

    /// It is its turn.
    func sendPing(to observation: Observation, now: NIODeadline, into actions: inout [CoAPAction]) {
        let state = observation.owner
        let bytes = min(Self.pingBytes, observation.budget)
        guard self.observations[observation.id] != nil, self.budget(of: observation) != .max, bytes >= 4 else { return }
        observation.budget -= bytes
        let message = CoAPMessage.empty(.confirmable, messageID: state.nextMessageID())
        self.transmit(message, .ping(observation), to: state, budget: bytes, now: now, into: &actions)
    }

    /// Somebody has answered a ping. Anybody's endpoint would do that, so it does not prove that he wants anything: a few
    /// notifications are all that he can get for it, and a RST ends them.
    func pinged(_ observation: Observation) { observation.budget += Self.pingAllowance }

    /// Whether a ping could be of use: what its answer allows is allowed to an address once in a while, however many observe
    /// in its name.
    private func mayPing(_ state: PeerState, now: NIODeadline) -> Bool {
        state.lastPing.map { now - $0 >= Self.pingInterval } ?? true
    }

    private func budget(of observation: Observation) -> Int {
        observation.owner.isProven || observation.protection != nil ? .max : observation.budget
    }

    /// Whether the next notification has to be acknowledged (RFC 7641 §4.5).
    private func isConfirmable(_ observation: Observation, now: NIODeadline) -> Bool {
        observation.isConfirmable || observation.mustConfirm || self.budget(of: observation) != .max
            || observation.unconfirmed >= self.configuration.confirmEvery
            || now - observation.lastConfirmed >= self.configuration.confirmInterval
            || now - observation.lastSent < self.configuration.nonConfirmableSpacing
    }

    /// What waits for it goes out when it is the peer's turn.
    private func queue(_ observation: Observation, now: NIODeadline, into actions: inout [CoAPAction]) {
        observation.isUnderWay = true
        observation.owner.waiting.append(.notification(observation))
        self.sendWaiting(of: observation.owner, now: now, into: &actions)
    }

    /// It is this one's turn.
    func sendConfirmable(
        _ next: Observation.Waiting,
        to observation: Observation,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        let state = observation.owner
        let budget = self.budget(of: observation)
        guard var message = self.notification(next.response, to: observation) else {
            observation.isUnderWay = false
            // Its confirmation would never come, and the owner waits for it.
            if next.isOwed { self.end(observation, .unreachable, now: now, into: &actions) }
            return
        }
        guard message.encodedSize <= budget else {
            // Nothing can be sent that would prove the address.
            self.counts.amplificationsHeldBack += 1
            return self.end(observation, .unreachable, now: now, into: &actions)
        }
        if budget != .max { observation.budget -= message.encodedSize }
        message.type = .confirmable
        message.messageID = state.nextMessageID()
        observation.noteSent(message.messageID)
        observation.lastSent = now
        observation.mustConfirm = false
        self.transmit(message, .notification(observation, next), to: state, budget: budget, now: now, into: &actions)
    }

    private func sendNonConfirmable(
        _ response: CoAPResponse,
        to observation: Observation,
        now: NIODeadline,
        into actions: inout [CoAPAction]
    ) {
        guard var message = self.notification(response, to: observation) else { return }
        message.messageID = observation.owner.nextMessageID()
        observation.noteSent(message.messageID)
        observation.unconfirmed += 1
        observation.lastSent = now
        actions.append(.send(message.encoded(), to: observation.owner.peer))
    }

    /// The first block of a representation, or all of it; the client fetches the rest (RFC 7959 §3.4). `nil`: it can't be
    /// sealed.
    func notification(_ response: CoAPResponse, to observation: Observation) -> CoAPMessage? {
        var response = response
        response.options.append(.observe, uint: self.nextSequence())
        let budget = self.budget(of: observation)
        let exponents = (budget == .max ? observation.blockSizeExponent : 0)...observation.blockSizeExponent
        var smallest: CoAPMessage?
        for exponent in exponents.reversed() {
            let isAsked = exponent < observation.blockSizeExponent
            let part = self.part(of: response, offset: 0, exponent: exponent, isAsked: isAsked) { false }
            let message = self.message(
                part,
                token: observation.token,
                observation.protection,
                isNotification: true
            )
            guard let message, message.encodedSize > budget else { return message }
            smallest = message
        }
        return smallest
    }

    /// The client has acknowledged a notification.
    func confirmed(_ observation: Observation, isOwed: Bool, now: NIODeadline, into actions: inout [CoAPAction]) {
        observation.isUnderWay = false
        observation.unconfirmed = 0
        observation.isShown = true
        observation.lastConfirmed = now
        if isOwed { actions.append(.notificationConfirmed(observation.id)) }
        if observation.hasWaiting { self.queue(observation, now: now, into: &actions) }
    }

    /// Higher than all before, modulo 24 bits (RFC 7641 §3.4).
    func nextSequence() -> UInt32 {
        self.observeSequence = (self.observeSequence + 1) & CoAPObserve.sequenceMask
        return self.observeSequence
    }

    // MARK: Asking whether they are still there

    private func lookAtObservers(now: NIODeadline, soon: Bool = false) {
        guard !self.looksAtObservers, !self.observations.isEmpty else { return }
        self.looksAtObservers = true
        let step = max(self.configuration.confirmInterval.nanoseconds / Self.looksPerInterval, 1_000_000)
        let wait = soon ? .seconds(1) : min(.nanoseconds(step), Self.unprovenInterval)
        self.setTimer(now + wait, .observers)
    }

    /// Observers of whom nothing was heard for the interval (RFC 7641 §4.5): the owner notifies them, and what goes out
    /// then is confirmable.
    func askObservers(now: NIODeadline, into actions: inout [CoAPAction]) {
        self.looksAtObservers = false
        var asked = 0
        for observation in self.observations.values where !observation.isUnderWay {
            let interval = observation.isShown ? self.configuration.confirmInterval : Self.unprovenInterval
            guard now - observation.lastConfirmed >= interval, now - observation.lastAsked >= interval else { continue }
            observation.lastAsked = now
            if !observation.isShown { observation.mustConfirm = true }
            actions.append(.observationDue(observation.id))
            asked += 1
            if asked == Self.mostAsked { break }
        }
        self.lookAtObservers(now: now, soon: asked == Self.mostAsked)
    }
}
