import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import Sealing
import Store
import Transport

extension GatewayCore {
    // MARK: Planning

    /// Works out what happens to messages of this connection on this topic.
    func plan(for client: Client, topic: TopicName) -> PublishPlan {
        if let problem = self.configuration.limits.problem(with: topic.buffer) {
            self.counters.count(.topicSize)
            return .refused(.topic, device: client.name, detail: problem)
        }
        switch client.identity {
        case .device(let id):
            return self.plan(proven: id, topic: topic)
        case .guest:
            guard let policy = self.registry.guestPolicy(profile: "guest") else {
                return .refused(.notProven, device: "guest", detail: "gateway.conf has no [profile.guest]")
            }
            let pace = policy.profile.rate.map { client.guestPace($0) }
            return .plain(self.destination(device: nil, policy: policy, topic: topic, pace: pace))
        case .unproven:
            if let observed = client.observed { return self.plan(observed: observed.device, topic: topic) }
            return self.plan(unproven: client, topic: topic)
        }
    }

    private func plan(proven id: DeviceID, topic: TopicName) -> PublishPlan {
        guard let destination = self.destination(for: id, topic: topic) else {
            return .refused(.revoked, device: id.text, detail: "no such device")
        }
        if destination.profile.relay,
            let other = self.registry.claimedDevice(publish: topic, clientID: nil), other != id
        {
            let plaintext = self.destination(forSessionIDsOn: topic)
            return self.sealedPlan(topic: topic, claimed: other, required: nil, plaintext: plaintext, clientID: nil)
        }
        guard let seal = self.registry.seal(of: id), seal != .none else { return .plain(destination) }
        return self.sealedPlan(
            topic: topic,
            claimed: id,
            required: destination.profile.relay ? nil : id,
            plaintext: destination.profile.plaintext || destination.commandSession != nil ? destination : nil,
            clientID: id.text
        )
    }

    /// The gateway asked this very node, so whose the message is was said by gateway.conf; a seal proves it, or the profile has to
    /// do without.
    private func plan(observed id: DeviceID, topic: TopicName) -> PublishPlan {
        guard let destination = self.destination(for: id, topic: topic) else {
            return .refused(
                .notProven,
                device: id.text,
                detail: "gateway.conf observes a resource for it, and there is no such device"
            )
        }
        let plaintext = self.registry.allowsPlaintext(id) ? destination : nil
        guard let seal = self.registry.seal(of: id), seal != .none else {
            if let plaintext { return .plain(plaintext) }
            return .refused(
                .notProven,
                device: id.text,
                detail: "what comes from an observed resource must be sealed, or the profile must have plaintext = true"
            )
        }
        return self.sealedPlan(topic: topic, claimed: id, required: id, plaintext: plaintext, clientID: id.text)
    }

    private func plan(unproven client: Client, topic: TopicName) -> PublishPlan {
        let clientID = client.clientID
        let plaintext =
            self.registry.plaintextDevice(publish: topic, clientID: clientID)
            .flatMap { self.destination(for: $0, topic: topic) } ?? self.destination(forSessionIDsOn: topic)
        let channels = self.registry.candidates(publish: topic, clientID: clientID)
        guard !channels.isEmpty else {
            if let plaintext { return .plain(plaintext) }
            let claimed = self.registry.claimedDevice(publish: topic, clientID: clientID)
            return .refused(
                .notProven,
                device: claimed?.text ?? client.name,
                detail: claimed.map { self.needOfProof($0, client) } ?? self.noSender(topic, client)
            )
        }
        return self.sealedPlan(
            topic: topic,
            claimed: self.registry.claimedDevice(publish: topic, clientID: clientID),
            required: nil,
            plaintext: plaintext,
            clientID: clientID
        )
    }

    private func needOfProof(_ device: DeviceID, _ client: Client) -> String {
        let ways = client.coap == nil ? "TLS" : "DTLS, OSCORE"
        return "device \(device) must prove itself: by \(ways), a seal, or a profile with plaintext = true"
    }

