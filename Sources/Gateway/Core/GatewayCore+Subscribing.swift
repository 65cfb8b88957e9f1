import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import Sealing
import Transport

extension GatewayCore {
    /// SUBSCRIBE: each filter is decided by itself `[MQTT-3.8.4-5]`, then SUBACK, then what is retained.
    func subscribe(_ client: Client, _ session: Session, _ subscribe: Subscribe) {
        var codes: [ReasonCode] = []
        var wanted: [Subscription] = []
        let identifier = subscribe.properties.subscriptionIdentifiers.first ?? 0
        for asked in subscribe.subscriptions {  // One code for each, in order [MQTT-3.9.3-1].
            let subscription = client.isBridge ? asked.ofBridge : asked
            let filter = subscription.filter
            if let problem = self.objection(to: filter, of: client.subscriber) {
                codes.append(problem)
                continue
            }
            let options = SubscriptionOptions(
                qos: subscription.qos,
                noLocal: subscription.noLocal,
                retainAsPublished: subscription.retainAsPublished,
                identifier: identifier
            )
            let outcome = self.broker.subscribe(session, to: filter, options)
            guard outcome != .full else {
                codes.append(.quotaExceeded)
                self.counters.count(.subscriptions)
                self.logger.warning(
                    "subscription refused: the session has as many as it may have",
                    metadata: ["client": "\(client.name)", "filter": "\(Printable.text(filter.buffer))"]
                )
                continue
            }
            codes.append(.granted(subscription.qos))  // [MQTT-3.8.4-7]
            // Naming a filter twice in one packet does not make the gateway look twice.
            if subscription.wantsRetained(isNew: outcome == .new), !wanted.contains(where: { $0.filter == filter }) {
                wanted.append(subscription)
            }
        }
        var ack = SubAck(packetID: subscribe.packetID, reasonCodes: codes)
        if let words = codes.lazy.compactMap({ client.words(for: $0) }).first {
            ack.properties.reasonString = try? MQTTString(words)
        }
        // [MQTT-2.2.1-6], [MQTT-3.8.4-2]
        let suback = MQTTPacket.suback(ack)
        self.answer(client, session) {
            client.socket?.send(suback)  // [MQTT-3.8.4-1], [MQTT-3.8.4-6]
            for subscription in wanted { self.feed.add(subscription, identifier: identifier, to: session) }
            self.pumpCommands(for: session)
        }
    }

    /// UNSUBSCRIBE: filter by filter `[MQTT-3.10.4-6]`, with the codes in their order `[MQTT-3.11.3-1]`.
    func unsubscribe(_ client: Client, _ session: Session, _ unsubscribe: Unsubscribe) {
        let codes = unsubscribe.filters.map { filter -> ReasonCode in
            self.broker.unsubscribe(session, from: filter) ? .success : .noSubscriptionExisted  // [MQTT-3.11.3-2]
        }
        // [MQTT-2.2.1-6], [MQTT-3.10.4-5]
        let unsuback = MQTTPacket.unsuback(UnsubAck(packetID: unsubscribe.packetID, reasonCodes: codes))
        self.answer(client, session) { client.socket?.send(unsuback) }  // [MQTT-3.10.4-4]
    }

    /// A subscription that the client was told of must be there after a crash, if its session is.
    private func answer(_ client: Client, _ session: Session, _ body: @escaping () -> Void) {
        guard session.isStored else { return body() }
        self.commits.whenSafe(for: client) { if client.session === session { body() } }
    }

    /// Why somebody can't have this subscription, in the words of MQTT; the operator is told.
    func objection(to filter: TopicFilter, of subscriber: Subscriber) -> ReasonCode? {
        // What is behind the ShareName is what is matched, so it is what is decided about; decoding has checked the form.
        let matched = ((try? SharedSubscription.parse(filter)) ?? nil)?.filter ?? filter
        if let problem = self.configuration.limits.problem(with: matched.buffer) {
            self.counters.count(.topicSize)
            self.note(.topic, filter, of: subscriber, problem)
            return .topicFilterInvalid
        }
        let decision = self.decide(subscribe: matched, subscriber)
        guard !decision.isAllowed else { return nil }
        self.counters.count(.policy)
        self.note(.policy, filter, of: subscriber, decision.explanation)
        return .notAuthorized  // 0x80 in 3.1.1 [MQTT-3.8.4-5 of 3.1.1].
    }

    private func note(_ refusal: Refusal, _ filter: TopicFilter, of subscriber: Subscriber, _ detail: String) {
        self.refusals.note(
            refusal,
            device: subscriber.name,
            topic: filter.buffer,
            from: subscriber.address,
            detail: detail,
            now: .now()
        )
    }

