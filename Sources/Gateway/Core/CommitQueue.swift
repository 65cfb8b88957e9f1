import Broker
import DequeModule
import MQTTCodec
import NIOCore
import Sealing
import Store

/// The loop's side of group commit: collects what must reach the disk, hands it to the store's thread batch by batch,
/// and releases acknowledgements when their batch is safe.
///
/// One batch is being committed while the next one fills. Acknowledgements leave in the order in which they were asked
/// for, so PUBACKs of one connection keep the order of its PUBLISHes `[MQTT-4.6.0-2]`. Bound to the gateway's loop.
final class CommitQueue {
    /// An answer that waits for the disk.
    struct Waiter {
        enum Answer {
            /// PUBACK or PUBREC.
            case publish(packetID: UInt16, code: ReasonCode)
            /// Whatever the client was promised.
            case action(() -> Void)
        }

        /// Closed if the commit fails; nil: nobody waits at a connection.
        let client: Client?
        /// The session of the packet, which may have another connection by the time of the commit.
        let session: Session?
        let answer: Answer
        /// Called if the commit fails: undone, so that the node's retransmission is accepted, or tried again.
        let undo: (() -> Void)?
        /// Asks for the acknowledgement of an earlier message, which may be in any batch that is not safe yet.
        let isRepeat: Bool
        fileprivate var batch: UInt64
    }

    /// Bytes that may wait for the disk before the listeners stop reading, with what the queue itself needs for each.
    static let congestionBytes = 16 << 20
    static let recordOverhead = 256
    private static let waiterOverhead = 128
    /// How long deletions alone wait for company before they are worth a commit of their own.
    private static let deletionDelay = TimeAmount.milliseconds(100)
    /// How long what failed and nobody waits for is left alone at most, before it is tried again.
    private static let maxRetryDelay = TimeAmount.seconds(5)
    /// Deletions that are worth a commit of their own at once.
    private static let deletionRanges = 256

    private let store: Store
    private let loop: any EventLoop
    private let wallClock: WallClock
    /// Called with each committed record, in order.
    var committed: (SpoolRecord) -> Void = { _ in }
    /// Whether a queued message whose batch failed has left for its client already, so that it must stay in the queue.
    var wasSent: (QueuedMessageRecord) -> Bool = { _ in false }
    /// Takes queued messages out of their queues again: they could not be written, and their publishers keep them.
    var undo: ([QueuedMessageRecord]) -> Void = { _ in }
    /// What is to be written of a topic's retained message after a failed batch: as it is in memory.
    var retained: (ByteBuffer) -> RetainedChange? = { _ in nil }
    /// What is to be remembered of a device's session IDs for commands after a failed batch: as it is in memory.
    var commandSession: (_ device: String) -> CommandSessionRecord? = { _ in nil }
    /// What has changed of OSCORE contexts, as it is when a batch leaves; asked after ``noteOSCORE(isUrgent:)``.
    var oscoreChanges: () -> [OSCORERecord] = { [] }
    /// What became of it.
    var oscoreSettled: (_ records: [OSCORERecord], _ isWritten: Bool) -> Void = { _, _ in }
    /// Called after each batch, with the batch.
    var finished: (Result<CommittedBatch, StoreError>, StoreBatch) -> Void = { _, _ in }

    private var filling = StoreBatch()
    private var fillingBytes = 0
    private var fillingNumber: UInt64 = 1
    /// The filling batch holds what an answer can wait for.
    private var isFillingUrgent = false
    private var committing: StoreBatch?
    private var committingBytes = 0
    private var isCommittingUrgent = false
    private var retryDelay = deletionDelay
    /// Numbers of messages in the filling batch that no publisher would send again.
    private var orphans: Set<Int64> = []
    private var committingOrphans: Set<Int64> = []
    private var isWithoutPublisher = false
    /// Batches up to this one are on disk, or undone.
    private var safeThrough: UInt64 = 0
    private var waiters: Deque<Waiter> = []
    /// Sessions that have something to send after the next commit.
    private var woken: [Session] = []
    private var nextSequence: Int64
    private var isScheduled = false
    private var deletionTimer: Scheduled<Void>?
    private var isTimeFloorDue = false
    private var hasOSCOREChanges = false
    private var isFailing = false

