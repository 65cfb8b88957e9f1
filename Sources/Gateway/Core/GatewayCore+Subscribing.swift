import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import Sealing
import Transport

extension GatewayCore {
    /// SUBSCRIBE: each filter is decided by itself `[MQTT-3.8.4-4]`, then SUBACK, then what is retained.
    func subscribe(_ client: Client, _ session: Session, _ subscribe: Subscribe) {
        var codes: [ReasonCode] = []
        var granted: [(filter: TopicFilter, qos: QoS)] = []
        for subscription in subscribe.subscriptions {
            let filter = subscription.filter
            let decision = self.decide(subscribe: filter, client: client)
            let qos = min(subscription.qos, .atLeastOnce)
            guard decision.isAllowed else {
                self.counters.count(.policy)
                self.refusals.note(
                    .policy,
                    device: client.name,
                    topic: filter.buffer,
                    from: client.address,
                    detail: decision.explanation,
                    now: .now()
                )
                codes.append(.notAuthorized)  // 0x80 in 3.1.1 [MQTT-3.8.4-5].
                continue
            }
            guard self.broker.subscribe(session, to: filter, qos: qos) else {
                codes.append(.quotaExceeded)
                self.logger.warning(
                    "subscription refused: the session has as many as it may have",
                    metadata: ["client": "\(client.name)", "filter": "\(Printable.text(filter.buffer))"]
                )
                continue
            }
            codes.append(qos == .atMostOnce ? .success : .grantedQoS1)
            // Naming a filter twice in one packet does not make the gateway look twice.
            if !granted.contains(where: { $0.filter == filter }) { granted.append((filter, qos)) }
        }
        client.connection?.send(.suback(SubAck(packetID: subscribe.packetID, reasonCodes: codes)))  // [MQTT-3.8.4-1]
        for (filter, qos) in granted {
            self.sendRetained(to: session, matching: filter, qos: qos)
        }
    }

    /// What a new subscription gets at once: retained messages whose publisher may still publish there, and the session
    /// IDs that are valid now, oldest first.
    private func sendRetained(to session: Session, matching filter: TopicFilter, qos: QoS) {
        var found: [Message] = []
        self.broker.retained.forEachMatch(of: filter) { found.append($0) }
        for message in found where self.mayStillBeRetained(message) {
            self.deliver(message, to: session, qos: min(message.qos, qos), retain: true)
        }
        self.sendSessionIDs(to: session, matching: filter, qos: qos)
    }

    /// What a kept session missed while its client was away.
    func sendSessionIDs(to session: Session) {
        for (filter, qos) in session.subscriptions { self.sendSessionIDs(to: session, matching: filter, qos: qos) }
    }

    private func sendSessionIDs(to session: Session, matching filter: TopicFilter, qos: QoS) {
        if !filter.hasWildcards {
            guard let topic = try? TopicName(validating: filter.buffer), let channel = self.channels[topic] else {
                return
            }
            self.sendSessionIDs(of: channel, to: session, qos: qos)
        } else {
            for (topic, channel) in self.channels where filter.matches(topic) {
                self.sendSessionIDs(of: channel, to: session, qos: qos)
            }
        }
    }

    private func sendSessionIDs(of channel: SealedChannel, to session: Session, qos: QoS) {
        for id in channel.receiver.validSessionIDs {
            let message = Message(topic: channel.topic, payload: id.payload, qos: .atLeastOnce, retain: true)
            self.deliver(message, to: session, qos: min(.atLeastOnce, qos), retain: true)
        }
    }

    /// A retained message outlives neither the right nor the device of its publisher.
    private func mayStillBeRetained(_ message: Message) -> Bool {
        guard let publisher = message.publisher else { return true }
        if publisher == Self.guestPublisher {
            return self.registry.guestPolicy(profile: "guest")?.decide(publish: message.topic).isAllowed ?? false
        }
        guard let id = try? DeviceID(publisher), let policy = self.registry.policy(for: id) else { return false }
        return policy.decide(publish: message.topic).isAllowed
    }

    private func decide(subscribe filter: TopicFilter, client: Client) -> SubscribeDecision {
        switch client.identity {
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
                self.policy(unproven: filter, clientID: client.clientID)?.decide(subscribe: filter)
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
    func mayReceive(_ session: Session, _ topic: TopicName) -> Bool {
        let generation = self.registry.generation
        if let last = session.lastCheck, last.generation == generation, last.topic == topic { return last.isAllowed }
        let isAllowed = self.checkReceive(session, topic)
        session.lastCheck = .init(topic: topic.compacted(), generation: generation, isAllowed: isAllowed)
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
            return self.policy(unproven: filter, clientID: session.clientID.description)?.mayReceive(topic) ?? false
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
