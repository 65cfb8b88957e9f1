import Devices
import GRDBSQLite
import MQTTCodec
import NIOCore

/// The statements of table `spool`. Begins and ends no transaction of its own.
///
/// The sizes of the lanes are known at once (see ``LaneCount``), where counting would read a gigabyte from an SD card at
/// every start, and where a counter in a row of its own would be a second page to write in every commit.
final class SpoolTable {
    private let insertStatement: PreparedStatement
    private let deleteStatement: PreparedStatement
    let firstStatement: PreparedStatement
    let lastStatement: PreparedStatement
    private let sumStatement: PreparedStatement
    let oldestStatement: PreparedStatement
    let frontStatement: PreparedStatement
    let expiredStatement: PreparedStatement
    private let expiryStatement: PreparedStatement
    private let noExpiryStatement: PreparedStatement
    let forwardStatement: PreparedStatement
    let backwardStatement: PreparedStatement
    let markStatement: PreparedStatement
    var lanes: [LaneCount] = []
    private var indices: [Int64: Int] = [:]
    private var lastUsed = (uplink: Int64(0), index: 0)
    /// Lanes that the current transaction has changed, as they were.
    var noted: [(index: Int, lane: LaneCount)] = []
    /// Topics, payloads and properties of all lanes.
    var heldBytes: Int64 = 0
    let uncountedHoles: Int64
    /// Lanes that had to be counted when the database was opened.
    var countedLanes: [Int64] = []

    init(on connection: OpaquePointer, uncountedHoles: Int) throws(SQLiteFailure) {
        func prepare(_ sql: String) throws(SQLiteFailure) -> PreparedStatement {
            try PreparedStatement(sql, on: connection)
        }
        self.uncountedHoles = Int64(uncountedHoles)
        self.insertStatement = try prepare(
            """
            INSERT INTO spool
            (key, flags, stored_at, messages_before, bytes_before, topic, device, payload, properties, expires_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
            """
        )
        self.deleteStatement = try prepare("DELETE FROM spool WHERE key BETWEEN ?1 AND ?2")
        self.firstStatement = try prepare(
            """
            SELECT key, stored_at, messages_before, bytes_before, flags FROM spool
            WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT 1
            """
        )
        self.lastStatement = try prepare(
            """
            SELECT key, messages_before, bytes_before + \(Self.size) FROM spool
            WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC LIMIT 1
            """
        )
        self.sumStatement = try prepare(
            "SELECT count(*), ifnull(sum(\(Self.size)), 0) FROM spool WHERE key BETWEEN ?1 AND ?2"
        )
        self.oldestStatement = try prepare(
            """
            SELECT key, stored_at FROM spool
            WHERE key BETWEEN ?1 AND ?2 AND flags & 8 = 0 AND stored_at BETWEEN 0 AND ?3 ORDER BY key LIMIT 1
            """
        )
        self.frontStatement = try prepare(
            """
            SELECT key, stored_at, \(Self.size), device, flags FROM spool
            WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3
            """
        )
        self.expiredStatement = try prepare(
            """
            SELECT spool.key, stored_at, \(Self.size), device, flags FROM expiry CROSS JOIN spool
            WHERE expiry.expires_at < ?4 AND expiry.key BETWEEN ?1 AND ?2 AND spool.key = expiry.key
            ORDER BY expiry.expires_at LIMIT ?3
            """
        )
        self.expiryStatement = try prepare(
            "INSERT INTO expiry (expires_at, key) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
        )
        self.noExpiryStatement = try prepare(
            """
            DELETE FROM expiry WHERE (expires_at, key) IN
            (SELECT expires_at, key FROM spool WHERE key BETWEEN ?1 AND ?2 AND expires_at IS NOT NULL)
            """
        )
        let columns = "key, flags, stored_at, topic, device, payload, properties, expires_at"
        self.forwardStatement = try prepare(
            "SELECT \(columns) FROM spool WHERE key BETWEEN ?1 AND ?2 ORDER BY key"
        )
        self.backwardStatement = try prepare(
            "SELECT \(columns) FROM spool WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC"
        )
        self.markStatement = try prepare("UPDATE uplink SET sparse_through = ?2 WHERE id = ?1")
        try self.readLanes(on: connection)
    }

    /// What a row counts for.
    private static let size = "(length(topic) + length(payload) + ifnull(length(properties), 0))"

    /// Makes the lane one of those that the transaction has changed.
    func touch(uplink: Int64) { self.note(self.index(of: uplink)) }

    func index(of uplink: Int64) -> Int {
        if self.lastUsed.uplink == uplink { return self.lastUsed.index }
        let index: Int
        if let known = self.indices[uplink] {
            index = known
        } else {
            index = self.lanes.count
            self.lanes.append(LaneCount(uplink: uplink))
            self.indices[uplink] = index
        }
        self.lastUsed = (uplink, index)
        return index
    }

    /// To be called before a lane is changed.
    func note(_ index: Int) {
        if self.lanes[index].isNoted { return }
        self.noted.append((index, self.lanes[index]))
        self.lanes[index].isNoted = true
    }

    /// The highest sequence there is a record of; 0: there is none.
    var highestSequence: Int64 { self.lanes.map(\.tail.sequence).max() ?? 0 }

    /// To be called when the transaction has been committed.
    func committed() {
        for item in self.noted { self.lanes[item.index].isNoted = false }
        self.noted.removeAll(keepingCapacity: true)
    }

