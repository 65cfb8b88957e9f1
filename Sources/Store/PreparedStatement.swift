import GRDBSQLite
import NIOCore

/// One statement, compiled once and kept for the life of its connection, with the binding of bytes that are not copied.
///
/// Must be gone before the connection closes, and is used by one thread at a time, both by its owner's care.
struct PreparedStatement: ~Copyable {
    private let raw: OpaquePointer
    private let connection: OpaquePointer

    init(_ sql: String, on connection: OpaquePointer) throws(SQLiteFailure) {
        var raw: OpaquePointer?
        let code = sqlite3_prepare_v3(connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &raw, nil)
        guard code == SQLITE_OK, let raw else { throw SQLiteFailure(connection: connection) }
        self.raw = raw
        self.connection = connection
    }

    deinit { sqlite3_finalize(self.raw) }

    /// Binds an integer to `?index`, counted from 1.
    func bind(_ value: Int64, at index: Int32) {
        sqlite3_bind_int64(self.raw, index, value)
    }

    /// Binds an integer or NULL.
    func bind(_ value: Int64?, at index: Int32) {
        if let value { sqlite3_bind_int64(self.raw, index, value) } else { sqlite3_bind_null(self.raw, index) }
    }

    /// Binds the readable bytes as a BLOB that SQLite copies: for what is small, or seldom written.
    func bind(copying buffer: ByteBuffer, at index: Int32) {
        buffer.withUnsafeReadableBytes { bytes in
            guard let base = bytes.baseAddress, !bytes.isEmpty else {
                sqlite3_bind_zeroblob(self.raw, index, 0)
                return
            }
            sqlite3_bind_blob64(self.raw, index, base, UInt64(bytes.count), Self.copied)
        }
    }

    /// ``bind(copying:at:)``, with NULL for no bytes.
    func bind(copyingUnlessEmpty buffer: ByteBuffer, at index: Int32) {
        if buffer.readableBytes > 0 {
            self.bind(copying: buffer, at: index)
        } else {
            sqlite3_bind_null(self.raw, index)
        }
    }

    /// Binds a TEXT that SQLite copies, or NULL.
    func bind(copying text: String?, at index: Int32) {
        guard var text else {
            sqlite3_bind_null(self.raw, index)
            return
        }
        _ = text.withUTF8 { bytes in
            sqlite3_bind_text64(
                self.raw,
                index,
                bytes.baseAddress,
                UInt64(bytes.count),
                Self.copied,
                UInt8(SQLITE_UTF8)
            )
        }
    }

    /// SQLite's word for bytes that it must copy before the call returns.
    private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    /// Binds bytes as a BLOB. They must stay where they are until ``run()`` or ``reset()`` has returned.
    func bind(blob bytes: UnsafeRawBufferPointer, at index: Int32) {
        if let base = bytes.baseAddress, !bytes.isEmpty {
            sqlite3_bind_blob64(self.raw, index, base, UInt64(bytes.count), nil)
        } else {
            sqlite3_bind_zeroblob(self.raw, index, 0)
        }
    }

    /// Binds UTF-8 bytes as TEXT, or NULL; the bytes as in ``bind(blob:at:)``.
    func bind(text bytes: UnsafeBufferPointer<UInt8>?, at index: Int32) {
        guard let bytes, let base = bytes.baseAddress else {
            sqlite3_bind_null(self.raw, index)
            return
        }
        sqlite3_bind_text64(self.raw, index, base, UInt64(bytes.count), nil, UInt8(SQLITE_UTF8))
    }

    /// Runs to the end and makes ready for the next run.
    func run() throws(SQLiteFailure) {
        try self.check(self.runForCode())
    }

    /// ``run()`` for use inside closures that hold bytes still: the result code, to be given to ``check(_:)``.
    func runForCode() -> Int32 {
        var code = sqlite3_step(self.raw)
        while code == SQLITE_ROW { code = sqlite3_step(self.raw) }
        sqlite3_reset(self.raw)
        return code == SQLITE_DONE ? SQLITE_OK : code
    }

    /// Throws what `code`, just returned, stands for.
    func check(_ code: Int32) throws(SQLiteFailure) {
        if code != SQLITE_OK { throw SQLiteFailure(connection: self.connection) }
    }

    /// Rows that the last ``run()`` inserted, changed or deleted.
    var changes: Int { Int(sqlite3_changes(self.connection)) }

    /// Goes to the next row; false at the end. After an error the statement is reset.
    func step() throws(SQLiteFailure) -> Bool {
        switch sqlite3_step(self.raw) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default:
            let failure = SQLiteFailure(connection: self.connection)
            sqlite3_reset(self.raw)
            throw failure
        }
    }

    /// Ends a run that may not have come to its end.
    func reset() { sqlite3_reset(self.raw) }

    /// Column `index` of the current row, counted from 0.
    func integer(_ index: Int32) -> Int64 { sqlite3_column_int64(self.raw, index) }

    /// Whether the column is NULL.
    func isNull(_ index: Int32) -> Bool { sqlite3_column_type(self.raw, index) == SQLITE_NULL }

    /// The bytes of a column, valid until the next step.
    func bytes(_ index: Int32) -> UnsafeRawBufferPointer {
        let base = sqlite3_column_blob(self.raw, index)
        return UnsafeRawBufferPointer(start: base, count: base == nil ? 0 : Int(sqlite3_column_bytes(self.raw, index)))
    }

    /// An integer column; nil for NULL.
    func optionalInteger(_ index: Int32) -> Int64? { self.isNull(index) ? nil : self.integer(index) }

    /// A BLOB column in storage of its own; an empty one takes none.
    func buffer(_ index: Int32) -> ByteBuffer {
        let bytes = self.bytes(index)
        return bytes.isEmpty ? ByteBuffer() : ByteBuffer(bytes: bytes)
    }

    /// A TEXT column as a string.
    func text(_ index: Int32) -> String? {
        self.isNull(index) ? nil : String(decoding: self.bytes(index), as: UTF8.self)
    }
}
