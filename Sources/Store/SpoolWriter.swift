import Broker
import GRDBSQLite

/// Turns batches into transactions, on the gateway's one connection. Used only while that connection is held.
final class SpoolWriter {
    /// Sequences that one write of the high-water mark allows.
    static let reservation: Int64 = 1 << 20
    /// Acknowledged ranges, and removals of sessions, kept for another try; past this the oldest are forgotten, and sent
    /// again after a restart.
    private static let maxOwed = 4_096

    let spool: SpoolTable
    let retained: RetainedTable
    let sessions: SessionWriter
    /// No number up to this one may be given to a new record, message or session: it may have been used.
    let lastSequence: Int64

    private let connection: OpaquePointer
    private let options: StoreOptions
    private let beginStatement: PreparedStatement
    private let commitStatement: PreparedStatement
    private let rollbackStatement: PreparedStatement
    private let reserveStatement: PreparedStatement
    /// The mark on disk: sequences up to it may be used without another write.
    private var reserved: Int64
    /// Acknowledgements of batches that failed.
    private var owed: [StoreBatch.Acknowledgement] = []
    /// What batches that failed had taken away from sessions.
    private var owedRemovals: [SessionChange] = []
    /// The most that spools and sessions held, in counted bytes, since the file was last made small.
    private var peakBytes: Int
    /// Counted bytes of each spool, for ``peakBytes``.
    private var sizes: [Int64: Int] = [:]
    private let faults: FaultSwitch

    /// - Parameter fileBytes: size of the database file.
    init(on connection: OpaquePointer, options: StoreOptions, fileBytes: Int) throws(SQLiteFailure) {
        self.connection = connection
        self.options = options
        self.peakBytes = fileBytes
        self.faults = FaultSwitch(options)
        self.spool = try SpoolTable(on: connection)
        self.retained = try RetainedTable(on: connection)
        self.sessions = try SessionWriter(on: connection, faults: self.faults)
        self.beginStatement = try PreparedStatement("BEGIN IMMEDIATE", on: connection)
        self.commitStatement = try PreparedStatement("COMMIT", on: connection)
        self.rollbackStatement = try PreparedStatement("ROLLBACK", on: connection)
        self.reserveStatement = try PreparedStatement(
            "UPDATE meta SET value = ?1 WHERE name = 'sequence_reserved'",
            on: connection
        )
        let mark = try PreparedStatement("SELECT value FROM meta WHERE name = 'sequence_reserved'", on: connection)
        self.reserved = try mark.step() ? mark.integer(0) : 0
        self.lastSequence = max(self.reserved, self.spool.highestSequence, self.sessions.highestNumber)
        for totals in try self.spool.totals() { self.sizes[totals.uplink] = totals.bytes }
        if self.sessions.hasOrphans {
            try self.tidy { () throws(SQLiteFailure) in try self.sessions.removeOrphans() }
        }
    }

    /// Reads all sessions and deletes what is bad of them.
    func readSessions() throws(SQLiteFailure) -> SessionReading {
        let reading = try self.sessions.read()
        if !reading.bad.isEmpty {
            try self.tidy { () throws(SQLiteFailure) in try self.sessions.remove(reading.bad) }
        }
        return reading
    }

    /// A transaction that may as well be done at the next start; only damage is worth an error.
    private func tidy(_ body: () throws(SQLiteFailure) -> Void) throws(SQLiteFailure) {
        do throws(SQLiteFailure) {
            try self.transaction(body)
        } catch  where StoreError.Kind(code: error.code) != .damaged {
        }
    }