    /// Makes the feed of what new subscriptions get at once: retained messages whose publisher may still publish there, `$SYS`,
    /// and the session IDs that are valid now, oldest first.
    func makeRetainedFeed() -> RetainedFeed {
        RetainedFeed(
            loop: self.loop,
            hooks: .init(
                find: { [unowned self] subscription in
                    guard subscription.retainHandling != .doNotSend else { return [] }
                    var found: [KeptMessage] = []
                    self.broker.retained.forEachMatch(of: subscription.filter) { found.append($0) }
                    return found
                },
                send: { [unowned self] kept, session, subscription, identifier in
                    guard self.mayStillBeRetained(kept.message), !self.isEcho(kept.message, to: session) else { return }
                    if let device = self.registry.commandDevice(kept.message.topic),
                        self.isSealed(session.owner, for: device), kept.message.mustBeSealed(for: device)
                    {
                        guard self.mayReceive(session, kept.message.topic) else { return }
                        return self.commits.withoutPublisher { self.hold(kept.message, for: device, retain: true) }
                    }
                    var outgoing = OutgoingMessage(kept)
                    // Nobody would send them again: should they not reach the disk, they are tried again.
                    self.commits.withoutPublisher {
                        self.deliver(
                            &outgoing,
                            to: session,
                            qos: min(kept.message.qos, subscription.qos),
                            retain: true,  // [MQTT-3.3.1-8 of 3.1.1]
                            identifiers: identifier == 0 ? [] : [identifier]
                        )
                    }
                },
                finish: { [unowned self] session, subscription, identifier in
                    guard session.connection != nil else { return }  // Nothing of it waits for anybody.
                    let identifiers = identifier == 0 ? [] : [identifier]
                    self.sendSystemTopics(
                        to: session,
                        matching: subscription.filter,
                        qos: subscription.qos,
                        identifiers
                    )
                    self.sendStateTopics(
                        to: session,
                        matching: subscription.filter,
                        qos: subscription.qos,
                        identifiers
                    )
                    self.sendSessionIDs(
                        to: session,
                        matching: subscription.filter,
                        qos: subscription.qos,
                        identifiers
                    )
                }
            )
        )
    }

    /// What a kept session missed while its client was away.
    func sendSessionIDs(to session: Session) {
        for (filter, options) in session.subscriptions
        where !self.channels.isEmpty || self.hasStateTopics(matching: filter) {
            // Without retained messages, which it got when it subscribed.
            if filter.hasWildcards {
                self.feed.add(
                    Subscription(filter: filter, qos: options.qos, retainHandling: .doNotSend),
                    identifier: options.identifier,
                    to: session
                )
            } else {
                let identifiers = options.identifier == 0 ? [] : [options.identifier]
                self.sendStateTopics(to: session, matching: filter, qos: options.qos, identifiers)
                self.sendSessionIDs(to: session, matching: filter, qos: options.qos, identifiers)
            }
        }
    }

    private func sendSessionIDs(
        to session: Session,
        matching filter: TopicFilter,
        qos: QoS,
        _ identifiers: [UInt32]
    ) {
        if !filter.hasWildcards {
            guard let topic = try? TopicName(validating: filter.buffer), let channel = self.channels[topic] else {
                return
            }
            self.sendSessionIDs(of: channel, to: session, qos: qos, identifiers)
        } else {
            for (topic, channel) in self.channels where filter.matches(topic) {
                self.sendSessionIDs(of: channel, to: session, qos: qos, identifiers)
            }
        }
    }

    private func sendSessionIDs(
        of channel: SealedChannel,
        to session: Session,
        qos: QoS,
        _ identifiers: [UInt32]
    ) {
        for id in channel.receiver.validSessionIDs {
            var outgoing = OutgoingMessage(
                Message(topic: channel.topic, payload: id.payload, qos: .atLeastOnce, retain: true)
            )
            self.deliver(
                &outgoing,
                to: session,
                qos: min(.atLeastOnce, qos),
                retain: true,
                identifiers: identifiers,
                isPassing: true
            )
        }
    }

    /// A retained message outlives neither the right nor the device of its publisher.
    func mayStillBeRetained(_ message: Message) -> Bool {
        guard let publisher = message.publisher else { return true }
        if publisher == Self.guestPublisher {
            return self.registry.guestPolicy(profile: "guest")?.decide(publish: message.topic).isAllowed ?? false
        }
        guard let id = try? DeviceID(publisher), let policy = self.registry.policy(for: id) else { return false }
        return policy.decide(publish: message.topic).isAllowed
    }

