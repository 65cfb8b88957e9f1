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
        /// Most sessions of one device.
        package var sessionsPerDevice: Int
        /// Most subscriptions of one session.
        package var subscriptions: Int
        /// Most bytes of the filters of one session, with ``Session/bytesPerLevel`` for each of their levels.
        package var subscriptionBytes: Int
        /// Bytes of all sessions' queues together; past it nothing more is queued for absent clients. The sessions of one device
        /// take at most an eighth of them, or as many as one queue may have.
        package var queuedBytesTotal: Int
        /// How long the session of an absent client that proved nothing is kept; guests are such clients too.
        package var unprovenExpiry: TimeAmount
        /// How long the session of an absent device is kept.
        package var provenExpiry: TimeAmount
        package var outbound: OutboundQueue.Limits
        package var retained: RetainedMessages.Limits

        /// Most bytes of the filters of all sessions, counted in the same way. Those of unproven clients and guests take at
        /// most half of them.
        package var subscriptionBytesTotal: Int

        /// - Parameter subscriptionBytes: If nil, 64 KiB, or 2 KiB for each subscription if that is more.
        package init(
            sessions: Int = 20_000,
            sessionsPerDevice: Int = 100,
            subscriptions: Int = 100,
            subscriptionBytes: Int? = nil,
            subscriptionBytesTotal: Int = 256 << 20,
            queuedBytesTotal: Int = 64 << 20,
            unprovenExpiry: TimeAmount = .hours(1),
            provenExpiry: TimeAmount = .hours(7 * 24),
            outbound: OutboundQueue.Limits = .init(),
            retained: RetainedMessages.Limits = .init()
        ) {
            self.sessions = sessions
            self.sessionsPerDevice = sessionsPerDevice
            self.subscriptions = subscriptions
            self.subscriptionBytes = subscriptionBytes ?? max(64 << 10, subscriptions * 2048)
            self.subscriptionBytesTotal = subscriptionBytesTotal
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
        ///   - isPresent: Session Present of the CONNACK `[MQTT-3.2.2-2]`, `[MQTT-3.2.2-3]`.
        ///   - takenOver: The connection that had the session until now; the caller closes it `[MQTT-3.1.4-3]`.
        ///   - hasEndedStored: A stored session ended with this CONNECT. Until that is on disk it could come back.
        case opened(Session, isPresent: Bool, takenOver: (any SessionConnection)?, hasEndedStored: Bool)
        /// The limit of sessions is reached.
        case full
    }

    /// What a session is found by `[MQTT-3.1.3-2]`. Another owner with the same client identifier has another session:
    /// nobody can stand in a device's way by its name.
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

    /// A device has as many of all bytes that wait: one of so many parts.
    private static let deviceShare = 8

    package let limits: Limits
    /// Where sessions that outlive their connection are written down; nil: nowhere, and none outlives the process.
    /// Not weak: what is referred to weakly costs more at each use, and this is asked for every message.
    package unowned var journal: (any SessionJournal)?
    /// Asked when a queued message goes out.
    package let guardian = DeliveryGuard()
    private let queues: QueueBudget
    /// Of clients that proved nothing: they can't take the room of devices.
    private let unprovenQueues: QueueBudget
    /// Of devices that have sessions: one with many can't take the room of others.
    private var deviceQueues: [SessionOwner: QueueBudget] = [:]
    /// Bytes of the filters of all sessions, and of those that proved nothing.
    var subscriptionBytes = (all: 0, unproven: 0)
    private var lapsedWills: [PendingWill] = []
    private var sessions: [Key: Session] = [:]
    /// Of devices, for ``Limits/sessionsPerDevice``.
    private var byOwner: [SessionOwner: Int] = [:]
    /// Stored sessions by their number.
    private var stored: [Int64: Session] = [:]
    /// Sessions of unproven clients and guests, absent or not.
    private var unprovenCount = 0
    private var absentProven = AbsentSessions()
    private var absentUnproven = AbsentSessions()
    var tree = SubscriptionTree<Session>()
    var round = 0
    var recipients: [Session] = []
    var groups: [SharedGroup<Session>] = []
    /// The retained messages, which no session's end changes `[MQTT-3.1.2-7 of 3.1.1]`; the caller checks rights before it
    /// retains and before it serves.
    package var retained: RetainedMessages

    package init(limits: Limits = Limits()) {
        self.limits = limits
        self.queues = QueueBudget(limit: limits.queuedBytesTotal)
        self.unprovenQueues = QueueBudget(limit: limits.queuedBytesTotal / 2)
        self.retained = RetainedMessages(limits: limits.retained)
    }

    package var sessionCount: Int { self.sessions.count }
    package var subscriptionCount: Int { self.tree.count }
    /// Bytes that wait for clients, with what keeping them costs.
    package var queuedBytes: Int { self.queues.used + self.unprovenQueues.used }

    // MARK: Opening

    /// Finds or makes the session for a CONNECT `[MQTT-3.1.4-4]` (MQTT 5.0 §3.1.2.4).
    ///
    /// - Parameters:
    ///   - cleanStart: Begin a new session `[MQTT-3.1.2-4]`; else go on with one that is there `[MQTT-3.1.2-5]`.
    ///   - expiryInterval: In seconds, as asked for; cut to what the limits allow. See ``Session/expiryInterval``.
    package func open(
        clientID: MQTTString,
        owner: SessionOwner,
        cleanStart: Bool,
        expiryInterval: UInt32,
        now: NIODeadline = .now()
    ) -> Opening {
        let expiryInterval = self.granted(expiryInterval, to: owner)
        let existing = self.sessions[Key(owner, clientID)]
        let takenOver = self.connection(clientID: clientID, owner: owner)
        var hasEndedStored = false
        if let existing {
            let hasLapsed = existing.absence?.ends.map { $0 <= now } ?? false
            // A session that would end with the connection that is being taken over is over.
            if !cleanStart, !hasLapsed, takenOver == nil || existing.expiryInterval > 0 {
                self.returned(existing)
                existing.lostConnection()
                existing.claimant = nil
                _ = existing.takePendingWill()  // [MQTT-3.1.3-9]
                self.setExpiry(of: existing, expiryInterval, leftAt: nil)
                return .opened(existing, isPresent: true, takenOver: takenOver, hasEndedStored: false)
            }
            hasEndedStored = existing.isStored
            self.remove(existing)
        } else if !self.makeRoom(for: owner) {
            return .full
        }
        // [MQTT-3.1.2-6]
        let session = self.make(clientID: clientID.compacted(), owner: owner, expiryInterval: expiryInterval)
        return .opened(session, isPresent: false, takenOver: takenOver, hasEndedStored: hasEndedStored)
    }

    /// The connection that a CONNECT of this client would take over.
    package func connection(clientID: MQTTString, owner: SessionOwner) -> (any SessionConnection)? {
        let session = self.sessions[Key(owner, clientID)]
        return session?.connection ?? session?.claimant
    }

    /// Seconds that a session of this owner may outlive its connection, if so many are asked for.
    package func granted(_ expiryInterval: UInt32, to owner: SessionOwner) -> UInt32 {
        let limit = owner.isProven ? self.limits.provenExpiry : self.limits.unprovenExpiry
        return min(expiryInterval, UInt32(clamping: max(limit.nanoseconds / 1_000_000_000, 1)))
    }

    private func queues(of owner: SessionOwner) -> QueueBudget {
        guard owner.isProven else { return self.unprovenQueues }
        if let own = self.deviceQueues[owner] { return own }
        let oneQueue = self.limits.outbound.inFlightBytes + self.limits.outbound.queuedBytes
        let share = max(self.limits.queuedBytesTotal / Self.deviceShare, oneQueue)
        let own = QueueBudget(limit: share, of: self.queues)
        self.deviceQueues[owner] = own
        return own
    }

    private func make(clientID: MQTTString, owner: SessionOwner, expiryInterval: UInt32) -> Session {
        let journal = expiryInterval > 0 ? self.journal : nil
        let session = Session(
            clientID: clientID,
            owner: owner,
            number: journal?.nextNumber() ?? 0,
            expiryInterval: expiryInterval,
            limits: self.limits.outbound,
            queues: self.queues(of: owner),
            guardian: self.guardian,
            journal: journal
        )
        journal?.append(
            .open(
                SessionRecord(
                    number: session.number,
                    clientID: clientID.buffer,
                    owner: owner,
                    expiryInterval: expiryInterval,
                    leftAt: nil
                )
            )
        )
        self.add(session)
        return session
    }

    private func add(_ session: Session) {
        self.sessions[Key(session)] = session
        if session.isStored { self.stored[session.number] = session }
        if session.owner.isProven { self.byOwner[session.owner, default: 0] += 1 } else { self.unprovenCount += 1 }
    }

    /// The stored session of this number.
    package func session(numbered number: Int64) -> Session? { self.stored[number] }

    // MARK: Leaving

    /// The connection of the session is gone; a session without an expiry interval goes with it, any other that many
    /// seconds later.
    ///
    /// - Parameters:
    ///   - expiryInterval: If DISCONNECT changed it (MQTT 5.0 §3.14.2.2.2).
    ///   - leftAt: The time of day in milliseconds since 1970, for the store; nil if the clock is not set.
    package func disconnected(
        _ session: Session,
        connection: any SessionConnection,
        expiryInterval: UInt32? = nil,
        leftAt: Int64? = nil,
        now: NIODeadline = .now()
    ) {
        // A session that was taken over belongs to its new connection already.
        guard session.connection === connection else { return }
        self.left(session, expiryInterval: expiryInterval, leftAt: leftAt, now: now)
    }

    /// A CONNECT that opened the session came to nothing before ``connected(_:to:receiveMaximum:)``.
    package func abandoned(
        _ session: Session,
        by claimant: any SessionConnection,
        leftAt: Int64? = nil,
        now: NIODeadline = .now()
    ) {
        guard session.claimant === claimant else { return }
        session.claimant = nil
        _ = session.hold(willOf: 0)
        self.left(session, expiryInterval: nil, leftAt: leftAt, now: now)
    }

    private func left(_ session: Session, expiryInterval: UInt32?, leftAt: Int64?, now: NIODeadline) {
        session.lostConnection()
        guard self.sessions[Key(session)] === session else { return }
        if let expiryInterval { session.expiryInterval = self.granted(expiryInterval, to: session.owner) }
        guard session.expiryInterval > 0 else { return self.remove(session) }
        self.setExpiry(of: session, session.expiryInterval, leftAt: leftAt)
        self.left(session, ends: now + .seconds(Int64(session.expiryInterval)))
    }

    /// The connection of a session that no client connects to is over: the session waits for the next one, without end.
    package func rest(_ session: Session, connection: any SessionConnection) {
        if session.connection === connection { session.lostConnection() }
    }

    /// The connection took the session.
    package func connected(_ session: Session, to connection: any SessionConnection, receiveMaximum: UInt16 = .max) {
        session.resume(on: connection, receiveMaximum: receiveMaximum)
    }

    private func setExpiry(of session: Session, _ expiryInterval: UInt32, leftAt: Int64?) {
        session.expiryInterval = expiryInterval
        session.journal?.append(
            .update(session: session.number, expiryInterval: expiryInterval, leftAt: leftAt)
        )
    }

    private func left(_ session: Session, ends: NIODeadline?) {
        if session.owner.isProven {
            self.absentProven.append(session, ends: ends)
        } else {
            self.absentUnproven.append(session, ends: ends)
        }
    }

    private func returned(_ session: Session) {
        if session.owner.isProven {
            self.absentProven.remove(session)
        } else {
            self.absentUnproven.remove(session)
        }
    }

    /// Ends the sessions of clients that have been away for too long, and takes the wills whose delay is over; see
    /// ``takeLapsedWills()``.
    package func expire(now: NIODeadline) {
        func look(at session: Session) {
            if let ends = session.absence?.ends, ends <= now {
                self.remove(session)  // [MQTT-4.1.0-2]
            } else if let due = session.pendingWill?.due, due <= now, let will = session.takePendingWill() {
                self.lapsedWills.append(will)
            }
        }
        self.absentUnproven.forEach(look)
        self.absentProven.forEach(look)
    }

    /// Wills that are to be published now, each once: their delay is over, or their session has ended `[MQTT-3.1.2-8]`.
    package func takeLapsedWills() -> [PendingWill] {
        defer { self.lapsedWills = [] }
        return self.lapsedWills
    }

    /// When ``expire(now:)`` has something to do; nil: not before somebody leaves.
    package var nextDeadline: NIODeadline? {
        var next: NIODeadline?
        func look(at session: Session) {
            if let deadline = session.nextDeadline, deadline < next ?? .distantFuture { next = deadline }
        }
        self.absentUnproven.forEach(look)
        self.absentProven.forEach(look)
        return next
    }

    /// Ends the session whatever its kind: its device was revoked or removed.
    package func remove(_ session: Session) {
        guard self.sessions[Key(session)] === session else { return }
        self.returned(session)
        self.sessions[Key(session)] = nil
        self.stored[session.number] = nil
        if session.owner.isProven {
            let left = self.byOwner[session.owner, default: 1] - 1
            self.byOwner[session.owner] = left > 0 ? left : nil
            if left <= 0 { self.deviceQueues[session.owner] = nil }
        } else {
            self.unprovenCount -= 1
        }
        for filter in session.subscriptions.keys { self.removeFromTree(filter, session) }
        self.countSubscriptions(-session.subscriptionBytes, of: session.owner)
        if let will = session.takePendingWill() { self.lapsedWills.append(will) }
        session.end()
    }

    /// Makes sure that a session more has its place. One of an absent client that proved nothing goes before anybody is
    /// turned away, and what such clients have together never keeps a device out. Those that are here keep theirs
    /// `[MQTT-4.1.0-1]`.
    private func makeRoom(for owner: SessionOwner) -> Bool {
        if owner.isProven, self.byOwner[owner, default: 0] >= self.limits.sessionsPerDevice { return false }
        let isShareSpent = !owner.isProven && self.unprovenCount >= max(self.limits.sessions / 2, 1)
        guard isShareSpent || self.sessions.count >= self.limits.sessions else { return true }
        guard let session = self.absentUnproven.first else { return false }
        self.remove(session)
        return true
    }

    /// All sessions that belong to one of these owners, in one pass over them.
    package func sessions(ownedBy owners: Set<SessionOwner>) -> [Session] {
        let owners = owners.filter { !$0.isProven || self.byOwner[$0] != nil }
        guard !owners.isEmpty else { return [] }
        return self.sessions.values.filter { owners.contains($0.owner) }
    }

    // MARK: Restoring

    /// Takes a session that outlived the last run; its client is away.
    ///
    /// - Parameters:
    ///   - messages: Those of the store by their number.
    ///   - ends: When the session is over, if its client does not come back.
    /// - Returns: Nil if there is no room for it.
    package func restore(
        _ stored: StoredSession,
        messages: [Int64: KeptMessage],
        ends: NIODeadline
    ) -> Session? {
        let record = stored.record
        guard let clientID = try? MQTTString(validating: record.clientID),
            self.sessions[Key(record.owner, clientID)] == nil, self.makeRoom(for: record.owner)
        else { return nil }
        let session = Session(
            clientID: clientID,
            owner: record.owner,
            number: record.number,
            expiryInterval: record.expiryInterval,
            limits: self.limits.outbound,
            queues: self.queues(of: record.owner),
            guardian: self.guardian,
            journal: self.journal
        )
        self.add(session)
        for subscription in stored.subscriptions {
            guard let filter = try? TopicFilter(validating: subscription.filter) else { continue }
            _ = self.insert(
                session,
                filter,
                SubscriptionOptions(
                    qos: QoS(rawValue: subscription.qos) ?? .atMostOnce,
                    noLocal: subscription.noLocal,
                    retainAsPublished: subscription.retainAsPublished,
                    identifier: subscription.identifier
                )
            )
        }
        session.restore(queue: stored.queue, held: stored.held, messages: messages)
        self.left(session, ends: ends)
        return session
    }
}