    /// Writes all batches in one transaction.
    ///
    /// A record that another batch of the same call acknowledges is never written: it has been delivered.
    ///
    /// - Returns: One result for each batch.
    /// - Throws: Then nothing of any of them is in the database; their acknowledgements, and what they took away from
    ///   sessions, will be in a later one.
    func commit(_ batches: some Collection<StoreBatch>) throws(SQLiteFailure) -> [CommittedBatch] {
        let plan = SessionPlan(batches.reduce(into: self.owedRemovals) { $0 += $1.sessions })
        do throws(SQLiteFailure) {
            let results = try self.transaction { () throws(SQLiteFailure) in try self.apply(batches, plan) }
            self.owed.removeAll(keepingCapacity: true)
            self.owedRemovals.removeAll()
            return results
        } catch {
            for batch in batches { self.owe(batch.acknowledged) }
            self.owedRemovals = plan.removals.suffix(Self.maxOwed)
            throw error
        }
    }

    /// Deletes what failed batches had acknowledged or taken away, if there is any.
    func settle() throws(SQLiteFailure) {
        guard !self.owed.isEmpty || !self.owedRemovals.isEmpty else { return }
        _ = try self.commit(CollectionOfOne(StoreBatch()))
    }

    private func owe(_ acknowledged: [StoreBatch.Acknowledgement]) {
        self.owed += acknowledged
        if self.owed.count > Self.maxOwed {
            self.owed = self.mergedAcknowledgements(of: EmptyCollection()).suffix(Self.maxOwed)
        }
    }

    /// Whether spools and queues are nearly empty and were large since the file was last made small.
    var isDrained: Bool {
        self.peakBytes >= self.options.reclaimBytes && self.heldBytes <= self.options.reclaimBytes / 8
    }

    /// Gives the disk space of a drained spool back, when enough of it lies unused.
    ///
    /// Done by `VACUUM` while the database is nearly empty, which costs milliseconds; `auto_vacuum` would cost every
    /// insert and delete a pointer map. Another process that is reading puts it off to the next peak.
    func reclaim() throws(SQLiteFailure) {
        self.peakBytes = self.heldBytes
        let unused = try PreparedStatement("SELECT freelist_count FROM pragma_freelist_count", on: self.connection)
        guard try unused.step() else { return }
        let unusedBytes = Int(unused.integer(0)) * Schema.pageBytes
        unused.reset()
        guard unusedBytes >= self.options.reclaimBytes / 2 else { return }
        try PreparedStatement("VACUUM", on: self.connection).run()
        try self.checkpoint(SQLITE_CHECKPOINT_TRUNCATE)
    }

    /// Copies the write-ahead log into the database; `SQLITE_CHECKPOINT_PASSIVE` waits for nobody.
    func checkpoint(_ mode: Int32) throws(SQLiteFailure) {
        let code = sqlite3_wal_checkpoint_v2(self.connection, nil, mode, nil, nil)
        guard code == SQLITE_OK || code & 0xFF == SQLITE_BUSY else { throw SQLiteFailure(connection: self.connection) }
    }

    private var heldBytes: Int { self.sizes.values.reduce(self.sessions.heldBytes, +) }

    // MARK: - Inside the transaction

    private func transaction<Result>(
        _ body: () throws(SQLiteFailure) -> Result
    ) throws(SQLiteFailure) -> Result {
        let reserved = self.reserved
        do throws(SQLiteFailure) {
            if sqlite3_get_autocommit(self.connection) == 0 { try self.rollbackStatement.run() }
            try self.faults.pass(.begin)
            try self.beginStatement.run()
            let result = try body()
            try self.faults.pass(.commit)
            try self.commitStatement.run()
            self.spool.committed()
            self.sessions.committed()
            return result
        } catch {
            // SQLite has rolled back by itself after some errors, and has not after others.
            if sqlite3_get_autocommit(self.connection) == 0 { try? self.rollbackStatement.run() }
            self.spool.rolledBack()
            self.sessions.rolledBack()
            self.reserved = reserved
            throw error
        }
    }