    init(store: Store, loop: any EventLoop, wallClock: WallClock) {
        self.store = store
        self.loop = loop
        self.wallClock = wallClock
        self.nextSequence = store.lastSequence + 1
    }

    /// Whether so much waits for the disk that nobody should send more.
    var isCongested: Bool {
        self.fillingBytes + self.committingBytes + self.waiters.count * Self.waiterOverhead > Self.congestionBytes
    }
    /// Everything that an acknowledgement may be owed for is on disk.
    var isSafe: Bool { self.waiters.isEmpty && self.committing == nil && !self.isFillingUrgent }
    /// Something is not on disk yet that an acknowledgement could wait for.
    var hasUnsafe: Bool { self.newestBatch != nil }
    /// Nothing waits for the disk.
    var isIdle: Bool {
        self.committing == nil && self.filling.isEmpty && !self.isTimeFloorDue && !self.hasOSCOREChanges
    }

    // MARK: What is to be written

    /// Adds one record; its sequence is assigned here.
    ///
    /// - Returns: The sequence.
    @discardableResult
    func append(_ record: SpoolRecord) -> Int64 {
        var record = record
        record.sequence = self.nextNumber()
        self.filling.inserts.append(record)
        self.added(record.countedBytes)
        return record.sequence
    }

    /// Adds a dead letter.
    func append(_ letter: DeadLetter) {
        self.filling.dead.append(letter)
        self.added(letter.record.countedBytes)
    }

    /// Adds a step of QoS 2 towards an outside broker.
    func append(_ step: UplinkLink.QoS2Step) {
        switch step {
        case .release(let change): self.filling.releases.append(change)
        case .hold(let change): self.filling.held.append(change)
        }
        self.added(0)
    }

    /// Writes down the time of day below which no clock is right, with what is written next.
    func note(timeFloor: Int64) {
        self.filling.timeFloor = timeFloor
    }

    /// Nothing may be written any more, so that a time floor that waits is worth a commit of its own.
    func flushTimeFloor() {
        self.isTimeFloorDue = self.filling.timeFloor != nil
        self.submit()
    }

    /// A dead letter is in the spool again, or has died again: the one of this number goes in the same commit.
    func append(resent id: Int64) {
        self.filling.resent.append(id)
        self.added(0)
    }

    /// Adds a change of the retained messages.
    func append(_ change: RetainedChange) {
        self.filling.retained.append(change)
        self.added(change.bytes)
    }

    /// Adds what is to be remembered of a device's session IDs for commands.
    func append(_ record: CommandSessionRecord) {
        self.filling.commandSessions.append(record)
        self.added(record.ids.readableBytes + record.used.readableBytes)
    }

    /// Adds what is to be remembered of OSCORE contexts.
    func append(_ records: [OSCORERecord]) {
        guard !records.isEmpty else { return }
        self.filling.oscore += records
        self.added(0)
    }

    /// Something has changed that ``oscoreChanges`` tells. No answer waits for it, but it goes with whatever does; if it is
    /// not urgent it waits for company.
    func noteOSCORE(isUrgent: Bool) {
        self.hasOSCOREChanges = true
        if !self.isFailing { self.scheduleDeletion(isFull: isUrgent) }
    }

    /// The outside broker has the record; it leaves the disk with one of the next commits.
    func acknowledged(uplink: Int64, sequence: Int64) {
        let last = self.filling.acknowledged.count - 1
        if last >= 0, self.filling.acknowledged[last].uplink == uplink,
            self.filling.acknowledged[last].sequences.upperBound + 1 == sequence
        {
            let first = self.filling.acknowledged[last].sequences.lowerBound
            self.filling.acknowledged[last].sequences = first...sequence
        } else {
            self.filling.acknowledged.append(.init(uplink: uplink, sequences: sequence...sequence))
        }
        self.scheduleDeletion(isFull: self.filling.acknowledged.count >= Self.deletionRanges)
    }

