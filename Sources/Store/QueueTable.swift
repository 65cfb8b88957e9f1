import Broker
import NIOCore

/// The statements of table `queue`: which session waits for which message. Begins and ends no transaction of its own.
final class QueueTable {
    /// A row, by its key, and the message that it needs.
    struct Entry {
        var place: SessionPlan.Place
        var message: Int64
    }

    private let insertStatement: PreparedStatement
    private let packetIDStatement: PreparedStatement
    private let receivedStatement: PreparedStatement
    private let deleteStatement: PreparedStatement
    private let entriesStatement: PreparedStatement

    init(on connection: OpaquePointer) throws(SQLiteFailure) {
        func prepare(_ sql: String) throws(SQLiteFailure) -> PreparedStatement {
            try PreparedStatement(sql, on: connection)
        }
        // Positions are never used twice. A row that is there all the same is left alone: failing would fail the others'.
        self.insertStatement = try prepare(
            """
            INSERT INTO queue (position, session, message, flags, packet_id, subscription_ids)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING
            """
        )
        self.packetIDStatement = try prepare("UPDATE queue SET packet_id = ?3 WHERE position = ?1 AND session = ?2")
        self.receivedStatement = try prepare(
            "UPDATE queue SET flags = flags | \(Self.receivedFlag) WHERE position = ?1 AND session = ?2"
        )
        self.deleteStatement = try prepare("DELETE FROM queue WHERE position = ?1 AND session = ?2")
        self.entriesStatement = try prepare("SELECT position, session, message FROM queue WHERE position >= ?1")
    }

    /// False if a row was there.
    func insert(_ record: QueuedMessageRecord) throws(SQLiteFailure) -> Bool {
        self.insertStatement.bind(record.order, at: 1)
        self.insertStatement.bind(record.session, at: 2)
        self.insertStatement.bind(record.message, at: 3)
        self.insertStatement.bind(Self.flags(of: record), at: 4)
        self.insertStatement.bind(Int64(record.packetID), at: 5)
        self.insertStatement.bind(copyingUnlessEmpty: Self.encode(record.subscriptionIdentifiers), at: 6)
        try self.insertStatement.run()
        return self.insertStatement.changes > 0
    }

    func update(_ place: SessionPlan.Place, to progress: SessionPlan.Progress) throws(SQLiteFailure) {
        if let packetID = progress.packetID {
            self.packetIDStatement.bind(place.order, at: 1)
            self.packetIDStatement.bind(place.session, at: 2)
            self.packetIDStatement.bind(Int64(packetID), at: 3)
            try self.packetIDStatement.run()
        }
        if progress.isReceived {
            self.receivedStatement.bind(place.order, at: 1)
            self.receivedStatement.bind(place.session, at: 2)
            try self.receivedStatement.run()
        }
    }

    /// False if no row was there.
    func delete(_ place: SessionPlan.Place) throws(SQLiteFailure) -> Bool {
        self.deleteStatement.bind(place.order, at: 1)
        self.deleteStatement.bind(place.session, at: 2)
        try self.deleteStatement.run()
        return self.deleteStatement.changes > 0
    }

    /// Every row from a position on, in the order of positions.
    func entries(from position: Int64, _ body: (Entry) -> Void) throws(SQLiteFailure) {
        self.entriesStatement.bind(position, at: 1)
        defer { self.entriesStatement.reset() }
        while try self.entriesStatement.step() {
            let place = SessionPlan.Place(
                order: self.entriesStatement.integer(0),
                session: self.entriesStatement.integer(1)
            )
            body(Entry(place: place, message: self.entriesStatement.integer(2)))
        }
    }

    /// All rows, in the order of positions; nil for one that nobody can have stored.
    static func all(
        on connection: OpaquePointer,
        _ body: (Entry, QueuedMessageRecord?) -> Void
    ) throws(SQLiteFailure) {
        let statement = try PreparedStatement(
            """
            SELECT position, session, message, flags, packet_id, subscription_ids FROM queue
            ORDER BY position, session
            """,
            on: connection
        )
        while try statement.step() {
            let place = SessionPlan.Place(order: statement.integer(0), session: statement.integer(1))
            let entry = Entry(place: place, message: statement.integer(2))
            let flags = statement.integer(3)
            guard SpoolKey.sequences.contains(place.order), 1...2 ~= flags & 3, 0...15 ~= flags,
                let packetID = UInt16(exactly: statement.integer(4)), let identifiers = Self.decode(statement.bytes(5))
            else {
                body(entry, nil)
                continue
            }
            let record = QueuedMessageRecord(
                session: place.session,
                order: place.order,
                message: entry.message,
                qos: UInt8(flags & 3),
                retain: flags & Self.retainFlag != 0,
                packetID: packetID,
                isReceived: flags & Self.receivedFlag != 0,
                subscriptionIdentifiers: identifiers
            )
            body(entry, record)
        }
    }

    // MARK: - Columns

    private static let retainFlag: Int64 = 4
    private static let receivedFlag: Int64 = 8

    private static func flags(of record: QueuedMessageRecord) -> Int64 {
        Int64(record.qos) | (record.retain ? Self.retainFlag : 0) | (record.isReceived ? Self.receivedFlag : 0)
    }

    /// Seven bits a byte, the lowest first, the highest bit set in all but the last: as Variable Byte Integers.
    static func encode(_ identifiers: [UInt32]) -> ByteBuffer {
        var buffer = ByteBuffer()
        for identifier in identifiers {
            var rest = identifier
            while rest >= 0x80 {
                buffer.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            buffer.writeInteger(UInt8(truncatingIfNeeded: rest))
        }
        return buffer
    }

    /// nil if the bytes are no such numbers, or not of the range of subscription identifiers.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> [UInt32]? {
        var identifiers: [UInt32] = []
        var value: UInt32 = 0
        var shift: UInt32 = 0
        for byte in bytes {
            guard shift < 28 else { return nil }
            value |= UInt32(byte & 0x7F) << shift
            if byte & 0x80 != 0 {
                shift += 7
            } else {
                guard value > 0 else { return nil }
                identifiers.append(value)
                (value, shift) = (0, 0)
            }
        }
        return shift == 0 ? identifiers : nil
    }
}
