internal import OpenSSL

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension MasterKey {
    /// Reads a master key from its file. Blocks: not for an event loop.
    ///
    /// - Throws: ``MasterKeyError`` unless it is a regular file of ours or root's (root reads everybody's), usable by its owner alone, that holds
    ///   64 hex digits and perhaps a line break.
    package static func load(_ path: String) throws(MasterKeyError) -> MasterKey {
        // O_NONBLOCK: opening a named pipe must not wait for a writer.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else {
            switch errno {
            case ENOENT: throw MasterKeyError(path: path, problem: .missing)
            case ELOOP: throw MasterKeyError(path: path, problem: .notAFile)
            default: throw MasterKeyError(path: path, problem: .system(call: "open", code: errno))
            }
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else {
            throw MasterKeyError(path: path, problem: .system(call: "fstat", code: errno))
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw MasterKeyError(path: path, problem: .notAFile) }
        guard status.st_mode & 0o077 == 0 else {
            throw MasterKeyError(path: path, problem: .mode(UInt32(status.st_mode & 0o7777)))
        }
        guard [geteuid(), 0].contains(status.st_uid) || geteuid() == 0 else {
            throw MasterKeyError(path: path, problem: .owner(UInt32(status.st_uid)))
        }
        // Room for one byte more than 64 digits and a line break of two characters, to see that there is none.
        var text = [UInt8](repeating: 0, count: 67)
        let length = read(file, &text, text.count)
        guard length >= 0 else { throw MasterKeyError(path: path, problem: .system(call: "read", code: errno)) }
        guard let key = self.parse(text.prefix(length)) else { throw MasterKeyError(path: path, problem: .content) }
        return key
    }

    /// Makes a new master key and writes it to a new file with mode 0600, durably. Blocks: not for an event loop.
    ///
    /// The file gets its name only when all of it is on the disk: whoever finds it, after a power cut too, finds it whole.
    ///
    /// - Throws: ``MasterKeyError``; the file is never overwritten. After `.exists`, another's key can be loaded.
    package static func create(_ path: String) throws(MasterKeyError) -> MasterKey {
        let suffix = String(decoding: Hex.encode(SecureRandom.bytes(count: 8)), as: UTF8.self)
        let temporary = path + ".new-" + suffix
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw MasterKeyError(path: path, problem: .system(call: "open", code: errno)) }
        defer { close(file) }
        let key = MasterKey.random()
        let text = Hex.encode(key.bytes) + [UInt8(ascii: "\n")]
        if let call = self.store(text, in: file) {
            let code = errno
            unlink(temporary)
            throw MasterKeyError(path: path, problem: .system(call: call, code: code))
        }
        // Unlike rename, link never replaces what is there.
        let code = link(temporary, path) == 0 ? 0 : errno
        unlink(temporary)
        guard code == 0 else {
            throw MasterKeyError(path: path, problem: code == EEXIST ? .exists : .system(call: "link", code: code))
        }
        self.syncDirectory(of: path)
        return key
    }

    /// Writes everything to disk; the name of the call that failed, or `nil`.
    private static func store(_ text: [UInt8], in file: Int32) -> String? {
        guard write(file, text, text.count) == text.count else { return "write" }
        return fsync(file) == 0 ? nil : "fsync"
    }

    /// Makes the file's name durable. Some file systems can't, so a failure is none of the key's.
    private static func syncDirectory(of path: String) {
        let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let directory = open(parent, O_RDONLY | O_CLOEXEC | O_DIRECTORY)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }

    private static func parse(_ text: ArraySlice<UInt8>) -> MasterKey? {
        var digits = text
        if digits.last == UInt8(ascii: "\n") { digits.removeLast() }
        if digits.last == UInt8(ascii: "\r") { digits.removeLast() }
        guard digits.count == 2 * self.count else { return nil }
        var bytes = [UInt8](repeating: 0, count: self.count)
        let isHex = bytes.withUnsafeMutableBytes { output in
            digits.withUnsafeBytes { Hex.decode($0, into: output) }
        }
        return isHex ? MasterKey(unchecked: bytes) : nil
    }
}

extension MasterKeyError {
    /// One or two sentences for the operator: what is wrong, and what to do.
    package var description: String {
        switch self.problem {
        case .system(let call, let code):
            return "\(self.path): \(call): \(String(cString: strerror(code)))"
        case .exists:
            return "\(self.path) exists already and is not overwritten: without it the stored devices are lost"
        case .missing:
            return "\(self.path) is missing. Put it back from a backup: the stored devices can't be used without it"
        case .notAFile:
            return "\(self.path) is not a regular file; links are not followed"
        case .mode(let mode):
            let octal = String(mode, radix: 8)
            return "\(self.path) has mode \(octal), and others may not use it. Run: chmod 600 \(self.path)"
        case .owner(let user):
            return "\(self.path) belongs to user \(user). Make it the property of the user that the gateway runs as"
        case .content:
            return "\(self.path) does not hold 64 hex digits and a line break. Put it back from a backup"
        }
    }
}
