import Foundation
import GRDB
import GRDBSQLite
import Logging
import NIOCore

/// The store's thread: takes what has been submitted, commits it as one, and tells the loop.
///
/// While a commit runs, whatever arrives waits for the next one; so the batches grow with the load and the cost of a
/// commit is shared. An idle store's thread sleeps without a timer, unless a watch is set.
final class StoreWorker: @unchecked Sendable {
    // @unchecked Sendable: `queue`, `database` and the constants are; the rest belongs to the thread, and `writer` is
    // touched only inside `database`.

    /// Something to be looked at from time to time, on the thread.
    struct Watch {
        var interval: TimeAmount
        var body: @Sendable () -> Void
    }

    let queue = StoreQueue()

    private let database: DatabaseQueue
    private let directory: StateDirectory
    private let options: StoreOptions
    private let logger: Logger
    /// The state directory's, given back at the very end.
    private let lock: Int32
    private let finished = DispatchSemaphore(value: 0)
    private var writer: SpoolWriter?
    private var watch: Watch?
    private var nextWatch: NIODeadline?
    /// The last commit left a nearly empty spool in a large file.
    private var isDrained = false

    init(
        writer: SpoolWriter,
        database: DatabaseQueue,
        directory: StateDirectory,
        options: StoreOptions,
        lock: Int32,
        logger: Logger
    ) {
        self.lock = lock
        self.writer = writer
        self.database = database
        self.directory = directory
        self.options = options
        self.logger = logger
    }

    /// Starts the thread, which keeps the worker alive until ``stop()``.
    func start() {
        let thread = Thread { self.run() }
        thread.name = "sealgate-store"
        thread.stackSize = 512 << 10
        thread.start()
    }

    /// Does what has been submitted, closes the database and ends the thread. Blocks; called once, and not on the thread.
    func stop() {
        self.queue.close()
        self.finished.wait()
    }

    /// Sets or ends the watch. On the thread only.
    func setWatch(_ watch: Watch?) {
        self.watch = watch
        self.nextWatch = watch.map { NIODeadline.now() + $0.interval }
    }

    /// Runs `body` with the spool's statements, on the thread.
    func withWriter<Value>(
        operation: String,
        _ body: (SpoolWriter) throws(SQLiteFailure) -> Value
    ) -> Result<Value, StoreError> {
        do {
            return try self.database.writeWithoutTransaction { _ in
                guard let writer = self.writer else {
                    throw StoreError(.closed, file: self.directory.database, operation: operation, detail: "closed")
                }
                return .success(try body(writer))
            }
        } catch {
            let error = StoreError(error, file: self.directory.database, operation: operation)
            if error.kind == .damaged { self.directory.markSuspect() }
            return .failure(error)
        }
    }

    // MARK: - The thread

    private func run() {
        loop: while true {
            switch self.queue.next(deadline: self.nextWatch) {
            case .jobs(let jobs): self.process(jobs)
            case .timedOut: break
            case .closed: break loop
            }
            if let watch = self.watch, let nextWatch = self.nextWatch {
                let now = NIODeadline.now()
                if now >= nextWatch {
                    self.nextWatch = now + watch.interval
                    watch.body()
                }
            }
        }
        self.watch = nil
        self.database.writeWithoutTransaction { _ in self.writer = nil }
        try? self.database.close()
        StateDirectory.release(self.lock)
        self.finished.signal()
    }

    private func process(_ jobs: [StoreQueue.Job]) {
        var group: [PendingBatch] = []
        var weight = 0
        // Batches first: reads that were asked for between them see more than they asked for, which harms nobody.
        for case .batch(let pending) in jobs {
            if weight > 0, weight + pending.batch.weight > self.options.maxRowsPerCommit {
                self.commit(group)
                group.removeAll(keepingCapacity: true)
                weight = 0
            }
            group.append(pending)
            weight += pending.batch.weight
        }
        if !group.isEmpty {
            self.commit(group)
            if self.isDrained { self.reclaim() }
        }
        for case .work(let work) in jobs { work() }
    }

    private func reclaim() {
        let result = self.withWriter(operation: "shrinking the database") { writer throws(SQLiteFailure) in
            try writer.reclaim()
        }
        guard case .failure(let error) = result else { return }
        self.logger.notice("The unused space of the database was not given back.", metadata: ["error": "\(error)"])
    }

    private func commit(_ group: [PendingBatch]) {
        switch self.write(group) {
        case .success(let results):
            self.deliver(group, zip(group, results).map { .success($1) })
        case .failure(let error) where group.count > 1 && error.isPerhapsOfOneBatch:
            self.commitOneByOne(group)
        case .failure(let error):
            self.failed(group, error)
        }
    }

    /// After a failure that one batch may have caused, or that the others may get around: an acknowledgement needs no
    /// space, and frees some.
    private func commitOneByOne(_ group: [PendingBatch]) {
        _ = self.withWriter(operation: Self.operation) { writer throws(SQLiteFailure) in
            try writer.checkpoint(SQLITE_CHECKPOINT_PASSIVE)
            try writer.settle()
        }
        for pending in group {
            switch self.write([pending]) {
            case .success(let results): self.deliver([pending], results.map { .success($0) })
            case .failure(let error): self.failed([pending], error)
            }
        }
    }

    private func failed(_ group: [PendingBatch], _ error: StoreError) {
        // The gateway tells the operator, and not a hundred times a second.
        self.logger.debug(
            "A commit failed; nothing of it is stored.",
            metadata: ["error": "\(error)", "batches": "\(group.count)"]
        )
        if error.kind == .diskFull, group.contains(where: { $0.batch.takesSpace }) {
            // What was acknowledged must go even if nothing new finds room, or the spool would stay full for ever.
            _ = self.withWriter(operation: Self.operation) { writer throws(SQLiteFailure) in
                try writer.checkpoint(SQLITE_CHECKPOINT_PASSIVE)
                try writer.settle(group.map(\.batch))
            }
        }
        self.deliver(group, group.map { _ in .failure(error) })
    }

    private static let operation = "writing the spool"

    private func write(_ group: [PendingBatch]) -> Result<[CommittedBatch], StoreError> {
        self.withWriter(operation: Self.operation) { writer throws(SQLiteFailure) in
            defer { self.isDrained = writer.isDrained }
            return try writer.commit(group.map(\.batch))
        }
    }

    /// One call to the loop for all of a commit.
    private func deliver(_ group: [PendingBatch], _ results: [Result<CommittedBatch, StoreError>]) {
        guard let loop = group.first?.loop else { return }
        if group.allSatisfy({ $0.loop === loop }) {
            loop.execute { for (pending, result) in zip(group, results) { pending.completion(result) } }
        } else {
            for (pending, result) in zip(group, results) { pending.loop.execute { pending.completion(result) } }
        }
    }
}

extension StoreError {
    /// Whether the same batches may succeed when each is written by itself.
    fileprivate var isPerhapsOfOneBatch: Bool {
        switch self.kind {
        case .diskFull, .other: true
        case .damaged, .busy, .permission, .schemaTooNew, .notReady, .inUse, .inputOutput, .masterKey: false
        case .deviceExists, .noSuchDevice, .keysInUse, .tooManyLanes, .closed: false
        }
    }
}
