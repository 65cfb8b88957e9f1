import Broker
import NIOCore

/// The statements of table `message`: what sessions wait for, once each. Begins and ends no transaction of its own.
final class MessageTable {
    private let insertStatement: PreparedStatement
    private let deleteStatement: PreparedStatement

    init(on connection: OpaquePointer) throws(SQLiteFailure) {
        self.insertStatement = try PreparedStatement(
            """
            INSERT INTO message (number, topic, payload, qos, properties, expires_at, publisher)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            """,
            on: connection
        )
        self.deleteStatement = try PreparedStatement("DELETE FROM message WHERE number = ?1", on: connection)
    }

    func insert(_ message: StoredMessage) throws(SQLiteFailure) {
        self.insertStatement.bind(message.number, at: 1)
        self.insertStatement.bind(copying: message.topic, at: 2)
        self.insertStatement.bind(Int64(message.qos), at: 4)
        self.insertStatement.bind(copyingUnlessEmpty: message.properties, at: 5)
        self.insertStatement.bind(message.expiresAt, at: 6)
        self.insertStatement.bind(copying: message.publisher, at: 7)
        let code = message.payload.withUnsafeReadableBytes { payload in
            self.insertStatement.bind(blob: payload, at: 3)
            return self.insertStatement.runForCode()
        }
        try self.insertStatement.check(code)
    }

    func delete(_ number: Int64) throws(SQLiteFailure) {
        self.deleteStatement.bind(number, at: 1)
        try self.deleteStatement.run()
    }

    /// The number and size of each, in ascending order.
    static func sizes(
        on connection: OpaquePointer,
        _ body: (_ number: Int64, _ bytes: Int) -> Void
    ) throws(SQLiteFailure) {
        let statement = try PreparedStatement(
            "SELECT number, length(topic) + length(payload) FROM message ORDER BY number",
            on: connection
        )
        while try statement.step() { body(statement.integer(0), Int(statement.integer(1))) }
    }

    /// All of them, in ascending order; nil for one that nobody can have stored.
    static func all(
        on connection: OpaquePointer,
        _ body: (_ number: Int64, StoredMessage?) -> Void
    ) throws(SQLiteFailure) {
        let statement = try PreparedStatement(
            "SELECT number, topic, payload, qos, properties, expires_at, publisher FROM message ORDER BY number",
            on: connection
        )
        while try statement.step() {
            let number = statement.integer(0)
            guard SpoolKey.sequences.contains(number), let qos = UInt8(exactly: statement.integer(3)), qos <= 2,
                StoredTime.isPlausible(statement.optionalInteger(5))
            else {
                body(number, nil)
                continue
            }
            let message = StoredMessage(
                number: number,
                topic: statement.buffer(1),
                payload: statement.buffer(2),
                qos: qos,
                properties: statement.buffer(4),
                expiresAt: statement.optionalInteger(5),
                publisher: statement.text(6)
            )
            body(number, message)
        }
    }
}

extension StoredMessage {
    /// What it counts for: topic and payload.
    var countedBytes: Int { self.topic.readableBytes + self.payload.readableBytes }
}