    private func noSender(_ topic: TopicName, _ client: Client) -> String {
        guard let missing = self.registry.missingDevice(publish: topic) else {
            let what = client.coap == nil ? "connection" : "request"
            return "no device's profile fits this topic, and the \(what) proves none"
        }
        let nearest = self.nearestDevices.find(missing, in: self.registry, now: .now())
        return "there is no device \(missing)" + (nearest.map { "; did you mean \"\($0)\"?" } ?? "")
    }

    private func sealedPlan(
        topic: TopicName,
        claimed: DeviceID?,
        required: DeviceID?,
        plaintext: Destination?,
        clientID: String?
    ) -> PublishPlan {
        var topics = self.registry.candidates(publish: topic, clientID: clientID)
        if topics.isEmpty, let claimed, let own = self.registry.sessionTopic(of: claimed) { topics = [own] }
        return .sealed(
            SealedPlan(
                channels: topics.compactMap { self.channels[$0] },
                claimed: claimed,
                required: required,
                plaintext: plaintext
            )
        )
    }

    /// What the device may do on its topic for session IDs, which are public and need no seal; nil if it is no such topic.
    private func destination(forSessionIDsOn topic: TopicName) -> Destination? {
        self.registry.commandSession(topic).flatMap { self.destination(for: $0.device, topic: topic) }
    }

    /// What a proven device may do on a topic; nil if there is no such device.
    func destination(for id: DeviceID, topic: TopicName) -> Destination? {
        self.registry.policy(for: id).map { self.destination(device: id, policy: $0, topic: topic) }
    }

    /// What the sender of one message may do on another topic; nil if it is gone.
    ///
    /// - Parameter isCounted: Whether the other message counts against the rate.
    func destination(like other: Destination, topic: TopicName, isCounted: Bool) -> Destination? {
        let policy =
            if let device = other.device { self.registry.policy(for: device) } else {
                self.registry.guestPolicy(profile: "guest")
            }
        return policy.map {
            self.destination(
                device: other.device,
                policy: $0,
                topic: topic,
                pace: other.pace,
                isCounted: isCounted
            )
        }
    }

    private func destination(
        device: DeviceID?,
        policy: DevicePolicy,
        topic: TopicName,
        pace: SenderPace? = nil,
        isCounted: Bool = true
    ) -> Destination {
        let kept = topic.compacted()
        let decision = policy.decide(publish: kept)
        return Destination(
            device: device,
            profile: policy.profile,
            topic: kept,
            decision: decision,
            routes: decision.isAllowed ? self.routes.outgoing(for: kept) : [],
            pace: !isCounted ? nil : device == nil ? pace : self.pace(of: device, policy.profile),
            commandSession: self.registry.commandSession(kept),
            // What it says itself is no command for it.
            sealedFor: self.registry.commandDevice(kept).flatMap { $0 == device ? nil : $0 }
        )
    }

    private func pace(of device: DeviceID?, _ profile: Profile) -> SenderPace? {
        guard let rate = profile.rate, let device else { return nil }
        if let pace = self.paces[device] { return pace }
        let pace = SenderPace(rate)
        self.paces[device] = pace
        return pace
    }

    // MARK: Admitting

