package import Broker
import Devices
import Foundation
import GRDB
import GRDBSQLite
package import Logging
package import NIOCore
import Synchronization

/// Everything that the gateway keeps: devices, the spools of its uplinks, retained messages, sessions. One SQLite database in WAL
/// mode with `synchronous = FULL`: what was committed survives `kill -9` and a power cut.
///
/// The gateway's loop submits batches and is told when they are safe; a thread of the store's own does the work.
/// Commands open the same database beside it; their commits reach the gateway through ``watchDevices(every:on:changed:)``.
package final class Store: Sendable {
    /// The files.
    package let directory: StateDirectory
    /// Where a damaged database was put when this one was opened; nil: there was none.
    package let setAside: String?
    /// What was saved of it; nil if nothing could be, or there was none.
    package let salvaged: SalvageReport?
    /// New records must have sequences above this one, and new sessions, their messages and places in queues numbers above
    /// it: no lower one is sure to be unused. (It is up to 2^20 past the
    /// last one used: the mark on disk is not written in every commit.) 0 unless opened for the gateway.
    package let lastSequence: Int64
    /// What waits for each uplink, as the store was opened. Empty unless opened for the gateway.
    package let spoolTotals: [SpoolTotals]

    let access: StoreAccess
    let database: DatabaseQueue
    let secrets: SecretKeeper
    let logger: Logger
    /// Guarded so that commands and the store's thread agree.
    let knowledge: Mutex<DeviceKnowledge>
    let worker: StoreWorker?
    private let isClosed = Mutex(false)

    /// Opens `sealgate.db` in `directory`, creating what is missing unless `access` is read-only.
    ///
    /// For the gateway, a database that turns out to be damaged is set aside under a dated name, with an error in the
    /// log, and a new one is begun with what can be read of it; a command only reports it.
    ///
    /// - Throws: ``StoreError``: others can read the files, the schema is newer than this release, another gateway runs
    ///   here, the disk fails; for the gateway also that master.key is missing or not the one of this database.
    package static func open(
        directory path: String,
        access: StoreAccess = .gateway,
        options: StoreOptions = StoreOptions(),
        logger: Logger
    ) throws(StoreError) -> Store {
        let directory = StateDirectory(path: path)
        // Looked at before it is made.
        let isEmptied = directory.isEmptied(for: access)
        try directory.prepare(for: access)
        guard access == .gateway else {
            if isEmptied { throw self.emptied(directory) }
            return try Store(directory, access: access, options: options, lock: nil, logger: logger)
        }
        let lock = try directory.takeLock()
        do throws(StoreError) {
            return try self.openGateway(directory, isEmptied: isEmptied, options: options, lock: lock, logger: logger)
        } catch {
            StateDirectory.release(lock)
            throw error
        }
    }

    private static func emptied(_ directory: StateDirectory) -> StoreError {
        let operation = "opening the database"
        return StoreError(.damaged, file: directory.database, operation: operation, detail: "the file is empty")
    }

    private static func openGateway(
        _ directory: StateDirectory,
        isEmptied: Bool,
        options: StoreOptions,
        lock: Int32,
        logger: Logger
    ) throws(StoreError) -> Store {
        var rescue = directory.isSalvageComplete ? try Rescue.goOn(directory, logger: logger) : nil
        do throws(StoreError) {
            if rescue == nil, isEmptied { throw self.emptied(directory) }
            return try Store(directory, options: options, lock: lock, rescue: rescue, logger: logger)
        } catch  where error.tellsOfDamage(to: directory) {
            rescue = try Rescue.run(directory, damage: error.detail, options: options, logger: logger)
            return try Store(directory, options: options, lock: lock, rescue: rescue, logger: logger)
        }
    }

    private init(
        _ directory: StateDirectory,
        access: StoreAccess = .gateway,
        options: StoreOptions,
        lock: Int32?,
        rescue: Rescue? = nil,
        logger: Logger
    ) throws(StoreError) {
        let file = directory.database
        let operation = "opening the database"
        do {
            let database = try DatabaseQueue(
                path: access == .readOnly ? directory.readOnlyDatabase : directory.databaseAddress(options),
                configuration: Schema.configuration(for: access, options: options)
            )
            if try database.read(Schema.migrator.hasBeenSuperseded) {
                let detail = "a newer release of sealgate made this database"
                throw StoreError(.schemaTooNew, file: file, operation: operation, detail: detail)
            }
            if access != .readOnly {
                try Schema.migrate(database)
            } else if try !database.read(Schema.migrator.hasCompletedMigrations) {
                let detail = "the database is empty or of an older release"
                throw StoreError(.notReady, file: file, operation: operation, detail: detail)
            }
            var writer: SpoolWriter?
            if access == .gateway {
                try Self.checkWritable(database, directory)
                try Self.inspect(database, directory)
                try database.write(LaneTable.removeIdle)
                writer = try database.writeWithoutTransaction { db in
                    guard let connection = db.sqliteConnection else { throw SQLiteFailure(connection: nil) }
                    let bytes = StateDirectory.status(of: file)?.bytes ?? 0
                    return try SpoolWriter(on: connection, options: options, fileBytes: bytes)
                }
            }
            let knowledge = try database.read { db in
                DeviceKnowledge(
                    dataVersion: try Self.dataVersion(db),
                    generation: try DeviceTable.generation(db),
                    deadGeneration: try Self.deadGeneration(db)
                )
            }
            let totals = writer?.spool.totals ?? []
            let secrets = SecretKeeper(directory: directory)
            // With another master key nobody could prove himself, and with none new secrets would begin to hang from a
            // second one: better not to start.
            if access == .gateway { try database.read(secrets.verify) }

            self.directory = directory
            self.setAside = rescue?.setAside
            self.salvaged = rescue?.report
            self.access = access
            self.database = database
            self.secrets = secrets
            self.logger = logger
            self.knowledge = Mutex(knowledge)
            self.lastSequence = writer?.lastSequence ?? 0
            self.spoolTotals = totals
            if let counted = writer?.spool.countedLanes, !counted.isEmpty {
                logger.notice(
                    "counted the spools whose records had not gone in order",
                    metadata: ["lanes": "\(counted)"]
                )
            }
            self.worker = writer.map { writer in
                StoreWorker(
                    writer: writer,
                    database: database,
                    directory: directory,
                    options: options,
                    lock: lock ?? -1,
                    logger: logger
                )
            }
        } catch {
            throw StoreError(error, file: file, operation: operation)
        }
        if let code = lock.flatMap(StateDirectory.mark) {
            logger.warning(
                "the lock file can't be written: a database that is emptied before the next start would pass for a new one",
                metadata: [
                    "file": "\(directory.lock)", "database": "\(file)", "error": "\(String(cString: strerror(code)))",
                ]
            )
        }
        self.worker?.start()
    }

    // Without waiting: the last reference may be the thread's own.
    deinit { self.worker?.queue.close() }

    /// What SQLite can't open for writing it opens for reading only, the database or its log, and every commit fails until the
    /// next start: better not to start.
    private static func checkWritable(_ database: DatabaseQueue, _ directory: StateDirectory) throws {
        try database.writeWithoutTransaction { db in
            guard sqlite3_db_readonly(db.sqliteConnection, "main") == 0 else {
                let detail = "it could be opened for reading only"
                throw StoreError(
                    .permission,
                    file: directory.database,
                    operation: "opening the database",
                    detail: detail
                )
            }
            try db.inTransaction(.immediate) { .rollback }
        }
    }

    /// Whether `quick_check` met an error of the disk: "unable to get the page. error code=266".
    private static func tellsOfReading(_ answer: String) -> Bool {
        guard let code = answer.split(separator: "error code=", maxSplits: 1).dropFirst().first else { return false }
        return Int32(code.prefix(while: \.isNumber)).map { $0 & 0xFF == SQLITE_IOERR } ?? false
    }

    /// Looks at every page, if that is quick or the last run had reason to.
    private static func inspect(_ database: DatabaseQueue, _ directory: StateDirectory) throws {
        let isSmall = StateDirectory.status(of: directory.database).map { $0.bytes <= 8 << 20 } ?? true
        guard isSmall || directory.isSuspect else { return }
        let answer = try database.read { db in try String.fetchOne(db, sql: "PRAGMA quick_check(1)") ?? "no answer" }
        // A page that could not be read this time is no damage yet: the next start looks again.
        if self.tellsOfReading(answer), !directory.isUnreadable { return directory.markSuspect() }
        guard answer == "ok" else {
            let operation = "checking the database"
            throw StoreError(.damaged, file: directory.database, operation: operation, detail: answer)
        }
        directory.clearSuspicion()
    }

    /// Does what has been submitted, then closes the database. Blocks until then; never called on a loop that waits for
    /// completions in its own shutdown. A second call does nothing.
    package func close() {
        let wasClosed = self.isClosed.withLock { isClosed in
            defer { isClosed = true }
            return isClosed
        }
        guard !wasClosed else { return }
        if let worker { worker.stop() } else { try? self.database.close() }
    }

    // MARK: - The gateway's path

    /// Has `batch` written; `completion` is called on `loop` when it is safe on disk, or when it failed and nothing of it
    /// is there. Batches are applied in the order of submission.
    ///
    /// Never blocks longer than it takes to append to an array. Call it from one loop, as the sequences require. The queue
    /// has no bound of its own: the loop knows what it has submitted, and stops reading when that is too much.
    package func submit(
        _ batch: StoreBatch,
        on loop: any EventLoop,
        completion: @escaping @Sendable (Result<CommittedBatch, StoreError>) -> Void
    ) {
        let pending = PendingBatch(batch: batch, loop: loop, completion: completion)
        if self.worker?.queue.submit(.batch(pending)) != true {
            let error = self.closedError(while: "writing the spool")
            loop.execute { completion(.failure(error)) }
        }
    }

    /// Reads records of a lane from a place on: at most `maxMessages`, and past the first of them at most `maxBytes` of
    /// topics, payloads and properties. Sees every batch submitted before.
    ///
    /// Rows that this release can't have written are left out and deleted, with a warning in the log.
    package func loadSpool(
        uplink: Int64,
        from cursor: SpoolCursor,
        maxMessages: Int,
        maxBytes: Int,
        on loop: any EventLoop,
        completion: @escaping @Sendable (Result<SpoolPage, StoreError>) -> Void
    ) {
        let operation = "reading the spool"
        let logger = self.logger
        self.enqueue(operation: operation, on: loop, completion: completion) { worker in
            worker.withWriter(operation: operation) { writer throws(SQLiteFailure) in
                try writer.load(uplink: uplink, from: cursor, maxMessages: maxMessages, maxBytes: maxBytes)
            }.map { loaded in
                if !loaded.bad.isEmpty {
                    logger.warning(
                        "records of the spool can't be used, and were deleted",
                        metadata: ["uplink": "\(uplink)", "count": "\(loaded.bad.count)"]
                    )
                }
                return loaded.page
            }
        }
    }

    /// Does `work` on the store's thread and tells `loop`.
    func enqueue<Value: Sendable>(
        operation: String,
        on loop: any EventLoop,
        completion: @escaping @Sendable (Result<Value, StoreError>) -> Void,
        work: @escaping @Sendable (StoreWorker) -> Result<Value, StoreError>
    ) {
        let job: @Sendable () -> Void = { [worker] in
            guard let worker else { return }
            let result = work(worker)
            loop.execute { completion(result) }
        }
        if self.worker?.queue.submit(.work(job)) != true {
            let error = self.closedError(while: operation)
            loop.execute { completion(.failure(error)) }
        }
    }

    /// Does `work` on the store's thread, if there is one.
    func enqueue(_ work: @escaping @Sendable (StoreWorker) -> Void) {
        guard let worker else { return }
        _ = worker.queue.submit(.work { work(worker) })
    }

    /// Sets the watch, on the store's thread. Without a thread there is nothing to watch.
    func setWatch(_ watch: StoreWorker.Watch) {
        self.enqueue { worker in worker.setWatch(watch) }
    }

    func closedError(while operation: String) -> StoreError {
        let detail = self.access == .gateway ? "the store is closed" : "the store was not opened for the gateway"
        return StoreError(.closed, file: self.directory.database, operation: operation, detail: detail)
    }

    // MARK: - At start-up, synchronous, on any thread

    /// The retained messages. Only for the gateway.
    package func retained() throws(StoreError) -> [RetainedRecord] {
        guard let worker else { throw self.closedError(while: "reading retained messages") }
        return try worker.withWriter(operation: "reading retained messages") { writer throws(SQLiteFailure) in
            try writer.retained.all()
        }.get()
    }

    /// The sessions in the order of their numbers, and the messages that they wait for. Only for the gateway.
    ///
    /// Rows that this release can't have written are left out and deleted, with one warning in the log: one bad row takes
    /// its session, its message or only itself away, and nothing else.
    package func sessions() throws(StoreError) -> (sessions: [StoredSession], messages: [Int64: StoredMessage]) {
        let operation = "reading sessions"
        guard let worker else { throw self.closedError(while: operation) }
        let reading = try worker.withWriter(operation: operation) { writer throws(SQLiteFailure) in
            try writer.readSessions()
        }.get()
        if !reading.bad.isEmpty {
            self.logger.warning(
                "parts of stored sessions can't be used, and were deleted",
                metadata: [
                    "sessions": "\(reading.bad.sessions.count)", "queued": "\(reading.bad.queue.count)",
                    "messages": "\(reading.bad.messages.count)", "subscriptions": "\(reading.bad.subscriptions.count)",
                    "identifiers": "\(reading.bad.held.count)", "wills": "\(reading.bad.wills.count)",
                ]
            )
        }
        return (reading.sessions, reading.messages)
    }

    /// Runs `body` on the connection, outside of any transaction.
    func access<Value>(operation: String, _ body: (Database) throws -> Value) throws(StoreError) -> Value {
        do {
            return try self.database.writeWithoutTransaction(body)
        } catch {
            throw StoreError(error, file: self.directory.database, operation: operation)
        }
    }
}