    /// Records are to go without having been delivered: a limit of the spool.
    func append(_ drop: StoreBatch.Drop) {
        self.filling.drops.append(drop)
        self.schedule()
    }

    private func added(_ bytes: Int) {
        self.fillingBytes += bytes + Self.recordOverhead
        self.isFillingUrgent = true
        self.schedule()
    }

    // MARK: Who waits for it

    /// Acknowledges a PUBLISH as soon as everything added so far is on disk: at once if nothing waits.
    ///
    /// - Parameters:
    ///   - code: What a client of MQTT 5.0 is told.
    ///   - isRepeat: The message came before, and may be in an older batch than the newest.
    ///   - undo: Called if the commit fails.
    func acknowledge(
        _ packetID: UInt16,
        to client: Client,
        code: ReasonCode = .success,
        isRepeat: Bool = false,
        undo: (() -> Void)? = nil
    ) {
        guard let batch = self.newestBatch else {
            client.acknowledge(packetID, client.session, code: code)
            return
        }
        self.waiters.append(
            Waiter(
                client: client,
                session: client.session,
                answer: .publish(packetID: packetID, code: code),
                undo: undo,
                isRepeat: isRepeat,
                batch: batch
            )
        )
    }

    /// Calls `action` as soon as everything added so far is on disk: at once if nothing waits. If the commit fails the
    /// connection is closed instead.
    func whenSafe(for client: Client, _ action: @escaping () -> Void) {
        guard let batch = self.newestBatch else { return action() }
        self.waiters.append(
            Waiter(
                client: client,
                session: client.session,
                answer: .action(action),
                undo: nil,
                isRepeat: false,
                batch: batch
            )
        )
    }

    /// Calls `action` as ``whenSafe(for:_:)`` does, for something that no connection waits for; if the commit fails, calls
    /// `failed` instead.
    func whenSafe(_ action: @escaping () -> Void, orElse failed: @escaping () -> Void) {
        guard let batch = self.newestBatch else { return action() }
        self.waiters.append(
            Waiter(client: nil, session: nil, answer: .action(action), undo: failed, isRepeat: false, batch: batch)
        )
    }

    /// Does `body`, whose messages nobody would send again: should their batch fail, they stay where they are and go into
    /// the next one.
    func withoutPublisher(_ body: () -> Void) {
        let outer = self.isWithoutPublisher
        self.isWithoutPublisher = true
        body()
        self.isWithoutPublisher = outer
    }

    /// Submits what waits without waiting for more; for the shutdown.
    func flush() {
        self.submit()
    }

    /// The number of the newest batch that holds anything, or nil if all is on disk.
    private var newestBatch: UInt64? {
        if self.isFillingUrgent { return self.fillingNumber }
        if self.isCommittingUrgent || !self.waiters.isEmpty { return self.fillingNumber - 1 }
        return nil
    }

    // MARK: Batches

    /// After the events that this turn of the loop still has in hand: they belong into the same commit.
    private func schedule() {
        guard !self.isScheduled, self.committing == nil else { return }
        self.isScheduled = true
        self.loop.assumeIsolated().execute {
            self.isScheduled = false
            self.submit()
        }
    }

    /// What only takes away can wait for company.
    private func scheduleDeletion(isFull: Bool) {
        if isFull {
            self.schedule()
        } else if self.deletionTimer == nil, !self.isScheduled {
            self.deletionTimer = self.loop.assumeIsolated().scheduleTask(in: Self.deletionDelay) {
                self.deletionTimer = nil
                self.submit()
            }
        }
    }

