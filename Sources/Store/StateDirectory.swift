import Foundation
import GRDBSQLite

/// The files of a state directory: their modes, the lock that keeps a second gateway out, and the setting aside.
package struct StateDirectory: Sendable {
    /// As it was given.
    package let path: String

    /// Touches nothing.
    package init(path: String) {
        self.path = path
    }

    /// The SQLite database; its `-wal` and `-shm` lie beside it.
    package var database: String { self.path + "/sealgate.db" }
    /// The name under which a process that only looks opens the database.
    ///
    /// Without a write-ahead log nobody has it open, and SQLite would make one to read. Told that the file does not
    /// change, it leaves the directory as it is. (A gateway that starts in the same millisecond is not waited for.)
    var readOnlyDatabase: String {
        let path = self.database
        guard Self.status(of: path + "-wal") == nil else { return path }
        return Self.address(of: path, "immutable=1")
    }

    /// A path as SQLite's files can be named with a parameter, or as it is where SQLite can't.
    static func address(of path: String, _ parameter: String) -> String {
        guard sqlite3_compileoption_used("USE_URI") != 0,
            let escaped = path.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed)
        else { return path }
        return "file:\(escaped)?\(parameter)"
    }

    /// The name under which the gateway opens the database.
    func databaseAddress(_ options: StoreOptions) -> String {
        options.fileSystem.map { Self.address(of: self.database, "vfs=\($0)") } ?? self.database
    }
    /// The gateway's one secret (32 bytes), without which the wrapped secrets of the database are lost.
    package var masterKey: String { self.path + "/master.key" }
    /// Held by the gateway that runs here.
    var lock: String { self.path + "/sealgate.lock" }
    /// There when a running gateway met damage: the next start looks at every page.
    var suspicion: String { self.path + "/sealgate.db.suspect" }

    private static let operation = "opening the state directory"

    /// What is being saved of a damaged database.
    var salvage: String { self.database + ".salvage" }
    /// What was saved, complete, and not yet in its place.
    var salvaged: String { self.database + ".salvaged" }

    /// Makes what is missing and refuses what others could read or replace.
    func prepare(for access: StoreAccess) throws(StoreError) {
        if access != .readOnly { try self.create() }
        guard let directory = Self.status(of: self.path), let database = Self.status(of: self.database) else {
            let detail = "there is no database"
            throw StoreError(.notReady, file: self.database, operation: Self.operation, detail: detail)
        }
        if directory.mode & 0o022 != 0 {
            let detail = "others can write in this directory (mode \(String(directory.mode, radix: 8)))"
            throw StoreError(.permission, file: self.path, operation: Self.operation, detail: detail)
        }
        if database.mode & 0o077 != 0 {
            let detail = "others can read or write this file (mode \(String(database.mode, radix: 8)))"
            throw StoreError(.permission, file: self.database, operation: Self.operation, detail: detail)
        }
    }

    private func create() throws(StoreError) {
        if Self.status(of: self.path) == nil { try self.createDirectory(self.path) }
        try self.createFile(self.database)
    }

    private func createFile(_ path: String) throws(StoreError) {
        // SQLite would make the file with the process's umask; -wal and -shm take the mode of the file. It is opened only
        // to be made: closing any other descriptor of a database drops the locks that this process holds on it.
        let file = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        if file >= 0 {
            close(file)
        } else if errno != EEXIST {
            throw self.systemError(errno, file: path)
        }
    }

    /// Makes a directory and those above it that are missing, and their names durable.
    private func createDirectory(_ path: String) throws(StoreError) {
        let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        if !parent.isEmpty, Self.status(of: parent) == nil { try self.createDirectory(parent) }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw self.systemError(errno, file: path) }
        Self.makeNamesDurable(in: parent)
    }

    private static func makeNamesDurable(in path: String) {
        let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if directory >= 0 {
            fsync(directory)
            close(directory)
        }
    }

    /// Keeps a second gateway out for as long as this process has the returned descriptor open.
    func takeLock() throws(StoreError) -> Int32 {
        let descriptor = open(self.lock, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw self.systemError(errno, file: self.lock) }
        guard Self.lockPatiently(descriptor) else {
            let code = errno
            close(descriptor)
            guard code == EWOULDBLOCK else { throw self.systemError(code, file: self.lock) }
            let detail = "another gateway runs on this state directory"
            throw StoreError(.inUse, file: self.lock, operation: Self.operation, detail: detail)
        }
        return descriptor
    }

    /// Tries for half a second: a gateway that was just ended, or a child process between fork and exec, may have the file
    /// open for some more milliseconds.
    private static func lockPatiently(_ descriptor: Int32) -> Bool {
        for _ in 0..<50 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
            guard errno == EWOULDBLOCK else { return false }
            var pause = timespec(tv_sec: 0, tv_nsec: 10_000_000)
            nanosleep(&pause, nil)
        }
        errno = EWOULDBLOCK
        return false
    }

    /// Lets another gateway in.
    static func release(_ lock: Int32) { close(lock) }

    /// Gives the database and its companions a dated name, so that a new one can be begun.
    ///
    /// - Returns: The new path of the database.
    func setDatabaseAside(now: time_t) throws(StoreError) -> String {
        var base = self.database + ".damaged-" + Self.stamp(now)
        var number = 1
        while Self.status(of: base) != nil {
            number += 1
            base = self.database + ".damaged-" + Self.stamp(now) + "-\(number)"
        }
        for suffix in ["-wal", "-shm", ""] where Self.status(of: self.database + suffix) != nil {
            guard rename(self.database + suffix, base + suffix) == 0 else {
                throw self.systemError(errno, file: self.database + suffix)
            }
        }
        unlink(self.suspicion)
        Self.makeNamesDurable(in: self.path)
        return base
    }

    // MARK: - What is saved of a damaged database

    /// Whether the database has lost all its bytes: SQLite would take it for a new one, and throw its log away. For the
    /// gateway also if nothing but the mark in its lock file tells that there was one.
    func isEmptied(for access: StoreAccess) -> Bool {
        guard Self.status(of: self.database)?.bytes == 0 else { return false }
        if (Self.status(of: self.database + "-wal")?.bytes ?? 0) > 0 { return true }
        return access == .gateway && (Self.status(of: self.lock)?.bytes ?? 0) > 0
    }

    /// Notes in the lock file that there is a database with bytes.
    ///
    /// - Returns: Why it could not, as an errno; nil: it is noted.
    static func mark(_ lock: Int32) -> Int32? {
        var status = stat()
        guard fstat(lock, &status) == 0 else { return errno }
        guard status.st_size == 0, pwrite(lock, "sealgate\n", 9, 0) < 0 else { return nil }
        return errno
    }

    /// Whether the header asks for a later format, which SQLite would only read.
    var hasUnknownFormat: Bool {
        let file = open(self.database, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        var format: (write: UInt8, read: UInt8) = (0, 0)
        guard pread(file, &format, 2, 18) == 2 else { return false }
        return format.write > 2 || format.read > 2
    }

    /// Whether a part of the database can't be read from the disk. Reads all of it.
    var isUnreadable: Bool {
        let file = open(self.database, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 16) { buffer in
            while true {
                let count = read(file, buffer.baseAddress, buffer.count)
                if count == 0 { return false }
                if count < 0 { return errno == EIO }
            }
        }
    }

    /// Makes the file to save into.
    func beginSalvage() throws(StoreError) {
        self.removeSalvage()
        try self.createFile(self.salvage)
    }

    /// What has been saved is all there will be, and is closed.
    func completeSalvage() throws(StoreError) {
        guard rename(self.salvage, self.salvaged) == 0 else { throw self.systemError(errno, file: self.salvage) }
        Self.makeNamesDurable(in: self.path)
    }

    /// Takes back what was begun.
    func removeSalvage() {
        for suffix in ["", "-wal", "-shm"] { unlink(self.salvage + suffix) }
    }

    /// Puts what was saved in the place of the database, which was set aside.
    func useSalvaged() throws(StoreError) {
        guard rename(self.salvaged, self.database) == 0 else { throw self.systemError(errno, file: self.salvaged) }
        Self.makeNamesDurable(in: self.path)
    }

    /// Whether something was saved and is not in its place: the process ended before.
    var isSalvageComplete: Bool { Self.status(of: self.salvaged) != nil }

    /// Asks the next start to look at every page.
    func markSuspect() {
        let file = open(self.suspicion, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
        if file >= 0 { close(file) }
    }

    /// Whether a running gateway met damage.
    var isSuspect: Bool { Self.status(of: self.suspicion) != nil }

    /// Takes the suspicion back.
    func clearSuspicion() { unlink(self.suspicion) }

    /// Permission bits and size of a file; nil if it is not there.
    static func status(of path: String) -> (mode: UInt32, bytes: Int)? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return (UInt32(status.st_mode) & 0o777, Int(status.st_size))
    }

    private static func stamp(_ now: time_t) -> String {
        var now = now
        var parts = tm()
        gmtime_r(&now, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let day = "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return "\(day)T\(two(parts.tm_hour))\(two(parts.tm_min))\(two(parts.tm_sec))Z"
    }

    private func systemError(_ code: Int32, file: String) -> StoreError {
        let kind: StoreError.Kind =
            switch code {
            case EACCES, EPERM, EROFS, ENOTDIR: .permission
            case ENOSPC, EDQUOT: .diskFull
            default: .inputOutput
            }
        return StoreError(kind, file: file, operation: Self.operation, detail: String(cString: strerror(code)))
    }
}
