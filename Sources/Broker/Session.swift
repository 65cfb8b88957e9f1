package import MQTTCodec
package import NIOCore

/// The network side of a session, while its client is connected.
package protocol SessionConnection: AnyObject {
    /// Whether the client reads what it is sent; when not, QoS 0 is dropped and the rest waits.
    var hasRoom: Bool { get }

    /// Writes one PUBLISH, with what is left of the message's expiry interval `[MQTT-3.3.2-6]`.
    ///
    /// - Returns: False if the packet is larger than the client takes: nothing was written, and the message counts as
    ///   delivered `[MQTT-3.1.2-25]`.
    func send(_ message: Message, as delivery: Delivery) -> Bool

    /// Writes one PUBREL.
    func release(_ packetID: UInt16)
}

/// Whom a session belongs to; nobody else gets it by naming its client identifier.
package enum SessionOwner: Hashable, Sendable {
    /// A device that the transport proved.
    case device(String)
    /// Connections of a listener that lets everybody in under the profile `guest`.
    case guest
    /// Connections that proved nothing: their messages must prove themselves one by one.
    case unproven

    /// Whether the transport proved who it is.
    package var isProven: Bool {
        if case .device = self { true } else { false }
    }
}

/// The state that the broker holds for one client identifier (MQTT 5.0 §4.1): subscriptions and what is on its way in both
/// directions. Bound to the gateway's loop.
///
/// A session that outlives its connection writes down what it must not forget, by its ``SessionJournal``. What is sent at
/// QoS 2 goes out when it is on disk, and so do the answers that end a step of QoS 2: a crash between two of them would make
/// one message two. At QoS 1 that is allowed, and nothing waits.
package final class Session {
    /// What became of one delivery.
    package enum Outcome: Equatable, Sendable {
        case sent
        case queued
        /// The client is slow or away and the message was QoS 0, or its queue is full, or the packet is too large for it.
        case dropped
    }

    /// One remembered decision; out of date when the policy's generation has moved on.
    package struct DeliveryCheck {
        package let topic: TopicName
        package let generation: Int
        package let isAllowed: Bool

        package init(topic: TopicName, generation: Int, isAllowed: Bool) {
            self.topic = topic
            self.generation = generation
            self.isAllowed = isAllowed
        }
    }

    package let clientID: MQTTString
    package let owner: SessionOwner
    /// Whom its client claims to be, for rights that a claim gives: its client identifier, unless the owner sets another.
    package var claimedID: String {
        get { self.claim ?? self.clientID.description }
        set { self.claim = newValue }
    }
    private var claim: String?
    /// Topics that the owner leaves out of what the session's subscriptions match; nil: none.
    package var passesOver: ((TopicName) -> Bool)?
    /// Under which the store has it; 0: it ends with its connection and is not stored.
    package let number: Int64
    /// Seconds that it outlives its connection; `UInt32.max`: without end `[MQTT-3.1.2-23]`.
    package internal(set) var expiryInterval: UInt32
    /// The granted subscriptions, by the filters as the client named them.
    package internal(set) var subscriptions: [TopicFilter: SubscriptionOptions] = [:]
    /// What the filters of ``subscriptions`` cost.
    var subscriptionBytes = 0
    /// What each level of a filter costs beside its bytes.
    package static let bytesPerLevel = 200
    /// The connection, while there is one. ``LocalBroker`` takes it away.
    package internal(set) var connection: (any SessionConnection)?
    /// Whose CONNECT has opened the session and is not answered yet; the caller of ``LocalBroker/open`` sets it.
    package var claimant: (any SessionConnection)?
    /// The owner's last answer to "may this session get messages of that topic?".
    package var lastCheck: DeliveryCheck?
    /// A will that waits for its delay, or for the end of the session (MQTT 5.0 §3.1.3.2.2).
    package private(set) var pendingWill: PendingWill?
    /// Bytes of the will, with its client or waiting, as ``queues`` counts it.
    private var willBytes = 0
    let journal: (any SessionJournal)?
    var outbound: OutboundQueue
    private let queues: QueueBudget
    private let guardian: DeliveryGuard
    /// What ``queues`` counts for this session.
    private var queuedBytes = 0
    /// The broker has let go of it.
    package private(set) var hasEnded = false
    /// Since when the client is away, and the session's place among those of other absent ones.
    var absence: AbsentSessions.Place?
    /// QoS 2 messages of the client between PUBLISH and PUBREL; true when PUBREC was sent (MQTT 5.0 §4.3.3).
    var held: [UInt16: Bool] = [:]

    /// Set by ``LocalBroker`` while it looks for recipients.
    var matchedRound = 0
    var match = Grant(qos: .atMostOnce)

    /// - Parameter journal: Nil for a session that ends with its connection.
    init(
        clientID: MQTTString,
        owner: SessionOwner,
        number: Int64,
        expiryInterval: UInt32,
        limits: OutboundQueue.Limits,
        queues: QueueBudget,
        guardian: DeliveryGuard,
        journal: (any SessionJournal)?
    ) {
        self.clientID = clientID
        self.owner = owner
        self.number = number
        self.expiryInterval = expiryInterval
        self.outbound = OutboundQueue(limits: limits)
        self.queues = queues
        self.guardian = guardian
        self.journal = journal
    }

    /// Whether messages that can wait should be given to it now: its client keeps up, or is away and has its queue.
    package var takesMore: Bool {
        guard let connection = self.connection else { return true }
        return connection.hasRoom && self.outbound.queuedCount == 0
    }

    /// Whether the store has it.
    package var isStored: Bool { self.journal != nil }
    /// Messages for the client, at it and waiting.
    package var queuedCount: Int { self.outbound.count }

    /// Those of them that are worth something on another connection, in their order.
    package var queuedMessages: [Message] {
        (0..<self.outbound.count).compactMap { index in
            let entry = self.outbound[index]
            return entry.isPassing ? nil : entry.kept.message
        }
    }

    /// The next to leave, or the one that has left and is not acknowledged.
    package var firstQueuedMessage: Message? { self.outbound.isEmpty ? nil : self.outbound[0].kept.message }

    /// Takes the first of ``queuedMessages`` out.
    package func takeFirst(_ count: Int) -> [Message] {
        var taken: [Message] = []
        while taken.count < count,
            let index = (0..<self.outbound.count).first(where: { !self.outbound[$0].isPassing })
        {
            taken.append(self.outbound[index].kept.message)
            self.give(up: index)
        }
        return taken
    }

    // MARK: Towards the client

    /// Sends the message, queues it, or drops it, by QoS and room. The right to it was checked.
    ///
    /// - Parameters:
    ///   - qos: Of the delivery: the lower of the message's and the subscription's `[MQTT-3.8.4-8]`.
    ///   - retain: The RETAIN flag of the delivery.
    ///   - isPassing: It is worth nothing on another connection, and must not be written down.
    package func deliver(
        _ outgoing: inout OutgoingMessage,
        qos: QoS,
        retain: Bool,
        identifiers: [UInt32] = [],
        isPassing: Bool = false
    ) -> Outcome {
        guard qos != .atMostOnce else {
            guard let connection = self.connection, connection.hasRoom else { return .dropped }
            // [MQTT-4.3.1-1]; at once, whatever is in flight [MQTT-3.3.4-10].
            let delivery = Delivery(qos: .atMostOnce, retain: retain, subscriptionIdentifiers: identifiers)
            return connection.send(outgoing.message, as: delivery) ? .sent : .dropped
        }
        guard !self.hasEnded, !isPassing || self.connection != nil else { return .dropped }
        if outgoing.message.replacesWaiting {
            for index in self.outbound.waiting(on: outgoing.message.topic) { self.give(up: index) }
        }
        let size = outgoing.message.size
        let canSend = self.connection?.hasRoom == true && self.outbound.canSend(size: size)
        guard self.hasRoom(for: size, canSend: canSend) else { return .dropped }
        let kept = isPassing ? KeptMessage(outgoing.keep().message) : outgoing.keep()
        let journal = isPassing ? nil : self.journal
        var entry = OutboundQueue.Entry(
            kept: kept,
            order: journal?.nextNumber() ?? 0,
            qos: qos,
            retain: retain,
            identifiers: identifiers
        )
        entry.isPassing = isPassing
        entry.isFresh = canSend
        if canSend || (self.connection != nil && self.outbound.reachesClient) {
            entry.packetID = self.outbound.unusedPacketID()  // [MQTT-4.3.2-1], [MQTT-4.3.3-1]
        }
        if let journal {
            if kept.number == 0 { kept.number = journal.keep(kept.message) }
            entry.batch = journal.append(.enqueue(self.record(of: entry)))
        }
        self.outbound.append(entry)
        self.countQueue()
        guard canSend else {
            // What waits for the disk is in front of it, or waits for something that will not come by itself.
            self.pump()
            return .queued
        }
        self.pump()
        return .sent
    }

    /// Whether one message more may be kept for the client; what has expired makes room.
    private func hasRoom(for size: Int, canSend: Bool) -> Bool {
        func fits() -> Bool {
            (canSend || self.outbound.canQueue(size: size))
                && self.queues.hasRoom(for: size, isPresent: self.connection != nil)
        }
        if fits() { return true }
        let expired = self.outbound.expired(now: .now())
        for index in expired { self.give(up: index) }
        return !expired.isEmpty && fits()
    }

    /// PUBACK `[MQTT-4.3.2-3]`, whatever it says `[MQTT-4.4.0-2]`; frees its place and sends what waits.
    ///
    /// - Returns: False if no QoS 1 message is at the client under this identifier.
    @discardableResult
    package func acknowledged(_ packetID: UInt16) -> Bool {
        guard let index = self.outbound.index(of: packetID), self.outbound[index].qos == .atLeastOnce else {
            return false
        }
        self.give(up: index)
        self.pump()
        return true
    }

    /// PUBREC, until which the message is in flight `[MQTT-4.3.3-3]`: the client has it, and gets PUBREL `[MQTT-4.3.3-4]`;
    /// or refuses it, and it is over for all `[MQTT-4.4.0-2]`, `[MQTT-4.8.2-6]`.
    ///
    /// - Returns: False if no QoS 2 message is at the client under this identifier.
    package func recorded(_ packetID: UInt16, isFailure: Bool) -> Bool {
        guard let index = self.outbound.index(of: packetID), self.outbound[index].qos == .exactlyOnce else {
            return false
        }
        if isFailure {
            self.give(up: index)
        } else {
            let entry = self.outbound[index]
            let change = SessionChange.received(session: self.number, order: entry.order)
            self.outbound.receive(at: index, batch: entry.isReceived ? nil : self.journal?.append(change))
        }
        self.pump()
        return true
    }

    /// PUBCOMP: the exchange is over, and the identifier is free.
    @discardableResult
    package func completed(_ packetID: UInt16) -> Bool {
        guard let index = self.outbound.index(of: packetID), self.outbound[index].isReceived else { return false }
        self.give(up: index)
        self.pump()
        return true
    }

    /// Sends what waits while the client has room: after an acknowledgement, after a commit, and when its socket takes
    /// bytes again.
    package func pump() {
        guard self.outbound.queuedCount > 0 || !self.outbound.owedReleases.isEmpty, let connection = self.connection
        else {
            return
        }
        var waitsForDisk = self.sendReleases(on: connection)
        while connection.hasRoom, let entry = self.outbound.next {
            guard entry.isFresh || self.isStillDue(entry) else {
                self.give(up: self.outbound.inFlightCount)  // [MQTT-4.3.3-7]
                continue
            }
            if entry.packetID == 0 {
                self.outbound.assignPacketIDs { self.wroteDown($0) }
                continue
            }
            guard entry.qos == .atLeastOnce && !entry.kept.message.leavesWhenSafe || self.isSafe(entry) else {
                self.outbound.assignPacketIDs { self.wroteDown($0) }
                waitsForDisk = true
                break
            }
            if entry.isReceived {
                connection.release(entry.packetID)
            } else if !connection.send(entry.kept.message, as: entry.delivery) {
                self.give(up: self.outbound.inFlightCount)
                continue
            }
            self.outbound.advance()
        }
        if waitsForDisk { self.journal?.wake(self) }
    }

    /// Whether a message that waited is worth sending: it has not expired before it was begun `[MQTT-3.3.2-5]`, and the session
    /// may have it still.
    private func isStillDue(_ entry: OutboundQueue.Entry) -> Bool {
        if entry.isReceived { return true }
        if !entry.wasSent, let expiry = entry.kept.message.expiry, expiry <= .now() { return false }
        return self.guardian.mayReceive(self, entry.kept.message.topic)
    }

    /// PUBRELs whose PUBREC is on disk; whether some have to wait.
    private func sendReleases(on connection: any SessionConnection) -> Bool {
        while let packetID = self.outbound.owedReleases.first {
            if let index = self.outbound.index(of: packetID) {
                guard self.isSafe(self.outbound[index]) else { return true }
                connection.release(packetID)
            }
            self.outbound.owedReleases.removeFirst()
        }
        return false
    }

    private func isSafe(_ entry: OutboundQueue.Entry) -> Bool {
        entry.isPassing || self.journal?.isSafe(entry.batch) ?? true
    }

    private func wroteDown(_ entry: OutboundQueue.Entry) -> UInt64 {
        if entry.isPassing { return 0 }
        return self.journal?.append(.sent(session: self.number, order: entry.order, packetID: entry.packetID)) ?? 0
    }

    private func record(of entry: OutboundQueue.Entry) -> QueuedMessageRecord {
        QueuedMessageRecord(
            session: self.number,
            order: entry.order,
            message: entry.kept.number,
            qos: entry.qos.rawValue,
            retain: entry.retain,
            packetID: entry.packetID,
            subscriptionIdentifiers: entry.identifiers
        )
    }

    /// The message needs no more: it was delivered, refused, or is over.
    private func give(up index: Int) {
        let entry = self.outbound[index]
        self.outbound.remove(at: index)
        if !entry.isPassing {
            self.journal?.append(.dequeue(session: self.number, order: entry.order, message: entry.kept.number))
        }
        self.countQueue()
    }

    /// Whether the message has left for the client, on whatever connection.
    package func wasSent(order: Int64) -> Bool {
        self.outbound.index(ofOrder: order).map { self.outbound[$0].wasSent } ?? false
    }

    /// The message could not be written down: its publisher keeps it, so the queue must not. ``pump()`` when all are undone.
    package func undo(order: Int64) {
        guard let index = self.outbound.index(ofOrder: order) else { return }
        self.give(up: index)
    }

    // MARK: The will

    /// The client that has just come left a will of this size.
    ///
    /// - Returns: False if there is no room for it.
    package func hold(willOf bytes: Int) -> Bool {
        guard bytes == 0 || self.queues.hasRoom(for: bytes, isPresent: true) else { return false }
        self.willBytes = bytes
        self.countQueue()
        return true
    }

    /// The client is gone, and its will waits.
    package func hold(_ will: PendingWill) {
        self.pendingWill = will
        self.willBytes = will.will.payload.readableBytes + will.will.topic.buffer.readableBytes
        self.countQueue()
    }

    /// The waiting will, once.
    package func takePendingWill() -> PendingWill? {
        guard let will = self.pendingWill else { return nil }
        self.pendingWill = nil
        self.willBytes = 0
        self.countQueue()
        return will
    }

    /// When something is to be done about an absent session: its end, or that of its will's delay.
    package var nextDeadline: NIODeadline? {
        switch (self.absence?.ends, self.pendingWill?.due) {
        case (let ends?, let due?): min(ends, due)
        case (let ends, let due): ends ?? due
        }
    }

    // MARK: Connections

    /// The client is back: what was not acknowledged goes out again, in order, then what waited; also what came by a shared
    /// subscription `[MQTT-4.8.2-4]`.
    ///
    /// - Parameter receiveMaximum: What the client said of it; 65,535 in MQTT 3.x.
    package func resume(on connection: any SessionConnection, receiveMaximum: UInt16 = .max) {
        self.connection = connection
        self.claimant = nil
        self.outbound.rewind(receiveMaximum: receiveMaximum)
        self.pump()
    }

    func lostConnection() {
        self.connection = nil
        self.outbound.rewind()
        self.outbound.removePassing()
        self.countQueue()
    }

    /// The broker lets go of the session: what waits is given up, and nobody else gets it `[MQTT-4.8.2-5]`.
    func end() {
        self.hasEnded = true
        self.claimant = nil
        self.subscriptions = [:]
        self.subscriptionBytes = 0
        self.held = [:]
        self.pendingWill = nil
        self.willBytes = 0
        self.outbound.removeAll()
        self.countQueue()
        self.journal?.append(.end(session: self.number))
    }

    /// What a filter counts for, with the nodes of the tree that it may need.
    static func cost(of filter: TopicFilter) -> Int {
        let levels = filter.buffer.readableBytesView.reduce(1) { $1 == UInt8(ascii: "/") ? $0 + 1 : $0 }
        return filter.buffer.readableBytes + levels * Self.bytesPerLevel
    }

    func countQueue() {
        let bytes = self.outbound.bytes + self.outbound.count * QueueBudget.bytesPerMessage + self.willBytes
        self.queues.change(from: self.queuedBytes, to: bytes)
        self.queuedBytes = bytes
    }
}

extension OutboundQueue.Entry {
    fileprivate var delivery: Delivery {
        Delivery(
            qos: self.qos,
            retain: self.retain,
            packetID: self.packetID,
            isDuplicate: self.wasSent,  // [MQTT-3.3.1-1], [MQTT-3.3.1-3], [MQTT-4.3.2-2], [MQTT-4.3.3-2]
            subscriptionIdentifiers: self.identifiers
        )
    }
}
