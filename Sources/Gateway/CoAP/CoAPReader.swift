import Broker
import CoAPCodec
import CoAPEndpoint
import DequeModule
import Devices
import MQTTCodec
import NIOCore
import Transport

/// GET and Observe of topics, for the peers of one CoAP listener: reading is what a subscription with its retained message is
/// in MQTT, and observing is a subscription. Bound to the gateway's loop.
///
/// Each observation is a session of the local broker, so commands wait, are sealed and are held back by policy as for
/// subscribers of MQTT. It ends with the observation; nothing of it is stored.
final class CoAPReader {
    private unowned let core: GatewayCore
    private var observers: [CoAPObservationID: TopicObserver] = [:]
    private var byPeer: [CoAPPeer: [TopicObserver]] = [:]
    /// Observers whose address nothing has proven.
    private var unconfirmedCount = 0
    /// The oldest first; some of them are confirmed by now, or gone.
    private var unconfirmed: Deque<CoAPObservationID> = []
    /// Observations of those who prove no device, by the network that their addresses are of.
    private var guestsOf: [String: Int] = [:]

    init(core: GatewayCore) {
        self.core = core
    }

    /// Observations.
    var observerCount: Int { self.observers.count }

    // MARK: Requests

    /// Answers a GET, and takes the client as an observer if it asks for that.
    ///
    /// Nothing there is 4.04 to a plain GET; to an observer it is an empty payload until there is something. What is refused
    /// is 4.01 to whoever proved nothing, and 4.03 to others.
    ///
    /// - Parameters:
    ///   - claimed: A device id that an unproven client names.
    ///   - isSessionID: It is the session topic of a device, found for it. Session IDs are public: no policy is asked.
    func get(
        _ request: CoAPRequest,
        topic: TopicName,
        identity: Client.Identity,
        claimed: String?,
        isSessionID: Bool,
        on channel: any CoAPAnswering
    ) {
        func answer(_ code: CoAPCode) { channel.respond(to: request.id, .error(code), observing: false) }
        guard let filter = Self.filter(of: topic) else { return answer(.notFound) }
        if !isSessionID, let code = self.objection(to: filter, request, identity, claimed: claimed, channel) {
            return answer(code)
        }
        if let block = request.read.block2, block.number > 0, self.answerRest(of: topic, block, request, channel) {
            return
        }
        // Of a session topic found for a device policy is not asked either when its session IDs are delivered.
        let owner = isSessionID ? .unproven : SessionOwner(identity)
        let message = self.core.presentMessage(on: topic, for: owner)
        let isObserving = request.wantsObservation
        guard
            let shown = CoAPRepresentation(message, accept: request.read.accept, isObserved: isObserving)
        else { return answer(.notAcceptable) }
        if isObserving {
            let device = self.core.device(behind: identity, claimed: claimed, filter: filter)
            let place = Place(filter: filter, topic: topic, owner: owner, claimed: claimed, device: device)
            if self.observe(request, place, shown, on: channel) { return }
        }
        guard message != nil else { return answer(.notFound) }
        let plain = CoAPRepresentation(message, accept: request.read.accept, isObserved: false) ?? shown
        channel.respond(to: request.id, plain.response(withETag: true), observing: false)
    }

    /// Why the sender of a request may not know the value of a topic; nil if it may.
    func objection(
        to topic: TopicName,
        _ request: CoAPRequest,
        _ identity: Client.Identity,
        claimed: String?,
        on channel: any CoAPAnswering
    ) -> CoAPCode? {
        guard let filter = Self.filter(of: topic) else { return .notFound }
        return self.objection(to: filter, request, identity, claimed: claimed, channel)
    }

    private static func filter(of topic: TopicName) -> TopicFilter? {
        guard let filter = try? TopicFilter(validating: topic.buffer), !filter.hasWildcards,
            (try? SharedSubscription.parse(filter)) == .some(nil)
        else { return nil }
        return filter
    }

    private func objection(
        to filter: TopicFilter,
        _ request: CoAPRequest,
        _ identity: Client.Identity,
        claimed: String?,
        _ channel: any CoAPAnswering
    ) -> CoAPCode? {
        let subscriber = Subscriber(
            identity: identity,
            clientID: claimed,
            name: identity.name(claimed: claimed),
            // What is not proven is nobody's address, so it does not tell refusals apart.
            address: request.isAddressProven || request.context != 0
                ? channel.address(of: request.peer).text : CoAPSender.unprovenAddress
        )
        return switch self.core.objection(to: filter, of: subscriber) {
        case nil: nil
        case .topicFilterInvalid?: .badRequest
        case _?: identity == .unproven ? .unauthorized : .forbidden
        }
    }