    /// Policy, Router and Spool for a message whose sender is proven.
    ///
    /// - Parameters:
    ///   - payload: What leaves: the opened data of a sealed message.
    ///   - undo: Called if the message can't be kept, so that it is accepted when the node sends it again.
    func admit(
        _ publish: Publish,
        payload: ByteBuffer,
        to destination: Destination,
        from client: Client,
        undo: (() -> Void)? = nil
    ) {
        guard destination.decision.isAllowed else {
            let refusal: Refusal = destination.decision.reason == .revoked ? .revoked : .policy
            return client.refuse(
                publish,
                refusal,
                device: destination.name,
                detail: destination.decision.explanation
            )
        }
        guard publish.payload.readableBytes <= destination.profile.maxPayload else {
            return client.refuse(
                publish,
                .tooLarge,
                device: destination.name,
                detail: "\(publish.payload.readableBytes) bytes, over max_payload = \(destination.profile.maxPayload)"
            )
        }
        if let full = self.uplinkWithoutRoom(destination.routes, device: destination.device, payload: payload) {
            undo?()
            return client.refuse(
                publish,
                .spoolFull,
                device: destination.name,
                detail: "the spool of uplink \(full.name) is full"
            )
        }
        if publish.retain, client.speaksV5, destination.commandSession == nil,
            let problem = self.objection(toRetaining: publish, of: destination, client)
        {
            undo?()
            return client.refuse(publish, .retained, device: destination.name, detail: problem)
        }
        if let pace = destination.pace {
            let now = NIODeadline.now()
            // To slow down the whole broker would hold up all nodes behind it; who speaks CoAP is told.
            if client.attached != nil || client.coap != nil || client.observed != nil, !pace.hasRoom(now: now) {
                if client.attached == nil { undo?() }
                return client.refuse(
                    publish,
                    .rate,
                    device: destination.name,
                    detail: "over the rate of its profile"
                )
            }
            if let pause = pace.take(now: now) { client.connection?.pauseReading(for: pause) }
        }
        if let session = destination.commandSession {
            return self.admit(publish, sessionID: payload, session, to: destination, from: client, undo: undo)
        }
        var pending: PendingAcknowledgement?
        for route in destination.routes {
            self.forward(
                publish,
                payload: payload,
                along: route,
                device: destination.device,
                for: client,
                pending: &pending,
                undo: undo
            )
        }
        let message = self.message(publish, payload: payload, to: destination)
        let wasTaken = self.distribute(
            message,
            from: client.session ?? client.willOrigin,
            isStored: true,
            sealedFor: destination.sealedFor
        )
        client.attached?.sendBack(topic: destination.topic, payload: payload)
        guard publish.qos != .atMostOnce else { return }
        let isOfUse = wasTaken || !destination.routes.isEmpty || !client.speaksV5
        let code: ReasonCode = isOfUse ? .success : .noMatchingSubscribers
        client.acknowledgeWhenSafe(publish, code: code, pending: pending, undo: undo)
    }

    // MARK: Local delivery

    /// Stands for guests as the publisher of a message; no device id has a `?`.
    static let guestPublisher = "?guest"

    /// The message as it goes on from here.
    private func message(_ publish: Publish, payload: ByteBuffer, to destination: Destination) -> Message {
        var message = Message(
            topic: destination.topic,
            payload: payload,
            qos: publish.qos,
            retain: publish.retain && destination.profile.retain,
            publisher: destination.device?.text ?? Self.guestPublisher
        )
        if !publish.properties.isAbsent {
            message.properties = publish.properties.ofMessage
            message.expiry = publish.properties.messageExpiryInterval.map { .now() + .seconds(Int64($0)) }
        }
        return message
    }

    /// Why a client of MQTT 5.0 can't have this message retained; one of 3.x can't be told, so its message goes on without.
    private func objection(toRetaining publish: Publish, of destination: Destination, _ client: Client) -> String? {
        guard publish.payload.readableBytes > 0, destination.profile.retain else { return nil }
        let message = self.message(publish, payload: publish.payload, to: destination)
        guard !self.broker.retained.hasRoom(for: message) else { return nil }
        self.counters.count(.retainedMessages)
        return "as many messages are retained as may be"
    }

    /// Whether all of these messages of one sender can be retained together.
    func canRetain(_ messages: [(publish: Publish, destination: Destination)]) -> Bool {
        let kept = messages.filter { $0.publish.payload.readableBytes > 0 && $0.destination.profile.retain }
        return self.broker.retained.hasRoom(
            forAll: kept.map { self.message($0.publish, payload: $0.publish.payload, to: $0.destination) }
        )
    }