    private func submit() {
        self.deletionTimer?.cancel()
        self.deletionTimer = nil
        guard self.committing == nil else { return }
        if self.hasOSCOREChanges {
            self.hasOSCOREChanges = false
            self.filling.oscore += self.oscoreChanges()
        }
        guard !self.filling.isEmpty || self.isTimeFloorDue else { return }
        self.isTimeFloorDue = false
        let batch = self.filling
        self.committing = batch
        self.committingBytes = self.fillingBytes
        self.isCommittingUrgent = self.isFillingUrgent
        self.committingOrphans = self.orphans
        self.orphans = []
        self.filling = StoreBatch()
        self.fillingBytes = 0
        self.isFillingUrgent = false
        let number = self.fillingNumber
        self.fillingNumber += 1
        let own = NIOLoopBound(self, eventLoop: self.loop)
        self.store.submit(batch, on: self.loop) { result in
            own.value.finish(number, result)
        }
    }

    private func finish(_ number: UInt64, _ result: Result<CommittedBatch, StoreError>) {
        let batch = self.committing
        self.committing = nil
        self.committingBytes = 0
        self.isCommittingUrgent = false
        switch result {
        case .success:
            self.retryDelay = Self.deletionDelay
            self.safeThrough = number
            if let batch, !batch.oscore.isEmpty { self.oscoreSettled(batch.oscore, true) }
            // The next batch goes to the disk while this one's acknowledgements are written.
            self.submit()
            while let waiter = self.waiters.first, waiter.batch <= number {
                self.waiters.removeFirst()
                switch waiter.answer {
                case .publish(let packetID, let code):
                    waiter.client?.acknowledge(packetID, waiter.session, code: code)
                case .action(let action): action()
                }
            }
            for record in batch?.inserts ?? [] { self.committed(record) }
        case .failure:
            // A repetition may be one of a message in this batch, whichever batch it waits for.
            let failed = self.waiters.filter { $0.batch <= number || $0.isRepeat }
            self.waiters.removeAll { $0.batch <= number || $0.isRepeat }
            for waiter in failed {
                waiter.undo?()
                let packetID: UInt16? = if case .publish(let packetID, _) = waiter.answer { packetID } else { nil }
                waiter.client?.storeFailed(packetID, waiter.session)
            }
            // After the failures above have freed their identifiers: taken and free are then in one batch, and not on disk
            // as taken between two of them.
            if let batch { self.undo(self.keepForNextBatch(batch)) }
            if self.filling.timeFloor == nil { self.filling.timeFloor = batch?.timeFloor }
            self.committingOrphans = []
            if self.isFillingUrgent { self.submit() }
        }
        self.finished(result, batch ?? StoreBatch())
        self.pumpWoken()
    }

    private func pumpWoken() {
        guard !self.woken.isEmpty else { return }
        let woken = self.woken
        self.woken.removeAll(keepingCapacity: woken.count <= 1024)
        for session in woken { session.pump() }
    }

