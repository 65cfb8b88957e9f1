import NIOCore

/// The statements of table `command_session`. Begins and ends no transaction of its own.
final class CommandSessionTable {
    private let setStatement: PreparedStatement
    private let clearStatement: PreparedStatement
    private let allStatement: PreparedStatement

    init(on connection: OpaquePointer) throws(SQLiteFailure) {
        self.setStatement = try PreparedStatement(
            """
            INSERT INTO command_session (device, ids, used) VALUES (?1, ?2, ?3)
            ON CONFLICT (device) DO UPDATE SET ids = ?2, used = ?3
            """,
            on: connection
        )
        self.clearStatement = try PreparedStatement("DELETE FROM command_session WHERE device = ?1", on: connection)
        self.allStatement = try PreparedStatement(
            "SELECT device, ids, used FROM command_session ORDER BY device",
            on: connection
        )
    }

    func apply(_ record: CommandSessionRecord) throws(SQLiteFailure) {
        guard record.ids.readableBytes > 0 || record.used.readableBytes > 0 else {
            self.clearStatement.bind(copying: record.device, at: 1)
            return try self.clearStatement.run()
        }
        self.setStatement.bind(copying: record.device, at: 1)
        self.setStatement.bind(copying: record.ids, at: 2)
        self.setStatement.bind(copying: record.used, at: 3)
        try self.setStatement.run()
    }

    func all() throws(SQLiteFailure) -> [CommandSessionRecord] {
        defer { self.allStatement.reset() }
        var records: [CommandSessionRecord] = []
        while try self.allStatement.step() {
            guard let device = self.allStatement.text(0) else { continue }
            records.append(
                CommandSessionRecord(
                    device: device,
                    ids: self.allStatement.buffer(1),
                    used: self.allStatement.buffer(2)
                )
            )
        }
        return records
    }
}

extension Store {
    /// What is remembered of the session IDs that devices published for their commands. Only for the gateway.
    package func commandSessions() throws(StoreError) -> [CommandSessionRecord] {
        let operation = "reading session IDs of commands"
        guard let worker = self.worker else { throw self.closedError(while: operation) }
        return try worker.withWriter(operation: operation) { writer throws(SQLiteFailure) in
            try writer.commandSessions.all()
        }.get()
    }
}