    /// Retains a message if it says so, and delivers it to the local subscribers.
    ///
    /// - Parameters:
    ///   - origin: The session that published it, for No Local.
    ///   - isStored: Whether a retained one outlives a restart.
    ///   - device: For which it is a command that has to be sealed.
    /// - Returns: Whether it was of use: retained, or for some subscriber.
    @discardableResult
    func distribute(
        _ message: Message,
        from origin: Session? = nil,
        isStored: Bool,
        sealedFor device: DeviceID? = nil
    ) -> Bool {
        var wasTaken = message.retain
        var isAwaited = false
        if message.retain { self.retain(message, isStored: isStored) }  // [MQTT-3.3.1-8]
        var outgoing = OutgoingMessage(message)
        // [MQTT-4.5.0-1]
        self.broker.forEachRecipient(of: message.topic, from: origin) { session, grant in
            if self.isEcho(message, to: session) { return false }
            if let device, self.isSealed(session.owner, for: device) {
                let mayReceive = self.mayReceive(session, message.topic)
                if mayReceive { isAwaited = true }
                return mayReceive
            }
            wasTaken = true
            return self.deliver(
                &outgoing,
                to: session,
                qos: min(message.qos, grant.qos),
                retain: message.retain && grant.retainAsPublished,  // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
                identifiers: grant.identifiers
            )
        }
        guard let device, isAwaited || !self.attachedBrokers(for: message).isEmpty else { return wasTaken }
        return self.hold(message, for: device) || wasTaken
    }

    private func retain(_ message: Message, isStored: Bool) {
        switch self.broker.retained.retain(message) {
        case .stored where isStored:
            self.commits.append(.set(self.retainedRecord(of: message)))
        case .cleared where isStored: self.commits.append(.clear(topic: message.topic.buffer))
        case .full:
            self.counters.count(.retainedMessages)
            // The old value is not the topic's value any more.
            self.forgetRetained(message.topic)
        case .stored, .cleared, .unchanged: break
        }
    }

    /// Clears a topic's retained message, if there is one.
    func forgetRetained(_ topic: TopicName) {
        guard let kept = self.broker.retained[topic], self.broker.retained.clear(topic) else { return }
        if kept.publisher != nil { self.commits.append(.clear(topic: topic.buffer)) }
    }

    /// Whether it is what a device published itself, and its session for commands would bring it back.
    func isEcho(_ message: Message, to session: Session) -> Bool {
        guard Piggyback.owns(session), case .device(let id) = session.owner else { return false }
        return message.publisher == id
    }

    /// Delivers anew what was with another session, or in another place. Nobody would send it again; and what came after it
    /// is newer, though it stands before it now.
    func redeliver(_ messages: [Message], to session: Session) {
        for var message in messages {
            message.replacesWaiting = false
            var outgoing = OutgoingMessage(message)
            self.commits.withoutPublisher {
                self.deliver(&outgoing, to: session, qos: min(message.qos, .atLeastOnce), retain: message.retain)
            }
        }
    }

    /// One delivery, if the policy still allows it.
    ///
    /// - Returns: Whether it is with the session, or on its way to it.
    @discardableResult
    func deliver(
        _ outgoing: inout OutgoingMessage,
        to session: Session,
        qos: QoS,
        retain: Bool,
        identifiers: [UInt32] = [],
        isPassing: Bool = false
    ) -> Bool {
        guard self.mayReceive(session, outgoing.message.topic) else {
            self.counters.deliveriesDropped += 1
            return false
        }
        let outcome = session.deliver(
            &outgoing,
            qos: qos,
            retain: retain,
            identifiers: identifiers,
            isPassing: isPassing
        )
        switch outcome {
        case .sent, .queued:
            self.counters.delivered += 1
            return true
        case .dropped:
            self.counters.deliveriesDropped += 1
            if qos != .atMostOnce { self.counters.count(.queue) }
            return false
        }
    }

    // MARK: Wills

    /// Why the client may not leave this will; nil if it may. Asked at CONNECT, and decided again when it is sent.
    func objection(to will: Will, of client: Client) -> String? {
        switch self.plan(for: client, topic: will.topic) {
        case .plain(let destination):
            guard destination.decision.isAllowed else { return destination.decision.explanation }
            let limit = destination.profile.maxPayload
            return will.payload.readableBytes <= limit ? nil : "it is longer than max_payload = \(limit)"
        case .sealed(let plan):
            guard let claimed = plan.claimed, let destination = self.destination(for: claimed, topic: will.topic) else {
                return nil
            }
            return destination.decision.isAllowed ? nil : destination.decision.explanation
        case .refused(_, _, let detail):
            return detail
        }
    }
}