    /// A batch failed. What sessions wrote about themselves is still true, so it goes into the next batch, and so do messages
    /// that their client has already or that no publisher would send again; other messages are undone by the core (see
    /// ``GatewayCore``), for their publishers keep them. Of retained messages the next batch has what memory has.
    ///
    /// - Returns: The queued messages that are to be undone.
    private func keepForNextBatch(_ batch: StoreBatch) -> [QueuedMessageRecord] {
        var undone: [QueuedMessageRecord] = []
        var numbers: Set<Int64> = []
        let sessions = batch.sessions.filter { change in
            guard case .enqueue(let record) = change else { return true }
            guard self.committingOrphans.contains(record.message) || self.wasSent(record) else {
                undone.append(record)
                return false
            }
            numbers.insert(record.message)
            return true
        }
        let messages = batch.messages.filter { numbers.contains($0.number) }
        var topics: Set<TopicKey> = []
        let retained = batch.retained.compactMap { change -> RetainedChange? in
            guard topics.insert(TopicKey(buffer: change.topic)).inserted else { return nil }
            return self.retained(change.topic)
        }
        let commandSessions = Set(batch.commandSessions.map(\.device)).compactMap(self.commandSession)
        if !batch.oscore.isEmpty {
            self.isFailing = true
            self.oscoreSettled(batch.oscore, false)
            self.isFailing = false
        }
        guard !sessions.isEmpty || !retained.isEmpty || !commandSessions.isEmpty || self.hasOSCOREChanges else {
            return undone
        }
        self.filling.commandSessions.insert(contentsOf: commandSessions, at: 0)
        self.filling.sessions.insert(contentsOf: sessions, at: 0)
        self.filling.messages.insert(contentsOf: messages, at: 0)
        self.filling.retained.insert(contentsOf: retained, at: 0)
        self.orphans.formUnion(self.committingOrphans.intersection(numbers))
        self.fillingBytes += sessions.reduce(0) { $0 + $1.countedBytes + Self.recordOverhead }
        self.fillingBytes += (messages.count + retained.count + commandSessions.count) * Self.recordOverhead
        guard !self.isFillingUrgent, self.deletionTimer == nil else { return undone }
        self.deletionTimer = self.loop.assumeIsolated().scheduleTask(in: self.retryDelay) {
            self.deletionTimer = nil
            self.submit()
        }
        self.retryDelay = min(self.retryDelay * 2, Self.maxRetryDelay)
        return undone
    }
}

// MARK: - Sessions

extension CommitQueue: SessionJournal {
    func nextNumber() -> Int64 {
        defer { self.nextSequence += 1 }
        return self.nextSequence
    }

    @discardableResult
    func append(_ change: SessionChange) -> UInt64 {
        self.filling.sessions.append(change)
        switch change {
        case .dequeue, .update:
            self.fillingBytes += Self.recordOverhead
            self.scheduleDeletion(isFull: self.filling.sessions.count >= Self.deletionRanges)
        case .open, .end, .subscribe, .unsubscribe, .enqueue, .sent, .received, .hold, .free, .will:
            self.added(change.countedBytes)
        }
        return self.fillingNumber
    }

    func keep(_ message: Message) -> Int64 {
        let number = self.nextNumber()
        self.filling.messages.append(
            StoredMessage(
                number: number,
                topic: message.topic.buffer,
                payload: message.payload,
                qos: message.qos.rawValue,
                properties: message.properties.serialized,
                expiresAt: self.wallClock.milliseconds(at: message.expiry),
                publisher: message.publisher
            )
        )
        if self.isWithoutPublisher { self.orphans.insert(number) }
        self.added(message.size)
        return number
    }

    func isSafe(_ batch: UInt64) -> Bool { batch <= self.safeThrough }

    func wake(_ session: Session) {
        if self.woken.last !== session { self.woken.append(session) }
    }
}

/// Bytes as a key of a set.
private struct TopicKey: Hashable {
    let buffer: ByteBuffer

    static func == (left: Self, right: Self) -> Bool { left.buffer.hasSameBytes(as: right.buffer) }

    func hash(into hasher: inout Hasher) {
        self.buffer.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
    }
}

extension SessionChange {
    /// Bytes that it holds.
    fileprivate var countedBytes: Int {
        switch self {
        case .open(let record): record.clientID.readableBytes
        case .subscribe(_, let record): record.filter.readableBytes
        case .unsubscribe(_, let filter): filter.readableBytes
        case .will(_, let will?): will.topic.readableBytes + will.payload.readableBytes + will.properties.readableBytes
        case .update, .end, .enqueue, .sent, .received, .dequeue, .hold, .free, .will(_, nil): 0
        }
    }
}

extension RetainedChange {
    /// The topic that it is about.
    fileprivate var topic: ByteBuffer {
        switch self {
        case .set(let record): record.topic
        case .clear(let topic): topic
        }
    }

    fileprivate var bytes: Int {
        switch self {
        case .set(let record): record.topic.readableBytes + record.payload.readableBytes
        case .clear(let topic): topic.readableBytes
        }
    }
}