    /// The ETag of what a GET of the topic gives; nil if there is nothing.
    func eTag(of topic: TopicName) -> ByteBuffer? {
        // Without anybody's rights: what is sealed for a device is no value that can be matched.
        self.core.presentMessage(on: topic, for: .unproven).map(CoAPRepresentation.eTag)
    }

    /// A later block of a notification (RFC 7959 §3.4), from what was notified: the topic may have another value by now.
    private func answerRest(
        of topic: TopicName,
        _ block: CoAPBlock,
        _ request: CoAPRequest,
        _ channel: any CoAPAnswering
    ) -> Bool {
        // Under the same security: what was protected must not leave without.
        let found = self.byPeer[request.peer]?.first {
            $0.body != nil && $0.topic == topic && $0.context == request.context
        }
        guard let observer = found, let body = observer.body else { return false }
        channel.respond(
            to: request.id,
            CoAPResponse(.content, contentFormat: observer.format, payload: body),
            observing: false
        )
        observer.fetched(block)
        return true
    }

    // MARK: Observing

    /// What is observed by whom.
    private struct Place {
        let filter: TopicFilter
        let topic: TopicName
        let owner: SessionOwner
        let claimed: String?
        let device: ObservingDevice?
    }

    /// - Returns: False: there is no room, and the request is not answered (RFC 7641 §4.1: it is a plain GET then).
    private func observe(
        _ request: CoAPRequest,
        _ place: Place,
        _ shown: CoAPRepresentation,
        on channel: any CoAPAnswering
    ) -> Bool {
        let previous = self.byPeer[request.peer]?.first {
            $0.token == request.token && $0.context == request.context
        }
        guard
            let session = previous.flatMap({ self.session(of: $0, for: place) })
                ?? self.open(request, place, on: channel)
        else { return false }
        if let previous { self.forget(previous, keeping: session) }
        guard let id = channel.respond(to: request.id, shown.response(withETag: true), observing: true) else {
            // Answered all the same, or not to be answered any more.
            if let previous { channel.endObservation(previous.id) }
            self.discard(session)
            return true
        }
        let observer = TopicObserver(
            request,
            id: id,
            session: session,
            topic: place.topic.compacted(),
            device: place.device,
            format: shown.format,
            channel: channel,
            loop: self.core.loop
        )
        self.observers[id] = observer
        self.byPeer[request.peer, default: []].append(observer)
        if observer.isUnconfirmed { self.noteUnconfirmed(id) }
        if !observer.isUnconfirmed { self.countGuest(observer, 1) }
        self.core.observerCame(observer)
        self.core.broker.connected(session, to: observer, receiveMaximum: 1)
        if shown.message == nil {
            // What is retained and has to be sealed first; an answer can't wait for that.
            self.core.feed.add(Subscription(filter: place.filter, qos: .atLeastOnce), identifier: 0, to: session)
        }
        self.core.pumpCommands(for: session)
        return true
    }

    /// The session goes on if the client has registered the same anew, so that nothing that is under way is lost.
    private func session(of observer: TopicObserver, for place: Place) -> Session? {
        let session = observer.session
        let isSame =
            observer.topic == place.topic && session.owner == place.owner
            && session.claimedID == place.claimed ?? session.clientID.description
        // Session IDs are told anew, and those that waited may be spent.
        return isSame && !session.hasEnded && !self.core.isGatewaysOwn(place.topic) ? session : nil
    }

    private func open(_ request: CoAPRequest, _ place: Place, on channel: any CoAPAnswering) -> Session? {
        let limits = self.core.broker.limits
        // One host has as many ports as it likes, and shall not take the places of all others.
        let perNetwork = self.core.configuration.limits.maxConnectionsPerAddress
        if !place.owner.isProven, self.guestsOf[channel.address(of: request.peer).network] ?? 0 >= perNetwork {
            self.core.counters.count(.sessions)
            return nil
        }
        // Made-up addresses shall not take the places of those that are there, and not for long those of each other.
        if !request.isAddressProven, request.context == 0, self.unconfirmedCount >= max(limits.sessions / 8, 1) {
            self.core.counters.count(.sessions)
            self.endOldestUnconfirmed(channel)
        }
        let opening = self.core.broker.open(
            clientID: self.core.makeClientID(),
            owner: place.owner,
            cleanStart: true,
            expiryInterval: 0
        )
        guard case .opened(let session, _, _, _) = opening else {
            self.core.counters.count(.sessions)
            return nil
        }
        if let claimed = place.claimed { session.claimedID = claimed }
        let options = SubscriptionOptions(qos: .atLeastOnce)
        guard self.core.broker.subscribe(session, to: place.filter, options) != .full else {
            self.core.counters.count(.subscriptions)
            self.discard(session)
            return nil
        }
        return session
    }