    private func apply(
        _ batches: some Collection<StoreBatch>,
        _ plan: SessionPlan
    ) throws(SQLiteFailure) -> [CommittedBatch] {
        var touched: Set<Int64> = []
        let acknowledged = self.mergedAcknowledgements(of: batches)
        for item in acknowledged {
            try self.faults.pass(.delete)
            try self.spool.delete(uplink: item.uplink, sequences: item.sequences)
            touched.insert(item.uplink)
        }
        let newestAcknowledged = acknowledged.map(\.sequences.upperBound).max() ?? 0
        var results: [CommittedBatch] = []
        var highest: Int64 = 0
        for batch in batches {
            var result = CommittedBatch()
            for drop in batch.drops {
                result.dropped += try self.spool.drop(drop)
                touched.insert(drop.uplink)
            }
            var lastUplink: Int64 = 0
            for record in batch.inserts {
                highest = max(highest, record.sequence)
                if record.sequence <= newestAcknowledged, acknowledged.contains(where: { $0.covers(record) }) {
                    continue
                }
                try self.faults.pass(.insert)
                try self.spool.insert(record)
                if record.uplink != lastUplink {
                    lastUplink = record.uplink
                    touched.insert(record.uplink)
                }
            }
            for change in batch.retained { try self.retained.apply(change) }
            results.append(result)
        }
        if !plan.isEmpty { try self.applySessions(of: batches, plan) }
        // Also those that were never written: the loop has used them.
        for batch in batches { highest = max(highest, batch.highestSessionNumber) }
        if highest > self.reserved { try self.reserve(upTo: highest + Self.reservation) }
        let totals = try self.totals(of: touched)
        for index in results.indices { results[index].totals = totals }
        return results
    }

    private func applySessions(
        of batches: some Collection<StoreBatch>,
        _ plan: SessionPlan
    ) throws(SQLiteFailure) {
        var arrived: [Int64: StoredMessage] = [:]
        for batch in batches { for message in batch.messages { arrived[message.number] = message } }
        try self.sessions.apply(plan, arrived)
    }

    /// What is owed and what the batches acknowledge, neighbours joined: one statement for each stretch.
    private func mergedAcknowledgements(of batches: some Collection<StoreBatch>) -> [StoreBatch.Acknowledgement] {
        var all = self.owed
        for batch in batches { all += batch.acknowledged }
        guard all.count > 1 else { return all }
        all.sort { ($0.uplink, $0.sequences.lowerBound) < ($1.uplink, $1.sequences.lowerBound) }
        var merged = [all[0]]
        for next in all.dropFirst() {
            let last = merged[merged.count - 1]
            if next.uplink == last.uplink, next.sequences.lowerBound - 1 <= last.sequences.upperBound {
                let upperBound = max(last.sequences.upperBound, next.sequences.upperBound)
                merged[merged.count - 1].sequences = last.sequences.lowerBound...upperBound
            } else {
                merged.append(next)
            }
        }
        return merged
    }

    private func reserve(upTo sequence: Int64) throws(SQLiteFailure) {
        self.reserveStatement.bind(sequence, at: 1)
        try self.reserveStatement.run()
        self.reserved = sequence
    }

    private func totals(of uplinks: Set<Int64>) throws(SQLiteFailure) -> [SpoolTotals] {
        var all: [SpoolTotals] = []
        for uplink in uplinks.sorted() {
            let totals = try self.spool.totals(uplink: uplink)
            self.sizes[uplink] = totals.bytes
            all.append(totals)
        }
        self.peakBytes = max(self.peakBytes, self.heldBytes)
        return all
    }
}

extension StoreBatch.Acknowledgement {
    fileprivate func covers(_ record: SpoolRecord) -> Bool {
        self.uplink == record.uplink && self.sequences.contains(record.sequence)
    }
}

extension StoreBatch {
    /// The highest number that its messages, queues and new sessions have; 0: there is none.
    fileprivate var highestSessionNumber: Int64 {
        var highest: Int64 = 0
        for message in self.messages { highest = max(highest, message.number) }
        for change in self.sessions { highest = max(highest, change.newNumber) }
        return highest
    }
}
