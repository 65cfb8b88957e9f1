import Broker
import NIOCore

/// The statements of the tables `session`, `subscription`, `held` and `will`. Begins and ends no transaction of its own.
final class SessionTable {
    private let insertStatement: PreparedStatement
    private let updateStatement: PreparedStatement
    private let subscribeStatement: PreparedStatement
    private let unsubscribeStatement: PreparedStatement
    private let holdStatement: PreparedStatement
    private let freeStatement: PreparedStatement
    private let willStatement: PreparedStatement
    private let noWillStatement: PreparedStatement
    private let deleteStatement: PreparedStatement
    private let unsubscribeAllStatement: PreparedStatement
    private let freeAllStatement: PreparedStatement

    init(on connection: OpaquePointer) throws(SQLiteFailure) {
        func prepare(_ sql: String) throws(SQLiteFailure) -> PreparedStatement {
            try PreparedStatement(sql, on: connection)
        }
        self.insertStatement = try prepare(
            """
            INSERT OR REPLACE INTO session (number, client_id, owner, expiry_interval, left_at)
            VALUES (?1, ?2, ?3, ?4, ?5)
            """
        )
        self.updateStatement = try prepare("UPDATE session SET expiry_interval = ?2, left_at = ?3 WHERE number = ?1")
        self.subscribeStatement = try prepare(
            """
            INSERT INTO subscription (session, filter, options, identifier) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (session, filter) DO UPDATE SET options = ?3, identifier = ?4
            """
        )
        self.unsubscribeStatement = try prepare("DELETE FROM subscription WHERE session = ?1 AND filter = ?2")
        self.holdStatement = try prepare(
            "INSERT INTO held (session, packet_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
        )
        self.freeStatement = try prepare("DELETE FROM held WHERE session = ?1 AND packet_id = ?2")
        self.willStatement = try prepare(
            """
            INSERT OR REPLACE INTO will (session, topic, payload, flags, properties, delay)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            """
        )
        self.noWillStatement = try prepare("DELETE FROM will WHERE session = ?1")
        self.deleteStatement = try prepare("DELETE FROM session WHERE number = ?1")
        self.unsubscribeAllStatement = try prepare("DELETE FROM subscription WHERE session = ?1")
        self.freeAllStatement = try prepare("DELETE FROM held WHERE session = ?1")
    }

    func insert(_ record: SessionRecord) throws(SQLiteFailure) {
        self.insertStatement.bind(record.number, at: 1)
        self.insertStatement.bind(copying: record.clientID, at: 2)
        self.insertStatement.bind(copying: record.owner.text, at: 3)
        self.insertStatement.bind(Int64(record.expiryInterval), at: 4)
        self.insertStatement.bind(record.leftAt, at: 5)
        try self.insertStatement.run()
    }

    func update(_ session: Int64, to update: SessionPlan.Update) throws(SQLiteFailure) {
        self.updateStatement.bind(session, at: 1)
        self.updateStatement.bind(Int64(update.expiryInterval), at: 2)
        self.updateStatement.bind(update.leftAt, at: 3)
        try self.updateStatement.run()
    }

    /// Everything of the session but its queue.
    func delete(_ session: Int64) throws(SQLiteFailure) {
        self.unsubscribeAllStatement.bind(session, at: 1)
        try self.unsubscribeAllStatement.run()
        self.freeAllStatement.bind(session, at: 1)
        try self.freeAllStatement.run()
        try self.setWill(of: session, to: nil)
        self.deleteStatement.bind(session, at: 1)
        try self.deleteStatement.run()
    }

    func subscribe(_ session: Int64, _ record: SubscriptionRecord) throws(SQLiteFailure) {
        self.subscribeStatement.bind(session, at: 1)
        self.subscribeStatement.bind(copying: record.filter, at: 2)
        self.subscribeStatement.bind(record.options, at: 3)
        self.subscribeStatement.bind(Int64(record.identifier), at: 4)
        try self.subscribeStatement.run()
    }

    func unsubscribe(_ session: Int64, filter: ByteBuffer) throws(SQLiteFailure) {
        self.unsubscribeStatement.bind(session, at: 1)
        self.unsubscribeStatement.bind(copying: filter, at: 2)
        try self.unsubscribeStatement.run()
    }

    func hold(_ session: Int64, packetID: UInt16) throws(SQLiteFailure) {
        self.holdStatement.bind(session, at: 1)
        self.holdStatement.bind(Int64(packetID), at: 2)
        try self.holdStatement.run()
    }

    /// - Parameter packetID: of any size, so that a row that nobody can have stored can go.
    func free(_ session: Int64, packetID: Int64) throws(SQLiteFailure) {
        self.freeStatement.bind(session, at: 1)
        self.freeStatement.bind(packetID, at: 2)
        try self.freeStatement.run()
    }

    func setWill(of session: Int64, to record: WillRecord?) throws(SQLiteFailure) {
        guard let record else {
            self.noWillStatement.bind(session, at: 1)
            return try self.noWillStatement.run()
        }
        self.willStatement.bind(session, at: 1)
        self.willStatement.bind(copying: record.topic, at: 2)
        self.willStatement.bind(copying: record.payload, at: 3)
        self.willStatement.bind(Int64(record.qos) | (record.retain ? WillRecord.retainFlag : 0), at: 4)
        self.willStatement.bind(copyingUnlessEmpty: record.properties, at: 5)
        self.willStatement.bind(Int64(record.delay), at: 6)
        try self.willStatement.run()
    }
}

extension SubscriptionRecord {
    private static let noLocalFlag: Int64 = 4
    private static let retainAsPublishedFlag: Int64 = 8

    /// The Subscription Options of MQTT 5.0 §3.8.3.1, without Retain Handling.
    var options: Int64 {
        Int64(self.qos) | (self.noLocal ? Self.noLocalFlag : 0)
            | (self.retainAsPublished ? Self.retainAsPublishedFlag : 0)
    }

    /// nil if no subscription can have these.
    init?(filter: ByteBuffer, options: Int64, identifier: Int64) {
        guard 0...15 ~= options, options & 3 <= 2, 0...268_435_455 ~= identifier,
            1...65_535 ~= filter.readableBytes
        else { return nil }
        self.init(
            filter: filter,
            qos: UInt8(options & 3),
            noLocal: options & Self.noLocalFlag != 0,
            retainAsPublished: options & Self.retainAsPublishedFlag != 0,
            identifier: UInt32(identifier)
        )
    }
}

extension WillRecord {
    static let retainFlag: Int64 = 4
}
