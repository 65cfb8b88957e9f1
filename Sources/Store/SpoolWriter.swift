import Broker
import GRDBSQLite

/// Turns batches into transactions, on the gateway's one connection. Used only while that connection is held.
final class SpoolWriter {
    /// Sequences that one write of the high-water mark allows.
    static let reservation: Int64 = 1 << 20
    /// A time floor that is nearer to the one on disk, in milliseconds, is not worth a write.
    private static let timeFloorStep: Int64 = 60_000
    let spool: SpoolTable
    let retained: RetainedTable
    let commandSessions: CommandSessionTable
    let oscore: OSCORETable
    let sessions: SessionWriter
    let dead: DeadTable
    /// No number up to this one may be given to a new record, message or session: it may have been used.
    let lastSequence: Int64

    private let connection: OpaquePointer
    private let options: StoreOptions
    private let beginStatement: PreparedStatement
    private let commitStatement: PreparedStatement
    private let rollbackStatement: PreparedStatement
    private let reserveStatement: PreparedStatement
    private let timeStatement: PreparedStatement
    private let packets: PacketTable
    /// The mark on disk: sequences up to it may be used without another write.
    private var reserved: Int64
    /// The time floor on disk.
    private(set) var timeFloor: Int64
    /// What batches that failed had to take away.
    private var owed = OwedChanges()
    /// The most that spools and sessions held, in counted bytes, since the file was last made small.
    private var peakBytes: Int
    private let faults: FaultSwitch

