package import MQTTCodec

/// Sessions, subscriptions and retained messages of the local side: a broker's memory without its sockets.
///
/// Decides nothing about rights: its owner asks the policy first, and again for each recipient. Bound to the gateway's
/// loop.
package final class LocalBroker {
    package struct Limits: Sendable, Equatable {
        /// Most sessions, those of absent clients included.
        package var sessions: Int
        /// Most subscriptions of one session.
        package var subscriptions: Int
        package var outbound: OutboundWindow.Limits
        package var retained: RetainedMessages.Limits

        package init(
            sessions: Int = 20_000,
            subscriptions: Int = 100,
            outbound: OutboundWindow.Limits = .init(),
            retained: RetainedMessages.Limits = .init()
        ) {
            self.sessions = sessions
            self.subscriptions = subscriptions
            self.outbound = outbound
            self.retained = retained
        }
    }

    /// How a CONNECT found its session.
    package enum Opening {
        /// - Parameters:
        ///   - isPresent: Session Present of the CONNACK `[MQTT-3.2.2-2]`.
        ///   - takenOver: The connection that had the session until now; the caller closes it `[MQTT-3.1.4-2]`.
        case opened(Session, isPresent: Bool, takenOver: (any SessionConnection)?)
        /// The client identifier belongs to another identity.
        case taken
        /// The limit of sessions is reached.
        case full
    }

    private let limits: Limits
    private var sessions: [MQTTString: Session] = [:]
    private var tree = SubscriptionTree<Session>()
    private var round = 0
    private var recipients: [Session] = []
    /// The retained messages; the caller checks rights before it retains and before it serves.
    package var retained: RetainedMessages

    package init(limits: Limits = Limits()) {
        self.limits = limits
        self.retained = RetainedMessages(limits: limits.retained)
    }

    package var sessionCount: Int { self.sessions.count }
    package var subscriptionCount: Int { self.tree.count }

    /// Finds or makes the session for a CONNECT (MQTT 3.1.1 §3.1.2.4).
    package func open(clientID: MQTTString, owner: SessionOwner, isClean: Bool) -> Opening {
        let existing = self.sessions[clientID]
        if let existing, existing.owner != owner { return .taken }
        let previousConnection = existing?.connection
        if let existing, !isClean, !existing.isClean {
            existing.connection = nil
            return .opened(existing, isPresent: true, takenOver: previousConnection)
        }
        guard existing != nil || self.sessions.count < self.limits.sessions else { return .full }
        if let existing { self.remove(existing) }
        let session = Session(
            clientID: clientID.compacted(),
            owner: owner,
            isClean: isClean,
            limits: self.limits.outbound
        )
        self.sessions[session.clientID] = session
        return .opened(session, isPresent: false, takenOver: previousConnection)
    }

    /// The connection of the session is gone; a clean session goes with it.
    package func disconnected(_ session: Session, connection: any SessionConnection) {
        // A session that was taken over belongs to its new connection already.
        guard session.connection === connection || session.connection == nil else { return }
        session.connection = nil
        if session.isClean { self.remove(session) }
    }

    /// Ends the session whatever its kind: its device was revoked or removed.
    package func remove(_ session: Session) {
        for filter in session.subscriptions.keys {
            self.tree.remove(filter, for: session)
        }
        session.subscriptions = [:]
        if self.sessions[session.clientID] === session { self.sessions[session.clientID] = nil }
    }

    /// All sessions that belong to this owner.
    package func sessions(ownedBy owner: SessionOwner) -> [Session] {
        self.sessions.values.filter { $0.owner == owner }
    }

    /// Adds a subscription whose right was checked.
    ///
    /// - Returns: False if the session has as many as it may have.
    package func subscribe(_ session: Session, to filter: TopicFilter, qos: QoS) -> Bool {
        if session.subscriptions[filter] == nil, session.subscriptions.count >= self.limits.subscriptions {
            return false
        }
        let kept = filter.compacted()
        session.subscriptions[kept] = qos
        self.tree.insert(kept, qos: qos, for: session)
        return true
    }

    /// Takes a subscription away `[MQTT-3.10.4-1]`.
    package func unsubscribe(_ session: Session, from filter: TopicFilter) {
        guard session.subscriptions.removeValue(forKey: filter) != nil else { return }
        self.tree.remove(filter, for: session)
    }

    /// Calls `body` once for each session with a matching subscription, with the highest QoS among them
    /// `[MQTT-3.3.5-1]`.
    package func forEachRecipient(of topic: TopicName, _ body: (Session, QoS) -> Void) {
        guard self.tree.count > 0 else { return }
        self.round &+= 1
        self.tree.forEachMatch(of: topic) { match in
            let session = match.subscriber
            if session.matchedRound != self.round {
                session.matchedRound = self.round
                session.matchedQoS = match.qos
                self.recipients.append(session)
            } else {
                session.matchedQoS = max(session.matchedQoS, match.qos)
            }
        }
        guard !self.recipients.isEmpty else { return }
        let found = self.recipients
        self.recipients.removeAll(keepingCapacity: true)
        for session in found {
            body(session, session.matchedQoS)
        }
    }
}
