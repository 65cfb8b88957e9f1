import GRDB
import GRDBSQLite
import Logging
import NIOCore

/// Saves what can be read of a damaged database into a new one.
///
/// Page by page, and not through SQLite's tables: a page that is gone takes only its own rows away, whether it led to others,
/// or said which table is where. (Debian's SQLite has neither `sqlite_dbpage` nor the recovery extension.) Devices and all
/// that is small first; then, for a bounded time, sessions, spools and dead letters.
struct Salvage {
    private static let operation = "saving what is left of a damaged database"
    /// Rows, and bytes of them, of one transaction.
    private static let rowsPerCommit = 5_000
    private static let bytesPerCommit = 4 << 20

    private let file: DamagedFile
    private let connection: OpaquePointer
    private let deadline: NIODeadline
    private var report = SalvageReport()
    private var facts = SalvagedFacts()
    private var pending = (rows: 0, bytes: 0)
    private var isFirst = true

    /// Makes `sealgate.db.salvaged` of what `sealgate.db` has.
    ///
    /// - Throws: Then there is no such file.
    static func run(_ directory: StateDirectory, options: StoreOptions) throws -> SalvageReport {
        guard let file = DamagedFile(path: directory.database) else {
            throw StoreError(.damaged, file: directory.database, operation: self.operation, detail: "it can't be read")
        }
        try directory.beginSalvage()
        let database = try DatabaseQueue(
            path: directory.salvage,
            configuration: Schema.configuration(for: .gateway, options: options)
        )
        let report: SalvageReport
        do {
            try Schema.migrate(database)
            report = try database.writeWithoutTransaction { db in
                guard let connection = db.sqliteConnection else { throw SQLiteFailure(connection: nil) }
                var salvage = Salvage(file: file, connection: connection, time: options.salvageTime)
                try salvage.run()
                guard !salvage.facts.isOfNewerRelease else {
                    let detail = "a newer release of sealgate made this database"
                    throw StoreError(.schemaTooNew, file: directory.database, operation: self.operation, detail: detail)
                }
                return salvage.report
            }
            try database.close()
        } catch {
            try? database.close()
            directory.removeSalvage()
            throw error
        }
        try directory.completeSalvage()
        return report
    }

    private init(file: DamagedFile, connection: OpaquePointer, time: Duration) {
        self.file = file
        self.connection = connection
        self.deadline = .now() + .nanoseconds(Int64(time / .nanoseconds(1)))
        self.report.pages = file.pageCount
        self.report.mayHaveDeletedRows = file.isFreeListLost
    }

    private mutating func run() throws(SQLiteFailure) {
        do throws(SQLiteFailure) {
            try self.execute("BEGIN IMMEDIATE")
            try self.save(SalvagedTable.devices, kind: .index)
            try self.save(SalvagedTable.small, kind: .index)
            try self.save(SalvagedTable.large, kind: .table)
        } catch  where StoreError.Kind(code: error.code) == .diskFull {
            self.report.cutShort = "the disk is full"
            self.endTransaction()
            try self.execute("BEGIN IMMEDIATE")
        }
        try self.facts.write(on: self.connection)
        try self.execute("COMMIT")
    }

    /// Keeps of the last rows what there is room for.
    private func endTransaction() {
        guard sqlite3_get_autocommit(self.connection) == 0 else { return }
        do throws(SQLiteFailure) {
            try self.execute("COMMIT")
        } catch {
            if sqlite3_get_autocommit(self.connection) == 0 { try? self.execute("ROLLBACK") }
        }
    }

    private func execute(_ sql: String) throws(SQLiteFailure) {
        try PreparedStatement(sql, on: self.connection).run()
    }

    private mutating func save(_ tables: [SalvagedTable], kind: DamagedFile.Kind) throws(SQLiteFailure) {
        var writers: [SalvageWriter] = []
        for table in tables { writers.append(try SalvageWriter(table, on: self.connection)) }
        // Pages are seen once before those of each kind are read.
        let isFirst = self.isFirst
        self.isFirst = false
        var number = 0
        while number < self.file.pageCount {
            number += 1
            if self.file.isFree[number] { continue }
            // What devices are is worth any time.
            if kind == .table, number % 16 == 0, NIODeadline.now() >= self.deadline {
                self.report.cutShort = "it took too long"
                return
            }
            var rows: [RawRow] = []
            let content = try self.file.rows(ofPage: number, kind: kind) { row in rows.append(row) }
            for row in rows { try self.save(row, writers) }
            switch content {
            case .none: break
            case .rows(let lost): if !isFirst { self.report.lostRows += lost }
            case .damaged: if isFirst { self.report.damagedPages += 1 }
            }
        }
        try self.nextTransaction()
    }

    private mutating func nextTransaction() throws(SQLiteFailure) {
        self.pending = (0, 0)
        try self.execute("COMMIT")
        try self.execute("BEGIN IMMEDIATE")
    }

    private mutating func save(_ row: RawRow, _ writers: [SalvageWriter]) throws(SQLiteFailure) {
        guard let writer = writers.first(where: { $0.table.fits(row) }) else {
            return self.facts.note(row)
        }
        guard try writer.write(row) else { return }
        self.facts.note(row, of: writer.table)
        self.report.rows[writer.table.name, default: 0] += 1
        self.pending.rows += 1
        self.pending.bytes += row.bytes.count
        guard self.pending.rows >= Self.rowsPerCommit || self.pending.bytes >= Self.bytesPerCommit else { return }
        try self.nextTransaction()
    }
}

/// The statement that writes the rows of one table.
private final class SalvageWriter {
    let table: SalvagedTable
    private let statement: PreparedStatement
    private let expiryStatement: PreparedStatement

    init(_ table: SalvagedTable, on connection: OpaquePointer) throws(SQLiteFailure) {
        self.table = table
        self.statement = try PreparedStatement(table.sql, on: connection)
        self.expiryStatement = try PreparedStatement(
            "INSERT OR IGNORE INTO expiry (expires_at, key) VALUES (?1, ?2)",
            on: connection
        )
    }

    /// False if the row was there.
    func write(_ row: RawRow) throws(SQLiteFailure) -> Bool {
        for index in self.table.columns.indices {
            let place = Int32(index + 1)
            guard row.values.indices.contains(index) else {
                self.statement.bind(nil as Int64?, at: place)
                continue
            }
            switch row.values[index] {
            case .null: self.statement.bind(index == 0 ? row.rowid : nil, at: place)
            case .integer(let value): self.statement.bind(value, at: place)
            case .text(let range):
                self.statement.bind(copying: String(decoding: row.bytes[range], as: UTF8.self), at: place)
            case .blob(let range): self.statement.bind(copying: ByteBuffer(bytes: row.bytes[range]), at: place)
            case .real: return false
            }
        }
        try self.statement.run()
        guard self.statement.changes > 0 else { return false }
        if self.table.name == SalvagedTable.spool, row.values.count > 9, case .integer(let expiresAt) = row.values[9],
            !SpoolFlags(rawValue: row.integer(1)).isClockless, let key = row.rowid
        {
            self.expiryStatement.bind(expiresAt, at: 1)
            self.expiryStatement.bind(key, at: 2)
            try self.expiryStatement.run()
        }
        return true
    }
}