    private func decide(subscribe filter: TopicFilter, _ subscriber: Subscriber) -> SubscribeDecision {
        switch subscriber.identity {
        case .device(let id):
            return SubscribeDecision(self.registry.policy(for: id)?.decide(subscribe: filter))
        case .guest:
            return SubscribeDecision(self.registry.guestPolicy(profile: "guest")?.decide(subscribe: filter))
        case .unproven:
            // Session IDs are public: they are worth nothing without the keys of the node.
            if !filter.hasWildcards, let topic = try? TopicName(validating: filter.buffer), self.channels[topic] != nil
            {
                return .allowed
            }
            return SubscribeDecision(
                self.policy(unproven: filter, clientID: subscriber.clientID)?.decide(subscribe: filter)
            )
        }
    }

    /// Whose rights an unproven connection has for this filter: those of a node that may send sealed or plain messages over
    /// such a connection, and so has no other way to hear. Never those of a device that proves itself by TLS.
    private func policy(unproven filter: TopicFilter, clientID: String?) -> DevicePolicy? {
        if let id = self.registry.claimedDevice(subscribe: filter, clientID: clientID),
            self.registry.seal(of: id) ?? .none != .none
        {
            return self.registry.policy(for: id)
        }
        return self.registry.plaintextDevice(subscribe: filter, clientID: clientID)
            .flatMap { self.registry.policy(for: $0) }
    }

    /// Whether the session may get messages of this topic now: the subscription may be older than the policy. The last
    /// answer is kept with the session.
    ///
    /// - Parameter topic: In storage of its own, as that of every message on its way to subscribers is.
    func mayReceive(_ session: Session, _ topic: TopicName) -> Bool {
        let generation = self.registry.generation
        if let last = session.lastCheck, last.generation == generation, last.topic == topic { return last.isAllowed }
        let isAllowed = self.checkReceive(session, topic)
        session.lastCheck = .init(topic: topic, generation: generation, isAllowed: isAllowed)
        return isAllowed
    }

    private func checkReceive(_ session: Session, _ topic: TopicName) -> Bool {
        switch session.owner {
        case .device(let text):
            guard let id = try? DeviceID(text) else { return false }
            return self.registry.policy(for: id)?.mayReceive(topic) ?? false
        case .guest:
            return self.registry.guestPolicy(profile: "guest")?.mayReceive(topic) ?? false
        case .unproven:
            if self.channels[topic] != nil { return true }
            guard let filter = try? TopicFilter(validating: topic.buffer) else { return false }
            return self.policy(unproven: filter, clientID: session.claimedID)?.mayReceive(topic) ?? false
        }
    }
}

/// Who wants to hear: what the decision about a subscription is made of.
struct Subscriber {
    let identity: Client.Identity
    /// Whom the subscriber claims to be, beside what the filter says.
    let clientID: String?
    /// For the operator.
    let name: String
    let address: String
}

extension Client {
    fileprivate var subscriber: Subscriber {
        Subscriber(identity: self.identity, clientID: self.clientID, name: self.name, address: self.address)
    }
}

extension Subscription {
    /// What a bridge means: nothing comes back to it, and RETAIN is the publisher's.
    fileprivate var ofBridge: Subscription {
        var copy = self
        copy.noLocal = (try? SharedSubscription.parse(self.filter)) == .some(nil)
        copy.retainAsPublished = true
        return copy
    }

    /// Whether retained messages are sent at once: by Retain Handling `[MQTT-3.3.1-9]`, `[MQTT-3.3.1-10]`,
    /// `[MQTT-3.3.1-11]`, and never for shared ones (MQTT 5.0 §4.8.2).
    fileprivate func wantsRetained(isNew: Bool) -> Bool {
        if (try? SharedSubscription.parse(self.filter)) ?? nil != nil { return false }
        return switch self.retainHandling {
        case .send: true  // [MQTT-3.8.4-4]
        case .sendIfNew: isNew
        case .doNotSend: false
        }
    }
}

/// The answer to one filter of a SUBSCRIBE.
private enum SubscribeDecision {
    case allowed
    case refused(String)

    init(_ decision: Decision?) {
        guard let decision else {
            self = .refused("the connection proves no device, and none that may be unproven fits this filter")
            return
        }
        self = decision.isAllowed ? .allowed : .refused(decision.explanation)
    }

    var isAllowed: Bool {
        if case .allowed = self { true } else { false }
    }

    var explanation: String {
        switch self {
        case .allowed: "allowed"
        case .refused(let words): words
        }
    }
}