    private func noteUnconfirmed(_ id: CoAPObservationID) {
        self.unconfirmedCount += 1
        self.unconfirmed.append(id)
        if self.unconfirmed.count > 2 * self.unconfirmedCount + 64 {
            self.unconfirmed.removeAll { !(self.observers[$0]?.isUnconfirmed ?? false) }
        }
    }

    /// Nobody is told: whoever is there after all registers again when it has heard nothing for Max-Age (RFC 7641 §3.3.1).
    private func endOldestUnconfirmed(_ channel: any CoAPAnswering) {
        while let id = self.unconfirmed.popFirst() {
            guard let observer = self.observers[id], observer.isUnconfirmed else { continue }
            channel.endObservation(id)
            return self.forget(observer)
        }
    }

    /// Those at addresses that nothing has confirmed count apart: anybody may have made them up.
    private func countGuest(_ observer: TopicObserver, _ change: Int) {
        guard !observer.session.owner.isProven else { return }
        let network = observer.network
        let count = (self.guestsOf[network] ?? 0) + change
        self.guestsOf[network] = count > 0 ? count : nil
    }

    private func discard(_ session: Session) {
        if let connection = session.connection {
            self.core.broker.disconnected(session, connection: connection)
        } else {
            self.core.broker.remove(session)
        }
    }

    // MARK: What the channel tells

    /// Time to ask an observer whether it is still there.
    func observationDue(_ id: CoAPObservationID, on channel: any CoAPAnswering) {
        guard let observer = self.observers[id] else { return }
        let session = observer.session
        let mayReceive = self.core.mayReceive(session, observer.topic)
        observer.ask(mayReceive ? self.core.presentMessage(on: observer.topic, for: session.owner) : nil)
    }

    /// An observation is over.
    func observationEnded(_ id: CoAPObservationID, _ end: CoAPObservationEnd, on channel: any CoAPAnswering) {
        if let observer = self.observers[id] { self.forget(observer) }
    }

    /// A client has what must arrive.
    func notificationConfirmed(_ id: CoAPObservationID, on channel: any CoAPAnswering) {
        guard let observer = self.observers[id] else { return }
        let wasUnconfirmed = observer.isUnconfirmed
        if wasUnconfirmed {
            self.unconfirmedCount -= 1
            self.countGuest(observer, 1)
        }
        observer.confirmed()
        // What had to wait for that.
        if wasUnconfirmed { self.core.pumpCommands(for: observer.session) }
    }

    /// Ends the observations of devices that are revoked, removed or re-keyed, with a last notification: 4.01.
    func endObservations(of devices: Set<DeviceID>) {
        for observer in self.observers.values where observer.device.map({ devices.contains($0.id) }) ?? false {
            observer.withdraw(.unauthorized)
            self.forget(observer)
        }
    }

    /// The last observation of the same topic by the same device that began after this one.
    private func newest(like observer: TopicObserver) -> TopicObserver? {
        guard let device = observer.device else { return nil }
        return self.observers.values
            .filter { $0.topic == observer.topic && $0.device?.id == device.id && $0.id > observer.id }
            .max { $0.id < $1.id }
    }

    /// - Parameter kept: A session that goes on with another observation.
    private func forget(_ observer: TopicObserver, keeping kept: Session? = nil) {
        guard self.observers.removeValue(forKey: observer.id) != nil else { return }
        self.byPeer[observer.peer]?.removeAll { $0 === observer }
        if self.byPeer[observer.peer]?.isEmpty ?? false { self.byPeer[observer.peer] = nil }
        if observer.isUnconfirmed { self.unconfirmedCount -= 1 }
        if !observer.isUnconfirmed { self.countGuest(observer, -1) }
        observer.end()
        let isOver = observer.session !== kept
        let other = isOver && observer.session.queuedCount > 0 ? self.newest(like: observer) : nil
        self.core.observerLeft(observer, isOver: isOver, other: other)
        if observer.session !== kept {
            self.core.broker.disconnected(observer.session, connection: observer)
        }
    }
}

extension SessionOwner {
    /// Whom a session of this identity belongs to.
    init(_ identity: Client.Identity) {
        switch identity {
        case .device(let id): self = .device(id.text)
        case .guest: self = .guest
        case .unproven: self = .unproven
        }
    }
}

extension Client.Identity {
    /// For the operator: the proven device, or the claimed one with a question mark.
    func name(claimed: String?) -> String {
        switch self {
        case .device(let id): id.text
        case .guest: "guest"
        case .unproven: claimed.map { Printable.text($0) + "?" } ?? "?"
        }
    }
}
