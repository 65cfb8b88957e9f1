import Devices
import GRDBSQLite
import MQTTCodec
import NIOCore

/// The statements of table `spool`. Begins and ends no transaction of its own.
///
/// Every row carries how many messages and bytes its uplink had ever stored before it (`messages_before`,
/// `bytes_before`). The difference between the last row and the first is the size of the spool: known at once, where
/// counting would read a gigabyte from an SD card at every start, and where a counter in a row of its own would be a
/// second page to write in every commit.
final class SpoolTable {
    /// Where an uplink's counters stand after its last record.
    private struct Tail {
        var messages: Int64 = 0
        var bytes: Int64 = 0
        var sequence: Int64 = 0
    }

    private let insertStatement: PreparedStatement
    private let deleteStatement: PreparedStatement
    private let firstStatement: PreparedStatement
    private let frontStatement: PreparedStatement
    private let loadStatement: PreparedStatement
    private var tails: [Int64: Tail] = [:]
    /// As ``tails`` were before the current transaction.
    private var committedTails: [Int64: Tail] = [:]

    init(on connection: OpaquePointer) throws(SQLiteFailure) {
        func prepare(_ sql: String) throws(SQLiteFailure) -> PreparedStatement {
            try PreparedStatement(sql, on: connection)
        }
        self.insertStatement = try prepare(
            """
            INSERT INTO spool (key, flags, stored_at, messages_before, bytes_before, topic, device, payload)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            """
        )
        self.deleteStatement = try prepare("DELETE FROM spool WHERE key BETWEEN ?1 AND ?2")
        self.firstStatement = try prepare(
            """
            SELECT key, stored_at, messages_before, bytes_before FROM spool
            WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT 1
            """
        )
        self.frontStatement = try prepare(
            """
            SELECT key, stored_at, length(topic) + length(payload), device FROM spool
            WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3
            """
        )
        self.loadStatement = try prepare(
            """
            SELECT key, flags, stored_at, topic, device, payload FROM spool
            WHERE key > ?1 AND key <= ?2 ORDER BY key
            """
        )
        let lastStatement = try prepare(
            """
            SELECT uplink.id, key, messages_before, bytes_before + length(topic) + length(payload)
            FROM uplink JOIN spool
            WHERE key = (SELECT max(key) FROM spool WHERE key BETWEEN uplink.id << 48 AND uplink.id << 48 | ?1)
            """
        )
        lastStatement.bind(SpoolKey.sequences.upperBound, at: 1)
        while try lastStatement.step() {
            self.tails[lastStatement.integer(0)] = Tail(
                messages: lastStatement.integer(2) + 1,
                bytes: lastStatement.integer(3),
                sequence: SpoolKey.sequence(of: lastStatement.integer(1))
            )
        }
        self.committedTails = self.tails
    }

    /// The highest sequence there is a record of; 0: there is none.
    var highestSequence: Int64 { self.tails.values.map(\.sequence).max() ?? 0 }

    /// To be called when the transaction has been committed.
    func committed() { self.committedTails = self.tails }

    /// To be called when the transaction has been rolled back.
    func rolledBack() { self.tails = self.committedTails }

    func insert(_ record: SpoolRecord) throws(SQLiteFailure) {
        var tail = self.tails[record.uplink] ?? Tail()
        self.insertStatement.bind(SpoolKey.make(uplink: record.uplink, sequence: record.sequence), at: 1)
        self.insertStatement.bind(Int64(record.qos.rawValue) | (record.retain ? Self.retainFlag : 0), at: 2)
        self.insertStatement.bind(record.storedAt, at: 3)
        self.insertStatement.bind(tail.messages, at: 4)
        self.insertStatement.bind(tail.bytes, at: 5)
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
        tail.messages += 1
        tail.bytes += Int64(record.countedBytes)
        tail.sequence = max(tail.sequence, record.sequence)
        self.tails[record.uplink] = tail
    }

    func delete(uplink: Int64, sequences: ClosedRange<Int64>) throws(SQLiteFailure) {
        guard let keys = SpoolKey.range(uplink: uplink, sequences: sequences) else { return }
        self.deleteStatement.bind(keys.lowerBound, at: 1)
        self.deleteStatement.bind(keys.upperBound, at: 2)
        try self.deleteStatement.run()
    }

