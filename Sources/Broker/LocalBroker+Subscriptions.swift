package import MQTTCodec

extension LocalBroker {
    /// What became of a subscription.
    package enum SubscribeOutcome: Equatable, Sendable {
        case new
        /// There was one to this filter `[MQTT-3.8.4-3]`.
        case replaced
        /// The session has as many as it may have, or as many bytes of them.
        case full
    }

    /// Adds a subscription whose right was checked.
    ///
    /// - Parameter filter: As the client named it, `$share/…` included.
    package func subscribe(
        _ session: Session,
        to filter: TopicFilter,
        _ options: SubscriptionOptions
    ) -> SubscribeOutcome {
        let outcome = self.insert(session, filter, options)
        if outcome != .full {
            session.journal?.append(
                .subscribe(
                    session: session.number,
                    SubscriptionRecord(
                        filter: filter.buffer.compacted(),
                        qos: options.qos.rawValue,
                        noLocal: options.noLocal,
                        retainAsPublished: options.retainAsPublished,
                        identifier: options.identifier
                    )
                )
            )
        }
        return outcome
    }

    /// Takes a subscription away `[MQTT-3.10.4-1]`, `[MQTT-3.10.4-2]`; whether there was one. What it brought into the queue
    /// stays there `[MQTT-3.10.4-3]`.
    package func unsubscribe(_ session: Session, from filter: TopicFilter) -> Bool {
        guard session.subscriptions.removeValue(forKey: filter) != nil else { return false }
        session.subscriptionBytes -= Session.cost(of: filter)
        self.countSubscriptions(-Session.cost(of: filter), of: session.owner)
        self.removeFromTree(filter, session)
        session.journal?.append(.unsubscribe(session: session.number, filter: filter.buffer.compacted()))
        return true
    }

    /// Whether some filter has this first level, in those words.
    package func hasSubscribers(below firstLevel: String) -> Bool { self.tree.hasSubscriptions(below: firstLevel) }

    func insert(_ session: Session, _ filter: TopicFilter, _ options: SubscriptionOptions) -> SubscribeOutcome {
        let isNew = session.subscriptions[filter] == nil
        if isNew {
            let cost = Session.cost(of: filter)
            guard !session.hasEnded, session.subscriptions.count < self.limits.subscriptions,
                session.subscriptionBytes + cost <= self.limits.subscriptionBytes,
                self.hasRoom(forSubscription: cost, of: session.owner)
            else { return .full }
            session.subscriptionBytes += cost
            self.countSubscriptions(cost, of: session.owner)
        }
        let kept = filter.compacted()
        session.subscriptions[kept] = options
        if let shared = Self.shared(kept) {
            self.tree.insert(shared.filter, options, for: session, group: shared.group)
        } else {
            self.tree.insert(kept, options, for: session)
        }
        return isNew ? .new : .replaced
    }

    private func hasRoom(forSubscription bytes: Int, of owner: SessionOwner) -> Bool {
        self.subscriptionBytes.all + bytes <= self.limits.subscriptionBytesTotal
            && (owner.isProven || self.subscriptionBytes.unproven + bytes <= self.limits.subscriptionBytesTotal / 2)
    }

    func countSubscriptions(_ bytes: Int, of owner: SessionOwner) {
        self.subscriptionBytes.all += bytes
        if !owner.isProven { self.subscriptionBytes.unproven += bytes }
    }

    func removeFromTree(_ filter: TopicFilter, _ session: Session) {
        if let shared = Self.shared(filter) {
            self.tree.remove(shared.filter, for: session, group: shared.group)
        } else {
            self.tree.remove(filter, for: session)
        }
    }

    /// What decoding has checked can be taken apart.
    private static func shared(_ filter: TopicFilter) -> SharedSubscription? {
        (try? SharedSubscription.parse(filter)) ?? nil
    }

    /// Calls `body` once for each session with a matching subscription `[MQTT-3.3.4-2]`, and for each matching shared
    /// subscription with one member after the other until one takes the message (MQTT 5.0 §4.8.2).
    ///
    /// - Parameters:
    ///   - origin: The session that published it; gets nothing by subscriptions with No Local.
    ///   - body: Whether the session took the message; counts for shared subscriptions only.
    package func forEachRecipient(of topic: TopicName, from origin: Session?, _ body: (Session, Grant) -> Bool) {
        guard self.tree.count > 0 else { return }
        self.round &+= 1
        let round = self.round
        // Taken out and put back, so that a delivery costs no array.
        var recipients: [Session] = []
        var groups: [SharedGroup<Session>] = []
        swap(&recipients, &self.recipients)
        swap(&groups, &self.groups)
        self.tree.forEachMatch(
            of: topic,
            plain: { session, options in
                if options.noLocal, session === origin { return }
                if let passesOver = session.passesOver, passesOver(topic) { return }
                if session.matchedRound == round {
                    session.match.add(options)
                } else {
                    session.matchedRound = round
                    session.match = Grant(options)
                    recipients.append(session)
                }
            },
            shared: { groups.append($0) }
        )
        for session in recipients { _ = body(session, session.match) }
        for group in groups {
            _ = group.offer(isReady: { $0.connection?.hasRoom == true }) { session, options in
                body(session, Grant(options))  // [MQTT-4.8.2-3]
            }
        }
        recipients.removeAll(keepingCapacity: recipients.count <= 4_096)
        groups.removeAll(keepingCapacity: true)
        swap(&recipients, &self.recipients)
        swap(&groups, &self.groups)
    }
}
