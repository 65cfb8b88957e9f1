import Broker
import GRDB
import NIOCore

@testable import Store

extension SessionRecord {
    static func sample(
        _ number: Int64,
        client: String? = nil,
        owner: SessionOwner = .guest,
        expiryInterval: UInt32 = 3_600,
        leftAt: Int64? = nil
    ) -> SessionRecord {
        SessionRecord(
            number: number,
            clientID: ByteBuffer(string: client ?? "client-\(number)"),
            owner: owner,
            expiryInterval: expiryInterval,
            leftAt: leftAt
        )
    }
}

extension StoredMessage {
    /// A message whose topic and payload tell its number.
    static func sample(_ number: Int64, bytes: Int = 0) -> StoredMessage {
        var payload = ByteBuffer(string: "payload \(number)")
        payload.writeRepeatingByte(UInt8(ascii: "x"), count: bytes)
        return StoredMessage(
            number: number,
            topic: ByteBuffer(string: "topics/\(number)"),
            payload: payload,
            qos: 1,
            properties: ByteBuffer(),
            expiresAt: nil,
            publisher: nil
        )
    }
}

extension QueuedMessageRecord {
    static func sample(session: Int64, order: Int64, message: Int64) -> QueuedMessageRecord {
        QueuedMessageRecord(session: session, order: order, message: message, qos: 1, retain: false)
    }
}

extension SubscriptionRecord {
    static func sample(_ filter: String, qos: UInt8 = 1) -> SubscriptionRecord {
        SubscriptionRecord(
            filter: ByteBuffer(string: filter),
            qos: qos,
            noLocal: false,
            retainAsPublished: false,
            identifier: 0
        )
    }
}

extension WillRecord {
    static func sample(_ topic: String, delay: UInt32 = 0) -> WillRecord {
        WillRecord(
            topic: ByteBuffer(string: topic),
            payload: ByteBuffer(string: "gone"),
            qos: 1,
            retain: true,
            properties: ByteBuffer(),
            delay: delay
        )
    }
}

extension SessionChange {
    static func enqueue(_ session: Int64, _ order: Int64, _ message: Int64) -> SessionChange {
        .enqueue(.sample(session: session, order: order, message: message))
    }

    static func dequeue(_ session: Int64, _ order: Int64, _ message: Int64) -> SessionChange {
        .dequeue(session: session, order: order, message: message)
    }
}

extension StoreBatch {
    static func changing(_ sessions: [SessionChange], messages: [StoredMessage] = []) -> StoreBatch {
        var batch = StoreBatch()
        batch.sessions = sessions
        batch.messages = messages
        return batch
    }
}

extension TemporaryState {
    /// The first column of each row, as another process sees it.
    func numbers(_ sql: String) throws -> [Int64] {
        let database = try DatabaseQueue(path: self.database)
        defer { try? database.close() }
        return try database.read { db in try Int64.fetchAll(db, sql: sql) }
    }

    func execute(_ sql: String) throws {
        let database = try DatabaseQueue(path: self.database)
        defer { try? database.close() }
        try database.write { db in try db.execute(sql: sql) }
    }

    /// Rows in each of the tables of sessions: session, subscription, message, queue, held, will.
    func sessionRows() throws -> [Int64] {
        try ["session", "subscription", "message", "queue", "held", "will"].flatMap {
            try self.numbers("SELECT count(*) FROM \($0)")
        }
    }
}