    /// Deletes from the front and says what went, one element for each device.
    func drop(_ drop: StoreBatch.Drop) throws(SQLiteFailure) -> [DroppedRecords] {
        let keys = SpoolKey.all(uplink: drop.uplink)
        self.frontStatement.bind(keys.lowerBound, at: 1)
        self.frontStatement.bind(keys.upperBound, at: 2)
        let youngest: Int64
        switch drop.extent {
        case .oldest(let count):
            self.frontStatement.bind(Int64(max(0, count)), at: 3)
            youngest = .max
        case .storedBefore(let time):
            self.frontStatement.bind(-1, at: 3)
            youngest = time
        }
        var dropped: [String: DroppedRecords] = [:]
        var last: Int64?
        while try self.frontStatement.step(), Self.time(self.frontStatement.integer(1)) < youngest {
            let key = self.frontStatement.integer(0)
            let device = self.frontStatement.text(3) ?? ""
            var entry =
                dropped[device]
                ?? DroppedRecords(uplink: drop.uplink, device: try? DeviceID(device), messages: 0, bytes: 0)
            entry.messages += 1
            entry.bytes += Int(self.frontStatement.integer(2))
            entry.lastSequence = SpoolKey.sequence(of: key)
            dropped[device] = entry
            last = key
        }
        self.frontStatement.reset()
        guard let last else { return [] }
        self.deleteStatement.bind(keys.lowerBound, at: 1)
        self.deleteStatement.bind(last, at: 2)
        try self.deleteStatement.run()
        return dropped.sorted { $0.key < $1.key }.map(\.value)
    }

    /// The size of an uplink's spool as this transaction sees it.
    func totals(uplink: Int64) throws(SQLiteFailure) -> SpoolTotals {
        let keys = SpoolKey.all(uplink: uplink)
        self.firstStatement.bind(keys.lowerBound, at: 1)
        self.firstStatement.bind(keys.upperBound, at: 2)
        defer { self.firstStatement.reset() }
        guard let tail = self.tails[uplink], try self.firstStatement.step() else {
            return SpoolTotals(uplink: uplink, messages: 0, bytes: 0)
        }
        let first = SpoolKey.sequence(of: self.firstStatement.integer(0))
        return SpoolTotals(
            uplink: uplink,
            messages: Int(tail.messages - self.firstStatement.integer(2)),
            bytes: Int(tail.bytes - self.firstStatement.integer(3)),
            oldestStoredAt: Self.time(self.firstStatement.integer(1)),
            sequences: first...max(first, tail.sequence)
        )
    }

    /// The size of every spool that has ever held a record since it was opened or had one then.
    func totals() throws(SQLiteFailure) -> [SpoolTotals] {
        var all: [SpoolTotals] = []
        for uplink in self.tails.keys.sorted() { all.append(try self.totals(uplink: uplink)) }
        return all
    }

    /// Reads the records behind `sequence`, oldest first: at most `maxMessages`, and after the first of them no more
    /// than `maxBytes` of topics and payloads.
    func load(
        uplink: Int64,
        after sequence: Int64,
        maxMessages: Int,
        maxBytes: Int
    ) throws(SQLiteFailure) -> SpoolPage {
        let keys = SpoolKey.all(uplink: uplink)
        let start = max(0, min(sequence, SpoolKey.sequences.upperBound))
        self.loadStatement.bind(keys.lowerBound - SpoolKey.sequences.lowerBound + start, at: 1)
        self.loadStatement.bind(keys.upperBound, at: 2)
        defer { self.loadStatement.reset() }

        // Slices can be taken only when the buffer grows no more, so the records wait as their sizes.
        var rows: [LoadedRow] = []
        var bytes = ByteBuffer()
        var isLast = true
        while try self.loadStatement.step() {
            let topic = self.loadStatement.bytes(3)
            let payload = self.loadStatement.bytes(5)
            let isFull = rows.count >= maxMessages || bytes.readableBytes + topic.count + payload.count > maxBytes
            if isFull && !rows.isEmpty {
                isLast = false
                break
            }
            bytes.writeBytes(topic)
            bytes.writeBytes(payload)
            rows.append(
                LoadedRow(
                    key: self.loadStatement.integer(0),
                    flags: self.loadStatement.integer(1),
                    storedAt: self.loadStatement.integer(2),
                    topicBytes: topic.count,
                    payloadBytes: payload.count,
                    device: self.loadStatement.text(4)
                )
            )
        }
        let records = rows.compactMap { row -> SpoolRecord? in
            guard let topic = bytes.readSlice(length: row.topicBytes),
                let payload = bytes.readSlice(length: row.payloadBytes)
            else { return nil }
            return SpoolRecord(
                sequence: SpoolKey.sequence(of: row.key),
                uplink: uplink,
                topic: topic,
                payload: payload,
                qos: QoS(rawValue: UInt8(row.flags & 3)) ?? .atLeastOnce,
                retain: row.flags & Self.retainFlag != 0,
                device: row.device.flatMap { try? DeviceID($0) },
                storedAt: Self.time(row.storedAt)
            )
        }
        return SpoolPage(records: records, isLast: isLast)
    }

    /// A record is worth more than its time: one that nobody can have stored counts as not known, which is never too old.
    private static func time(_ storedAt: Int64) -> Int64 {
        StoredTime.range.contains(storedAt) ? storedAt : StoredTime.range.upperBound
    }

    /// A row whose bytes are in the page's buffer already.
    private struct LoadedRow {
        var key: Int64
        var flags: Int64
        var storedAt: Int64
        var topicBytes: Int
        var payloadBytes: Int
        var device: String?
    }

    /// In column `flags`, above the two bits of the QoS.
    private static let retainFlag: Int64 = 4
}