    /// - Parameter fileBytes: size of the database file.
    init(on connection: OpaquePointer, options: StoreOptions, fileBytes: Int) throws(SQLiteFailure) {
        self.connection = connection
        self.options = options
        self.peakBytes = fileBytes
        self.faults = FaultSwitch(options)
        self.spool = try SpoolTable(on: connection, uncountedHoles: options.uncountedHoles)
        self.retained = try RetainedTable(on: connection)
        self.commandSessions = try CommandSessionTable(on: connection)
        self.oscore = try OSCORETable(on: connection)
        self.sessions = try SessionWriter(on: connection, faults: self.faults)
        self.dead = try DeadTable(on: connection, options: options)
        self.packets = try PacketTable(on: connection)
        self.beginStatement = try PreparedStatement("BEGIN IMMEDIATE", on: connection)
        self.commitStatement = try PreparedStatement("COMMIT", on: connection)
        self.rollbackStatement = try PreparedStatement("ROLLBACK", on: connection)
        self.reserveStatement = try PreparedStatement(
            "UPDATE meta SET value = ?1 WHERE name = 'sequence_reserved'",
            on: connection
        )
        self.timeStatement = try PreparedStatement(
            "INSERT OR REPLACE INTO meta (name, value) VALUES ('time_floor', ?1)",
            on: connection
        )
        let mark = try PreparedStatement("SELECT value FROM meta WHERE name = 'sequence_reserved'", on: connection)
        let reserved = try mark.step() ? mark.integer(0) : 0
        // One that nobody can have written is not believed; what is there says which numbers have been used.
        self.reserved = 0...SpoolKey.sequences.upperBound - Self.reservation ~= reserved ? reserved : 0
        let floor = try PreparedStatement("SELECT value FROM meta WHERE name = 'time_floor'", on: connection)
        self.timeFloor = try floor.step() ? floor.integer(0) : 0
        self.lastSequence = max(self.reserved, self.spool.highestSequence, self.sessions.highestNumber)
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

    /// See ``OSCORETable/begin(unknown:)``.
    func beginOSCORE(unknown: UInt64) throws(SQLiteFailure) -> OSCOREStart {
        try self.transaction { () throws(SQLiteFailure) in
            try self.faults.pass(.oscore)
            return try self.oscore.begin(unknown: unknown)
        }
    }

    /// A transaction that may as well be done at the next start; only damage is worth an error.
    private func tidy(_ body: () throws(SQLiteFailure) -> Void) throws(SQLiteFailure) {
        do throws(SQLiteFailure) {
            try self.transaction(body)
        } catch  where StoreError.Kind(code: error.code) != .damaged {
        }
    }

    /// Reads a page of a lane and deletes what is bad of it.
    func load(
        uplink: Int64,
        from cursor: SpoolCursor,
        maxMessages: Int,
        maxBytes: Int
    ) throws(SQLiteFailure) -> SpoolTable.Loaded {
        let loaded = try self.spool.load(uplink: uplink, from: cursor, maxMessages: maxMessages, maxBytes: maxBytes)
        if !loaded.bad.isEmpty {
            try self.tidy { () throws(SQLiteFailure) in
                try self.spool.remove(bad: loaded.bad, uplink: uplink)
                _ = try self.spool.changedTotals()
            }
        }
        return loaded
    }

    /// Writes all batches in one transaction.
    ///
    /// A record that another batch of the same call acknowledges is never written: it has been delivered.
    ///
    /// - Returns: One result for each batch.
    /// - Throws: Then nothing of any of them is in the database; what they had to take away from the spools will be in a
    ///   later one.
    func commit(_ batches: some Collection<StoreBatch>) throws(SQLiteFailure) -> [CommittedBatch] {
        let plan = SessionPlan(batches.reduce(into: []) { $0 += $1.sessions })
        defer { for batch in batches where !batch.resent.isEmpty { self.dead.release(batch.resent) } }
        do throws(SQLiteFailure) {
            let results = try self.transaction { () throws(SQLiteFailure) in try self.apply(batches, plan) }
            self.owed.removeAll()
            return results
        } catch {
            for batch in batches { self.owed.add(batch) }
            throw error
        }
    }

    /// Does what failed batches had to take away, if there is any.
    ///
    /// - Parameter batches: Whose sessions' removals are done as well; they are the loop's to try again, but make room now.
    func settle(_ batches: some Collection<StoreBatch> = EmptyCollection()) throws(SQLiteFailure) {
        let removals = SessionPlan(batches.reduce(into: []) { $0 += $1.sessions }).removals
        guard !self.owed.isEmpty || !removals.isEmpty else { return }
        var batch = StoreBatch()
        batch.sessions = removals
        do throws(SQLiteFailure) {
            _ = try self.commit(CollectionOfOne(batch))
        } catch  where self.owed.takesSpace {
            // What needs room must not keep room from being made.
            let waiting = self.owed.takeSpaceTakers()
            defer { self.owed.add(waiting) }
            _ = try self.commit(CollectionOfOne(batch))
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

    private var heldBytes: Int { self.sessions.heldBytes + Int(self.spool.heldBytes) }

    // MARK: - Inside the transaction

    private func transaction<Result>(
        _ body: () throws(SQLiteFailure) -> Result
    ) throws(SQLiteFailure) -> Result {
        let (reserved, timeFloor) = (self.reserved, self.timeFloor)
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
            self.dead.rolledBack()
            self.reserved = reserved
            self.timeFloor = timeFloor
            throw error
        }
    }

    private func apply(
        _ batches: some Collection<StoreBatch>,
        _ plan: SessionPlan
    ) throws(SQLiteFailure) -> [CommittedBatch] {
        let acknowledged = self.owed.acknowledgements(with: batches)
        for item in acknowledged {
            try self.faults.pass(.delete)
            try self.spool.delete(uplink: item.uplink, sequences: item.sequences)
        }
        let newestAcknowledged = acknowledged.map(\.sequences.upperBound).max() ?? 0
        if self.owed.hasUplinkChanges { _ = try self.applyUplinkChanges(of: self.owed.changes, CommittedBatch()) }
        var results: [CommittedBatch] = []
        var highest: Int64 = 0
        for batch in batches {
            var result = CommittedBatch()
            for drop in batch.drops { result.dropped += try self.spool.drop(drop) }
            // By index: a copy of each record would be counted references up and down.
            for index in batch.inserts.indices {
                let sequence = batch.inserts[index].sequence
                highest = max(highest, sequence)
                if sequence <= newestAcknowledged,
                    acknowledged.contains(where: { $0.covers(sequence, of: batch.inserts[index].uplink) })
                {
                    continue
                }
                try self.faults.pass(.insert)
                try self.spool.insert(batch.inserts[index])
            }
            for change in batch.retained { try self.retained.apply(change) }
            if batch.hasUplinkChanges { result = try self.applyUplinkChanges(of: batch, result) }
            for record in batch.commandSessions {
                try self.faults.pass(.session)
                try self.commandSessions.apply(record)
            }
            for record in batch.oscore {
                try self.faults.pass(.oscore)
                try self.oscore.apply(record)
            }
            results.append(result)
        }
        if !plan.isEmpty { try self.applySessions(of: batches, plan) }
        // Also those that were never written: the loop has used them.
        for batch in batches { highest = max(highest, batch.highestSessionNumber) }
        if highest > self.reserved { try self.reserve(upTo: highest + Self.reservation) }
        let totals = try self.spool.changedTotals()
        self.peakBytes = max(self.peakBytes, self.heldBytes)
        for index in results.indices { results[index].totals = totals }
        return results
    }

    /// All that is not in every batch. Done twice it does no harm, but to dead letters.
    private func applyUplinkChanges(
        of batch: StoreBatch,
        _ result: CommittedBatch
    ) throws(SQLiteFailure) -> CommittedBatch {
        var result = result
        for letter in batch.dead {
            try self.faults.pass(.dead)
            result.deadDropped += try self.dead.insert(letter)
        }
        for id in batch.resent {
            try self.faults.pass(.dead)
            try self.dead.remove(id)
        }
        for change in batch.releases {
            try self.faults.pass(.packet)
            try self.packets.apply(change)
        }
        for change in batch.held {
            try self.faults.pass(.packet)
            try self.packets.apply(change)
        }
        if let floor = batch.timeFloor, abs(floor - self.timeFloor) >= Self.timeFloorStep {
            self.timeStatement.bind(floor, at: 1)
            try self.timeStatement.run()
            self.timeFloor = floor
        }
        return result
    }

    private func applySessions(
        of batches: some Collection<StoreBatch>,
        _ plan: SessionPlan
    ) throws(SQLiteFailure) {
        var arrived: [Int64: StoredMessage] = [:]
        for batch in batches { for message in batch.messages { arrived[message.number] = message } }
        try self.sessions.apply(plan, arrived)
    }

    private func reserve(upTo sequence: Int64) throws(SQLiteFailure) {
        self.reserveStatement.bind(sequence, at: 1)
        try self.reserveStatement.run()
        self.reserved = sequence
    }
}

extension StoreBatch.Acknowledgement {
    fileprivate func covers(_ sequence: Int64, of uplink: Int64) -> Bool {
        self.uplink == uplink && self.sequences.contains(sequence)
    }
}

extension StoreBatch {
    /// Whether there is anything of what few batches have.
    fileprivate var hasUplinkChanges: Bool {
        !self.dead.isEmpty || !self.resent.isEmpty || !self.releases.isEmpty || !self.held.isEmpty
            || self.timeFloor != nil
    }

    /// The highest number that its messages, queues and new sessions have; 0: there is none.
    fileprivate var highestSessionNumber: Int64 {
        var highest: Int64 = 0
        for message in self.messages { highest = max(highest, message.number) }
        for change in self.sessions { highest = max(highest, change.newNumber) }
        return highest
    }
}
