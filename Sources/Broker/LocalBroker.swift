package import MQTTCodec
package import NIOCore

/// Sessions, subscriptions and retained messages of the local side: a broker's memory without its sockets.
///
/// Decides nothing about rights: its owner asks the policy first, and again for each recipient. Bound to the gateway's
/// loop.
package final class LocalBroker {
    package struct Limits: Sendable, Equatable {
        /// Most sessions, those of absent clients included. Those of unproven clients and guests take at most half of them.
        package var sessions: Int
        /// Most subscriptions of one session.
        package var subscriptions: Int
        /// Most bytes of the filters of one session, with ``Session/bytesPerLevel`` for each of their levels.
        package var subscriptionBytes: Int
        /// Bytes of all sessions' queues together; past it nothing more is queued for absent clients.
        package var queuedBytesTotal: Int
        /// How long the session of an absent client that proved nothing is kept; guests are such clients too.
        package var unprovenExpiry: TimeAmount
        /// How long the session of an absent device is kept.
        package var provenExpiry: TimeAmount
        package var outbound: OutboundWindow.Limits
        package var retained: RetainedMessages.Limits

        /// - Parameter subscriptionBytes: If nil, 64 KiB, or 512 bytes for each subscription if that is more.
        package init(
            sessions: Int = 20_000,
            subscriptions: Int = 100,
            subscriptionBytes: Int? = nil,
            queuedBytesTotal: Int = 64 << 20,
            unprovenExpiry: TimeAmount = .hours(1),
            provenExpiry: TimeAmount = .hours(7 * 24),
            outbound: OutboundWindow.Limits = .init(),
            retained: RetainedMessages.Limits = .init()
        ) {
            self.sessions = sessions
            self.subscriptions = subscriptions
            self.subscriptionBytes = subscriptionBytes ?? max(64 << 10, subscriptions * 512)
            self.queuedBytesTotal = queuedBytesTotal
            self.unprovenExpiry = unprovenExpiry
            self.provenExpiry = provenExpiry
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
        /// The limit of sessions is reached.
        case full
    }

    /// Another owner with the same client identifier has another session: nobody can stand in a device's way by its name.
    private struct Key: Hashable {
        let owner: SessionOwner
        let clientID: MQTTString

        init(_ owner: SessionOwner, _ clientID: MQTTString) {
            self.owner = owner
            self.clientID = clientID
        }

        init(_ session: Session) {
            self.init(session.owner, session.clientID)
        }
    }

    package let limits: Limits
    private let queues: QueueBudget
    private var sessions: [Key: Session] = [:]
    /// Sessions of unproven clients and guests, absent or not.
    private var unprovenCount = 0
    private var absentProven = AbsentSessions()
    private var absentUnproven = AbsentSessions()
    private var tree = SubscriptionTree<Session>()
    private var round = 0
    private var recipients: [Session] = []
    /// The retained messages; the caller checks rights before it retains and before it serves.
    package var retained: RetainedMessages

    package init(limits: Limits = Limits()) {
        self.limits = limits
        self.queues = QueueBudget(limit: limits.queuedBytesTotal)
        self.retained = RetainedMessages(limits: limits.retained)
    }

    package var sessionCount: Int { self.sessions.count }
    package var subscriptionCount: Int { self.tree.count }
    /// Bytes that wait for clients, with what keeping them costs.
    package var queuedBytes: Int { self.queues.used }

    /// Finds or makes the session for a CONNECT (MQTT 3.1.1 §3.1.2.4).
    package func open(clientID: MQTTString, owner: SessionOwner, isClean: Bool) -> Opening {
        let existing = self.sessions[Key(owner, clientID)]
        let previousConnection = existing?.connection
        if let existing, !isClean, !existing.isClean {
            self.returned(existing)
            existing.connection = nil
            return .opened(existing, isPresent: true, takenOver: previousConnection)
        }
        if let existing { self.remove(existing) }
        guard self.makeRoom(for: owner) else { return .full }
        let session = Session(
            clientID: clientID.compacted(),
            owner: owner,
            isClean: isClean,
            limits: self.limits.outbound,
            queues: self.queues
        )
        self.sessions[Key(session)] = session
        if !owner.isProven { self.unprovenCount += 1 }
        return .opened(session, isPresent: false, takenOver: previousConnection)
    }

    /// The connection of the session is gone; a clean session goes with it, any other for ``Limits/unprovenExpiry`` or
    /// ``Limits/provenExpiry`` after this moment.
    package func disconnected(_ session: Session, connection: any SessionConnection, now: NIODeadline = .now()) {
        // A session that was taken over belongs to its new connection already.
        guard session.connection === connection else { return }
        session.connection = nil
        guard self.sessions[Key(session)] === session else { return }
        if session.isClean {
            self.remove(session)
        } else if session.owner.isProven {
            self.absentProven.append(session, now: now)
        } else {
            self.absentUnproven.append(session, now: now)
        }
    }

    /// Ends the sessions of clients that have been away for too long; to be called every few seconds.
    package func expire(now: NIODeadline) {
        while let session = self.absentUnproven.expired(after: self.limits.unprovenExpiry, now: now) {
            self.remove(session)
        }
        while let session = self.absentProven.expired(after: self.limits.provenExpiry, now: now) {
            self.remove(session)
        }
    }

    /// Ends the session whatever its kind: its device was revoked or removed.
    package func remove(_ session: Session) {
        guard self.sessions[Key(session)] === session else { return }
        self.returned(session)
        self.sessions[Key(session)] = nil
        if !session.owner.isProven { self.unprovenCount -= 1 }
        for filter in session.subscriptions.keys {
            self.tree.remove(filter, for: session)
        }
        session.end()
    }

    /// Makes sure that a session more has its place. One of an absent client that proved nothing goes before anybody is
    /// turned away, and what such clients have together never keeps a device out.
    private func makeRoom(for owner: SessionOwner) -> Bool {
        let isShareSpent = !owner.isProven && self.unprovenCount >= max(self.limits.sessions / 2, 1)
        guard isShareSpent || self.sessions.count >= self.limits.sessions else { return true }
        guard let session = self.absentUnproven.first else { return false }
        self.remove(session)
        return true
    }

    private func returned(_ session: Session) {
        if session.owner.isProven {
            self.absentProven.remove(session)
        } else {
            self.absentUnproven.remove(session)
        }
    }

    /// All sessions that belong to this owner.
    package func sessions(ownedBy owner: SessionOwner) -> [Session] {
        self.sessions.values.filter { $0.owner == owner }
    }

    /// Adds a subscription whose right was checked.
    ///
    /// - Returns: False if the session has as many as it may have, or as many bytes of them.
    package func subscribe(_ session: Session, to filter: TopicFilter, qos: QoS) -> Bool {
        if session.subscriptions[filter] == nil {
            let bytes = session.subscriptionBytes + Session.cost(of: filter)
            guard !session.hasEnded, session.subscriptions.count < self.limits.subscriptions,
                bytes <= self.limits.subscriptionBytes
            else { return false }
            session.subscriptionBytes = bytes
        }
        let kept = filter.compacted()
        session.subscriptions[kept] = qos
        self.tree.insert(kept, qos: qos, for: session)
        return true
    }

    /// Takes a subscription away `[MQTT-3.10.4-1]`.
    package func unsubscribe(_ session: Session, from filter: TopicFilter) {
        guard session.subscriptions.removeValue(forKey: filter) != nil else { return }
        session.subscriptionBytes -= Session.cost(of: filter)
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
