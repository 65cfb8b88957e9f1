import Devices
import GRDBSQLite
import MQTTCodec
import NIOCore

/// The statements of table `dead` that the gateway's thread uses. Begins and ends no transaction of its own.
final class DeadTable {
    private let insertStatement: PreparedStatement
    private let deleteStatement: PreparedStatement
    private let lettersStatement: PreparedStatement
    private let versionStatement: PreparedStatement
    private let countStatement: PreparedStatement
    private let resendStatement: PreparedStatement
    private let connection: OpaquePointer
    private let options: StoreOptions
    /// Whose letters there are, as long as no other process has changed the database since.
    private var held: (version: Int64, shares: DeadShares)?
    /// Letters that the loop has been given to be sent again, until they are gone or their batch has failed.
    private var taken: Set<Int64> = []

    init(on connection: OpaquePointer, options: StoreOptions) throws(SQLiteFailure) {
        func prepare(_ sql: String) throws(SQLiteFailure) -> PreparedStatement {
            try PreparedStatement(sql, on: connection)
        }
        self.connection = connection
        self.options = options
        self.insertStatement = try prepare(
            """
            INSERT INTO dead (uplink, sequence, flags, stored_at, expires_at, died_at, reason, code, resend, detail, device,
            topic, properties, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10, ?11, ?12, ?13)
            """
        )
        self.deleteStatement = try prepare("DELETE FROM dead WHERE id = ?1")
        self.lettersStatement = try prepare("SELECT id, device, \(Self.size) FROM dead ORDER BY id")
        self.versionStatement = try prepare("PRAGMA data_version")
        self.countStatement = try prepare("SELECT uplink, count(*), sum(resend) FROM dead GROUP BY uplink")
        self.resendStatement = try prepare(
            "SELECT \(DeadRow.columns) FROM dead WHERE resend = 1 ORDER BY id"
        )
    }

    private static let size = "(length(topic) + length(payload) + ifnull(length(properties), 0))"

    /// To be called when the transaction has been rolled back.
    func rolledBack() {
        self.held = nil
    }

    // MARK: - Inside a transaction

    /// Keeps the letter, and lets others go if there are too many: the oldest of the device that has most.
    ///
    /// - Returns: How many went; the letter itself if it is over the limit alone.
    func insert(_ letter: DeadLetter) throws(SQLiteFailure) -> Int {
        let bytes = letter.record.countedBytes
        guard bytes <= self.options.maxDeadBytes, self.options.maxDeadLetters > 0 else { return 1 }
        try self.lookAtHeld()
        var dropped = 0
        while let measure = self.excess(with: bytes), let id = self.held?.shares.takeOldest(ofMost: measure) {
            try self.delete(id)
            dropped += 1
        }
        try self.write(letter)
        let id = sqlite3_last_insert_rowid(self.connection)
        self.held?.shares.append(id, bytes: bytes, of: letter.record.device?.text)
        return dropped
    }

    /// What there is too much of for one more letter of this size.
    private func excess(with bytes: Int) -> DeadShares.Measure? {
        guard let shares = self.held?.shares else { return nil }
        if shares.messages >= self.options.maxDeadLetters { return .messages }
        return shares.bytes + bytes > self.options.maxDeadBytes ? .bytes : nil
    }

    /// Deletes a letter that is in the spool again.
    func remove(_ id: Int64) throws(SQLiteFailure) {
        try self.delete(id)
        self.held = nil
    }

    private func delete(_ id: Int64) throws(SQLiteFailure) {
        self.deleteStatement.bind(id, at: 1)
        try self.deleteStatement.run()
    }

    private func write(_ letter: DeadLetter) throws(SQLiteFailure) {
        let record = letter.record
        self.insertStatement.bind(record.uplink, at: 1)
        self.insertStatement.bind(record.sequence, at: 2)
        self.insertStatement.bind(SpoolFlags(record).rawValue, at: 3)
        self.insertStatement.bind(record.storedAt, at: 4)
        self.insertStatement.bind(record.expiresAt, at: 5)
        self.insertStatement.bind(letter.diedAt, at: 6)
        self.insertStatement.bind(Int64(letter.reason.rawValue), at: 7)
        self.insertStatement.bind(Int64(letter.code), at: 8)
        self.insertStatement.bind(copying: letter.detail, at: 9)
        self.insertStatement.bind(copying: record.device?.text, at: 10)
        self.insertStatement.bind(copying: record.topic, at: 11)
        self.insertStatement.bind(copyingUnlessEmpty: record.properties, at: 12)
        self.insertStatement.bind(copying: record.payload, at: 13)
        try self.insertStatement.run()
    }

    /// Reads whose letters there are, unless it is known.
    private func lookAtHeld() throws(SQLiteFailure) {
        let version = try self.version()
        if let held = self.held, held.version == version { return }
        var shares = DeadShares()
        defer { self.lettersStatement.reset() }
        while try self.lettersStatement.step() {
            let (id, bytes) = (self.lettersStatement.integer(0), Int(self.lettersStatement.integer(2)))
            shares.append(id, bytes: bytes, of: self.lettersStatement.text(1))
        }
        self.held = (version, shares)
    }

    /// SQLite's number for commits of other connections.
    private func version() throws(SQLiteFailure) -> Int64 {
        defer { self.versionStatement.reset() }
        return try self.versionStatement.step() ? self.versionStatement.integer(0) : 0
    }

    // MARK: - Sending again

    /// Letters that people want sent again, oldest first, each given once: until ``release(_:)``, or the next start. After the
    /// first no more than `maxBytes`.
    func takeResends(limit: Int, maxBytes: Int) throws(SQLiteFailure) -> [StoredDeadLetter] {
        defer { self.resendStatement.reset() }
        var letters: [StoredDeadLetter] = []
        var bytes = 0
        while letters.count < limit, try self.resendStatement.step() {
            guard !self.taken.contains(self.resendStatement.integer(0)),
                let letter = DeadRow.letter(self.resendStatement)
            else { continue }
            bytes += letter.letter.record.countedBytes
            if bytes > maxBytes, !letters.isEmpty { break }
            letters.append(letter)
        }
        self.taken.formUnion(letters.map(\.id))
        return letters
    }

    /// The batch that had these is done, or has failed and they may be taken again.
    func release(_ ids: some Sequence<Int64>) {
        self.taken.subtract(ids)
    }

    func counts() throws(SQLiteFailure) -> DeadLetterCounts {
        var counts = DeadLetterCounts()
        defer { self.countStatement.reset() }
        while try self.countStatement.step() {
            counts.byUplink[self.countStatement.integer(0)] = Int(self.countStatement.integer(1))
            counts.toBeResent += Int(self.countStatement.integer(2))
        }
        return counts
    }
}
