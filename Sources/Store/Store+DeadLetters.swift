package import Devices
import GRDB
package import NIOCore

/// The messages that were given up: for people, in any process, and for the gateway that sends some again.
extension Store {
    // MARK: - Any process, synchronous

    /// The newest letters, oldest of them first.
    ///
    /// - Parameters:
    ///   - uplink: Those that were to go over the uplink of this name; nil: over any.
    ///   - device: Those that this device had sent; nil: any, or the gateway.
    ///   - limit: Most letters.
    ///   - maxPayloadBytes: Payloads are cut after so many bytes.
    package func deadLetters(
        uplink: String? = nil,
        device: DeviceID? = nil,
        limit: Int,
        maxPayloadBytes: Int = .max
    ) throws(StoreError) -> [StoredDeadLetter] {
        let uplinks = try uplink.map { name throws(StoreError) in
            try self.lanes().filter { $0.value.uplink == name }.map(\.key)
        }
        return try self.letters(maxPayloadBytes: maxPayloadBytes, limit: limit) { letter in
            if let uplinks, !uplinks.contains(letter.letter.record.uplink) { return false }
            return device == nil || letter.letter.record.device == device
        }.reversed()
    }

    /// One letter; nil if there is none of that number.
    package func deadLetter(id: Int64) throws(StoreError) -> StoredDeadLetter? {
        try self.letters(where: "id = ?1", id: id, maxPayloadBytes: .max, limit: 1) { _ in true }.first
    }

    private func letters(
        where condition: String = "?1 = ?1",
        id: Int64 = 0,
        maxPayloadBytes: Int,
        limit: Int,
        _ isWanted: (StoredDeadLetter) -> Bool
    ) throws(StoreError) -> [StoredDeadLetter] {
        let columns = DeadRow.selection(payload: "substr(payload, 1, ?2)")
        let lanes = try self.lanes()
        return try self.read(operation: "reading dead letters") { db in
            guard let connection = db.sqliteConnection else { throw SQLiteFailure(connection: nil) }
            let rows = try PreparedStatement(
                "SELECT \(columns) FROM dead WHERE \(condition) ORDER BY id DESC",
                on: connection
            )
            rows.bind(id, at: 1)
            // The function takes no more than 32 bits.
            rows.bind(Int64(min(maxPayloadBytes, Int(Int32.max))), at: 2)
            var letters: [StoredDeadLetter] = []
            while letters.count < limit, try rows.step() {
                guard var letter = DeadRow.letter(rows), isWanted(letter) else { continue }
                letter.lane = lanes[letter.letter.record.uplink]
                letters.append(letter)
            }
            return letters
        }
    }

    /// Deletes letters; numbers that are not there are passed over.
    ///
    /// - Returns: How many went.
    @discardableResult
    package func dropDead(ids: [Int64]) throws(StoreError) -> Int {
        try self.changeDead("DELETE FROM dead WHERE id = ?1", ids, operation: "dropping dead letters")
    }

    /// Asks for letters to be sent again: a running gateway puts them back into the spool within a second, another one when
    /// it starts. Numbers that are not there are passed over.
    ///
    /// - Returns: How many will be sent.
    @discardableResult
    package func resendDead(ids: [Int64]) throws(StoreError) -> Int {
        let sql = "UPDATE dead SET resend = 1 WHERE id = ?1"
        return try self.changeDead(sql, ids, operation: "sending dead letters again")
    }

    private func changeDead(_ sql: String, _ ids: [Int64], operation: String) throws(StoreError) -> Int {
        guard !ids.isEmpty else { return 0 }
        return try self.access(operation: operation) { db in
            var changed = 0
            try db.inTransaction(.immediate) {
                guard let connection = db.sqliteConnection else { throw SQLiteFailure(connection: nil) }
                let statement = try PreparedStatement(sql, on: connection)
                for id in Set(ids) {
                    statement.bind(id, at: 1)
                    try statement.run()
                    changed += statement.changes
                }
                try db.execute(sql: "UPDATE meta SET value = value + 1 WHERE name = 'dead_generation'")
                return .commit
            }
            return changed
        }
    }

    /// A number that every change of another process counts up.
    static func deadGeneration(_ db: Database) throws -> Int64 {
        try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE name = 'dead_generation'") ?? 0
    }

    // MARK: - The gateway

    /// How many letters there are. Reads all of the table's keys: at the start, and when other processes have changed it.
    package func countDeadLetters(
        on loop: any EventLoop,
        completion: @escaping @Sendable (Result<DeadLetterCounts, StoreError>) -> Void
    ) {
        let operation = "counting dead letters"
        self.enqueue(operation: operation, on: loop, completion: completion) { worker in
            worker.withWriter(operation: operation) { writer throws(SQLiteFailure) in try writer.dead.counts() }
        }
    }

    /// Letters that are to be sent again, oldest first: at most `limit`, and past the first of them at most `maxBytes`.
    ///
    /// Each is given once, until a batch with it in ``StoreBatch/resent`` has failed, ``releaseResends(_:)`` gives it back, or
    /// the gateway starts again. To be asked for at the start and whenever ``watchDevices`` tells of dead letters, until there
    /// are none.
    package func takeResends(
        limit: Int,
        maxBytes: Int = 4 << 20,
        on loop: any EventLoop,
        completion: @escaping @Sendable (Result<[StoredDeadLetter], StoreError>) -> Void
    ) {
        let operation = "sending dead letters again"
        self.enqueue(operation: operation, on: loop, completion: completion) { worker in
            worker.withWriter(operation: operation) { writer throws(SQLiteFailure) in
                try writer.dead.takeResends(limit: limit, maxBytes: maxBytes)
            }
        }
    }

    /// Letters of ``takeResends(limit:maxBytes:on:completion:)`` that there is no room for now may be taken again later.
    package func releaseResends(_ ids: [Int64]) {
        self.enqueue { worker in
            _ = worker.withWriter(operation: "sending dead letters again") { writer throws(SQLiteFailure) in
                writer.dead.release(ids)
            }
        }
    }
}
