import MQTTCodec
import NIOCore

/// The statements of table `retained`: the local broker's retained messages. Begins and ends no transaction of its own.
final class RetainedTable {
    private let setStatement: PreparedStatement
    private let clearStatement: PreparedStatement
    private let allStatement: PreparedStatement

    init(on connection: OpaquePointer) throws(SQLiteFailure) {
        self.setStatement = try PreparedStatement(
            """
            INSERT INTO retained (topic, payload, qos, device, stored_at, properties, expires_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            ON CONFLICT (topic) DO UPDATE SET
                payload = ?2, qos = ?3, device = ?4, stored_at = ?5, properties = ?6, expires_at = ?7
            """,
            on: connection
        )
        self.clearStatement = try PreparedStatement("DELETE FROM retained WHERE topic = ?1", on: connection)
        self.allStatement = try PreparedStatement(
            "SELECT topic, payload, qos, device, stored_at, properties, expires_at FROM retained ORDER BY topic",
            on: connection
        )
    }

    func apply(_ change: RetainedChange) throws(SQLiteFailure) {
        switch change {
        case .set(let record):
            try self.set(record)
        case .clear(let topic):
            let code = topic.withUnsafeReadableBytes { topic in
                self.clearStatement.bind(blob: topic, at: 1)
                return self.clearStatement.runForCode()
            }
            try self.clearStatement.check(code)
        }
    }

    private func set(_ record: RetainedRecord) throws(SQLiteFailure) {
        self.setStatement.bind(Int64(record.qos.rawValue), at: 3)
        self.setStatement.bind(record.storedAt, at: 5)
        self.setStatement.bind(copyingUnlessEmpty: record.properties, at: 6)
        self.setStatement.bind(record.expiresAt, at: 7)
        let code = record.topic.withUnsafeReadableBytes { topic in
            record.payload.withUnsafeReadableBytes { payload in
                self.setStatement.bind(blob: topic, at: 1)
                self.setStatement.bind(blob: payload, at: 2)
                guard var device = record.publisher else {
                    self.setStatement.bind(text: nil, at: 4)
                    return self.setStatement.runForCode()
                }
                return device.withUTF8 { device in
                    self.setStatement.bind(text: device, at: 4)
                    return self.setStatement.runForCode()
                }
            }
        }
        try self.setStatement.check(code)
    }

    /// All of them, in the order of their topics' bytes, but for those whose times nobody can have stored.
    func all() throws(SQLiteFailure) -> [RetainedRecord] {
        defer { self.allStatement.reset() }
        var records: [RetainedRecord] = []
        while try self.allStatement.step() {
            guard StoredTime.isPlausible(self.allStatement.integer(4)),
                StoredTime.isPlausible(self.allStatement.optionalInteger(6))
            else { continue }
            records.append(
                RetainedRecord(
                    topic: ByteBuffer(bytes: self.allStatement.bytes(0)),
                    payload: ByteBuffer(bytes: self.allStatement.bytes(1)),
                    qos: QoS(rawValue: UInt8(self.allStatement.integer(2) & 3)) ?? .atLeastOnce,
                    publisher: self.allStatement.text(3),
                    storedAt: self.allStatement.integer(4),
                    properties: self.allStatement.buffer(5),
                    expiresAt: self.allStatement.optionalInteger(6)
                )
            )
        }
        return records
    }
}