    /// To be called when the transaction has been rolled back.
    func rolledBack() {
        for item in self.noted {
            self.heldBytes += item.lane.bytes - self.lanes[item.index].bytes
            self.lanes[item.index] = item.lane
        }
        self.noted.removeAll(keepingCapacity: true)
    }

    // MARK: - Inside a transaction

    func insert(_ record: SpoolRecord) throws(SQLiteFailure) {
        let index = self.index(of: record.uplink)
        self.note(index)
        self.insertStatement.bind(SpoolKey.make(uplink: record.uplink, sequence: record.sequence), at: 1)
        self.insertStatement.bind(SpoolFlags(record).rawValue, at: 2)
        self.insertStatement.bind(record.storedAt, at: 3)
        let tail = self.lanes[index].tail
        self.insertStatement.bind(tail.messages, at: 4)
        self.insertStatement.bind(tail.bytes, at: 5)
        self.insertStatement.bind(copyingUnlessEmpty: record.properties, at: 9)
        self.insertStatement.bind(record.expiresAt, at: 10)
        let code = record.topic.withUnsafeReadableBytes { topic in
            record.payload.withUnsafeReadableBytes { payload in
                self.insertStatement.bind(blob: topic, at: 6)
                self.insertStatement.bind(blob: payload, at: 8)
                guard var device = record.device?.text else {
                    self.insertStatement.bind(text: nil, at: 7)
                    return self.insertStatement.runForCode()
                }
                return device.withUTF8 { device in
                    self.insertStatement.bind(text: device, at: 7)
                    return self.insertStatement.runForCode()
                }
            }
        }
        try self.insertStatement.check(code)
        if let expiresAt = record.expiresAt, !record.isClockless {
            self.expiryStatement.bind(expiresAt, at: 1)
            self.expiryStatement.bind(SpoolKey.make(uplink: record.uplink, sequence: record.sequence), at: 2)
            try self.expiryStatement.run()
            self.lanes[index].mayExpire = true
        }
        let bytes = Int64(record.countedBytes)
        self.lanes[index].insert(record, bytes: bytes)
        self.heldBytes += bytes
    }

    /// Deletes what is there of these sequences.
    func delete(uplink: Int64, sequences: ClosedRange<Int64>) throws(SQLiteFailure) {
        guard let keys = SpoolKey.range(uplink: uplink, sequences: sequences) else { return }
        let index = self.index(of: uplink)
        self.note(index)
        if !self.lanes[index].isFirstKnown { try self.settle(index) }
        let lane = self.lanes[index]
        guard let first = lane.first, sequences.upperBound >= first.sequence else { return }
        self.lanes[index].forget(oldestIn: sequences)
        if sequences.lowerBound <= first.sequence, sequences.upperBound >= lane.tail.sequence {
            try self.delete(keys, index)
            self.heldBytes -= lane.bytes
            self.lanes[index].removeAll()
        } else if sequences.lowerBound <= first.sequence, !lane.hasHoles {
            try self.delete(keys, index)
            self.lanes[index].isFirstKnown = false
        } else {
            try self.remove(keys, index, try self.sum(keys))
        }
    }

    private func delete(_ keys: ClosedRange<Int64>, _ index: Int) throws(SQLiteFailure) {
        if self.lanes[index].mayExpire {
            self.noExpiryStatement.bind(keys.lowerBound, at: 1)
            self.noExpiryStatement.bind(keys.upperBound, at: 2)
            try self.noExpiryStatement.run()
        }
        self.deleteStatement.bind(keys.lowerBound, at: 1)
        self.deleteStatement.bind(keys.upperBound, at: 2)
        try self.deleteStatement.run()
    }

    /// Number and counted size of records.
    typealias Sum = (messages: Int64, bytes: Int64)

    func sum(_ keys: ClosedRange<Int64>) throws(SQLiteFailure) -> Sum {
        self.sumStatement.bind(keys.lowerBound, at: 1)
        self.sumStatement.bind(keys.upperBound, at: 2)
        defer { self.sumStatement.reset() }
        return try self.sumStatement.step() ? (self.sumStatement.integer(0), self.sumStatement.integer(1)) : (0, 0)
    }

    /// Deletes records that have been added up, wherever they are.
    func remove(uplink: Int64, keys: ClosedRange<Int64>, _ sum: Sum) throws(SQLiteFailure) {
        let index = self.index(of: uplink)
        self.note(index)
        if !self.lanes[index].isFirstKnown { try self.settle(index) }
        self.lanes[index].forget(
            oldestIn: SpoolKey.sequence(of: keys.lowerBound)...SpoolKey.sequence(of: keys.upperBound)
        )
        try self.remove(keys, index, sum)
    }

    private func remove(_ keys: ClosedRange<Int64>, _ index: Int, _ sum: Sum) throws(SQLiteFailure) {
        guard sum.messages > 0 else { return }
        try self.delete(keys, index)
        self.lanes[index].remove(messages: sum.messages, bytes: sum.bytes)
        self.heldBytes -= sum.bytes
        if let first = self.lanes[index].first, SpoolKey.sequence(of: keys.lowerBound) <= first.sequence {
            self.lanes[index].isFirstKnown = false
        }
        if SpoolKey.sequence(of: keys.upperBound) >= self.lanes[index].tail.sequence { try self.readTail(index) }
    }
}
