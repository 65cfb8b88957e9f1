import GRDB
import GRDBSQLite

/// A failure of the store: what kind, of which file, during what, and what a person can do about it.
package struct StoreError: Error, Equatable, Sendable {
    /// What went wrong, to match on.
    package enum Kind: Equatable, Sendable {
        /// The file system, or the configured limit of the database, is full.
        case diskFull
        /// The database is no database, or its pages contradict each other.
        case damaged
        /// Another process held the write lock for longer than the busy timeout.
        case busy
        /// The file may not be read or written, or others may read or write it.
        case permission
        /// A newer release made this database.
        case schemaTooNew
        /// The database is to be read only, and is not there or not yet of this release.
        case notReady
        /// Another gateway runs on this state directory.
        case inUse
        /// Reading, writing or syncing failed below SQLite.
        case inputOutput
        /// The master key is missing, unreadable, or not the one that wrapped the secrets.
        case masterKey
        /// A device of that id is there already.
        case deviceExists
        /// No device of that id.
        case noSuchDevice
        /// Another device uses the keys of the one to be removed.
        case keysInUse
        /// All numbers for lanes of uplinks are in use.
        case tooManyLanes
        /// The store was closed before this was done.
        case closed
        /// Any other SQLite result, by its extended code.
        case other(code: Int32)
    }

    /// What went wrong.
    package var kind: Kind
    /// Path of the file concerned.
    package var file: String
    /// What was being done, to follow "while": "writing the spool".
    package var operation: String
    /// SQLite's or the system's own words. Never holds a bound value or a secret.
    package var detail: String

    /// Put together by the store only.
    init(_ kind: Kind, file: String, operation: String, detail: String) {
        self.kind = kind
        self.file = file
        self.operation = operation
        self.detail = detail
    }

    /// What a person can do about it, as one sentence.
    package var cure: String {
        switch self.kind {
        case .diskFull: "Free some space on the disk of \(self.file), or lower the spool's max_bytes."
        case .damaged: "Restart the gateway: it saves what can be read into a new database. Check the disk."
        case .busy: "Another process keeps the database locked; end it, then try again."
        case .permission: "Make \(self.file) belong to the gateway's user, with mode 0600 (its directory: 0700)."
        case .schemaTooNew: "Run the release that made it, or a newer one."
        case .notReady: "Start the gateway once, or add a device, to make it."
        case .inUse: "Stop the other gateway, or give this one a state directory of its own."
        case .inputOutput: "Check the disk, its cable and the system's log."
        case .masterKey: "Put the master.key that belongs to this database back into its directory."
        case .deviceExists: "Choose another id, or remove the device first."
        case .noSuchDevice: "See `sealgate device list` for the ids there are."
        case .keysInUse: "Remove that device first, or give it keys of its own."
        case .tooManyLanes:
            "Use fewer uplinks with connect_as = \"device\", or let what waits for removed devices be sent or dropped."
        case .closed: "Nothing to do: the gateway is stopping."
        case .other: "This should not happen; please report it with this line."
        }
    }
}

extension StoreError: CustomStringConvertible {
    /// The whole story on one line, fit for a log or a terminal.
    package var description: String { "\(self.file): \(self.detail) (while \(self.operation)). \(self.cure)" }
}

extension StoreError {
    /// Whether the failure to open a database means that it is damaged. The statements of the start are always the same, so
    /// one that can't be compiled, or contradicts a constraint, does not find the tables as a release has left them.
    func tellsOfDamage(to directory: StateDirectory) -> Bool {
        switch self.kind {
        case .damaged: true
        case .other(let code):
            [SQLITE_ERROR, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_SCHEMA].contains(code & 0xFF)
        case .permission: directory.hasUnknownFormat
        // Not an error that has passed, but a part of the disk that is gone.
        case .inputOutput: directory.isUnreadable
        case .diskFull, .busy, .schemaTooNew, .notReady, .inUse, .masterKey, .tooManyLanes: false
        case .deviceExists, .noSuchDevice, .keysInUse, .closed: false
        }
    }
}

extension StoreError.Kind {
    /// The kind for an SQLite result code, primary or extended.
    init(code: Int32) {
        switch code & 0xFF {
        case SQLITE_FULL: self = .diskFull
        case SQLITE_CORRUPT, SQLITE_NOTADB: self = .damaged
        case SQLITE_BUSY, SQLITE_LOCKED: self = .busy
        case SQLITE_PERM, SQLITE_READONLY, SQLITE_AUTH, SQLITE_CANTOPEN: self = .permission
        case SQLITE_IOERR: self = .inputOutput
        default: self = .other(code: code)
        }
    }
}

/// What an SQLite call answered, before the store adds file and operation.
struct SQLiteFailure: Error {
    /// Extended result code.
    var code: Int32
    /// SQLite's sentence.
    var message: String

    init(code: Int32, message: String) {
        self.code = code
        self.message = message
    }

    /// The failure that `connection` met last.
    init(connection: OpaquePointer?) {
        self.code = sqlite3_extended_errcode(connection)
        self.message = String(cString: sqlite3_errmsg(connection))
    }
}

extension StoreError {
    /// Takes any error that GRDB or the statements of this target threw.
    init(_ error: any Error, file: String, operation: String) {
        switch error {
        case let error as StoreError:
            self = error
        case let error as SQLiteFailure:
            self.init(Kind(code: error.code), file: file, operation: operation, detail: error.message)
        case let error as DatabaseError:
            // Its own description would show the bound values, which may be secrets.
            let detail = error.message ?? "SQLite result \(error.extendedResultCode.rawValue)"
            let kind = Kind(code: error.extendedResultCode.rawValue)
            self.init(kind, file: file, operation: operation, detail: detail)
        case is RowDecodingError:
            // Of what can't be NULL.
            self.init(.damaged, file: file, operation: operation, detail: "a row holds what no release writes")
        default:
            self.init(.other(code: 0), file: file, operation: operation, detail: String(describing: type(of: error)))
        }
    }
}
