import Broker
import DequeModule
import NIOCore
import Sealing
import Store

/// The loop's side of group commit: collects what must reach the disk, hands it to the store's thread batch by batch,
/// and releases acknowledgements when their batch is safe.
///
/// One batch is being committed while the next one fills. Acknowledgements leave in the order in which they were asked
/// for, so PUBACKs of one connection keep the order of its PUBLISHes `[MQTT-4.6.0-2]`. Bound to the gateway's loop.
final class CommitQueue {
    /// An acknowledgement that waits for the disk.
    struct Waiter {
        let client: Client
        /// The session of the PUBLISH, which may have another connection by the time of the commit.
        let session: Session?
        let packetID: UInt16
        /// Undone if the commit fails, so that the node's retransmission is accepted.
        let undo: (() -> Void)?
        /// Asks for the acknowledgement of an earlier message, which may be in any batch that is not safe yet.
        let isRepeat: Bool
        fileprivate var batch: UInt64
    }

    /// Bytes that may wait for the disk before the listeners stop reading, with what the queue itself needs for each.
    static let congestionBytes = 16 << 20
    private static let recordOverhead = 256
    private static let waiterOverhead = 128
    /// How long deletions alone wait for company before they are worth a commit of their own.
    private static let deletionDelay = TimeAmount.milliseconds(100)
    /// Deletion ranges that are worth a commit of their own at once.
    private static let deletionRanges = 256

    private let store: Store
    private let loop: any EventLoop
    /// Called with each committed record, in order.
    var committed: (SpoolRecord) -> Void = { _ in }
    /// Called after each batch, with the batch.
    var finished: (Result<CommittedBatch, StoreError>, StoreBatch) -> Void = { _, _ in }

    private var filling = StoreBatch()
    private var fillingBytes = 0
    private var fillingNumber: UInt64 = 1
    private var committing: StoreBatch?
    private var committingBytes = 0
    private var waiters: Deque<Waiter> = []
    private var nextSequence: Int64
    private var isScheduled = false
    private var deletionTimer: Scheduled<Void>?

    init(store: Store, loop: any EventLoop) {
        self.store = store
        self.loop = loop
        self.nextSequence = store.lastSequence + 1
    }

    /// Whether so much waits for the disk that nobody should send more.
    var isCongested: Bool {
        self.fillingBytes + self.committingBytes + self.waiters.count * Self.waiterOverhead > Self.congestionBytes
    }
    /// Everything that an acknowledgement may be owed for is on disk.
    var isSafe: Bool { self.waiters.isEmpty && self.committing == nil && !self.filling.holdsMessages }
    /// Nothing waits for the disk.
    var isIdle: Bool { self.committing == nil && self.filling.isEmpty }

    /// Adds one record; its sequence is assigned here.
    func append(_ record: SpoolRecord) {
        var record = record
        record.sequence = self.nextSequence
        self.nextSequence += 1
        self.fillingBytes += record.countedBytes + Self.recordOverhead
        self.filling.inserts.append(record)
        self.schedule()
    }

    /// Adds a change of the retained messages.
    func append(_ change: RetainedChange) {
        self.fillingBytes += change.bytes + Self.recordOverhead
        self.filling.retained.append(change)
        self.schedule()
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
        if self.filling.acknowledged.count >= Self.deletionRanges {
            self.schedule()
        } else if self.deletionTimer == nil, !self.isScheduled {
            self.deletionTimer = self.loop.assumeIsolated().scheduleTask(in: Self.deletionDelay) {
                self.deletionTimer = nil
                self.submit()
            }
        }
    }

    /// Records are to go without having been delivered: a limit of the spool.
    func append(_ drop: StoreBatch.Drop) {
        self.filling.drops.append(drop)
        self.schedule()
    }

    /// Acknowledges a PUBLISH as soon as everything added so far is on disk: at once if nothing waits.
    ///
    /// - Parameters:
    ///   - isRepeat: The message came before, and may be in an older batch than the newest.
    ///   - undo: Called if the commit fails.
    func acknowledge(_ packetID: UInt16, to client: Client, isRepeat: Bool = false, undo: (() -> Void)? = nil) {
        guard let batch = self.newestBatch else {
            client.acknowledge(packetID, client.session)
            return
        }
        self.waiters.append(
            Waiter(
                client: client,
                session: client.session,
                packetID: packetID,
                undo: undo,
                isRepeat: isRepeat,
                batch: batch
            )
        )
    }

    /// Submits what waits without waiting for more; for the shutdown.
    func flush() {
        self.deletionTimer?.cancel()
        self.deletionTimer = nil
        self.submit()
    }

    /// The number of the newest batch that holds anything, or nil if all is on disk.
    private var newestBatch: UInt64? {
        if self.filling.holdsMessages { return self.fillingNumber }
        if self.committing != nil || !self.waiters.isEmpty { return self.fillingNumber - 1 }
        return nil
    }

    /// After the events that this turn of the loop still has in hand: they belong into the same commit.
    private func schedule() {
        guard !self.isScheduled, self.committing == nil else { return }
        self.isScheduled = true
        self.loop.assumeIsolated().execute {
            self.isScheduled = false
            self.submit()
        }
    }

    private func submit() {
        guard self.committing == nil, !self.filling.isEmpty else { return }
        self.deletionTimer?.cancel()
        self.deletionTimer = nil
        let batch = self.filling
        self.committing = batch
        self.committingBytes = self.fillingBytes
        self.filling = StoreBatch()
        self.fillingBytes = 0
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
        // The next batch goes to the disk while this one's acknowledgements are written.
        self.submit()
        switch result {
        case .success:
            while let waiter = self.waiters.first, waiter.batch <= number {
                self.waiters.removeFirst()
                waiter.client.acknowledge(waiter.packetID, waiter.session)
            }
            for record in batch?.inserts ?? [] { self.committed(record) }
        case .failure:
            // A repetition may be one of a message in this batch, whichever batch it waits for.
            let failed = self.waiters.filter { $0.batch <= number || $0.isRepeat }
            self.waiters.removeAll { $0.batch <= number || $0.isRepeat }
            for waiter in failed {
                waiter.undo?()
                waiter.client.storeFailed(waiter.packetID, waiter.session)
            }
        }
        self.finished(result, batch ?? StoreBatch())
    }
}

extension StoreBatch {
    /// Whether it holds what an acknowledgement can wait for.
    fileprivate var holdsMessages: Bool { !self.inserts.isEmpty || !self.retained.isEmpty }
}

extension RetainedChange {
    fileprivate var bytes: Int {
        switch self {
        case .set(let record): record.topic.readableBytes + record.payload.readableBytes
        case .clear(let topic): topic.readableBytes
        }
    }
}
