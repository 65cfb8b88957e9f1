#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Why a file that a person named can't be used.
package struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong with it.
    package enum Kind: Hashable, Sendable {
        /// There is none.
        case missing
        /// The system refuses it, in its own words.
        case unreadable(String)
        /// A directory, a pipe, a device.
        case notRegular
        /// Others than the owner may read or change it; the mode's permission bits.
        case modeTooWide(UInt32)
        /// Over so many bytes.
        case tooLarge(limit: Int)
        /// The content is not what it has to be; in words that follow the file's name and never repeat the content.
        case content(String)
    }

    /// The path that was opened.
    package var path: String
    /// What is wrong with it.
    package var kind: Kind

    /// The file, what is wrong and, where there is one, the cure.
    package var description: String { "the file \(TOMLPath.printable(self.path)) \(self.reason)" }

    /// What is wrong and the cure, in words that follow the file's name.
    package var reason: String {
        switch self.kind {
        case .missing: "does not exist"
        case .unreadable(let reason): "can't be read: \(reason)"
        case .notRegular: "is no regular file"
        case .modeTooWide(let mode):
            "has mode 0\(String(mode, radix: 8)), wider than 0600; run: chmod 600 \(self.shellPath)"
        case .tooLarge(let limit): "is over \(ByteSize.describe(limit))"
        case .content(let message): message
        }
    }

    /// The path as a shell takes it.
    private var shellPath: String {
        let isPlain = self.path.utf8.allSatisfy {
            TOMLPath.isBareKeyByte($0) || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ".")
        }
        guard !isPlain || self.path.hasPrefix("-") else { return self.path }
        var quoted = ""
        for character in self.path { quoted += character == "'" ? "'\\''" : String(character) }
        return "'\(quoted)'"
    }
}

/// `read` of the system, which a method's name would hide.
private func systemRead(_ descriptor: CInt, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(descriptor, buffer, count)
}

/// Reads small files whole. Blocks: for start, reload and commands, never on an event loop.
package enum FileReader {
    /// Who may have access to the file.
    enum Access {
        case anyone
        /// Only its owner: a mode wider than 0600 is refused.
        case ownerOnly
    }

    /// The content of a regular file of at most `limit` bytes.
    ///
    /// The checks are made on the open file, so that nobody can swap it between the look and the reading.
    static func read(_ path: String, limit: Int, access: Access) throws(FileError) -> [UInt8] {
        // O_NONBLOCK: opening a named pipe must not wait for its other end.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else {
            throw FileError(path: path, kind: errno == ENOENT ? .missing : .unreadable(Self.systemError()))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw FileError(path: path, kind: .unreadable(Self.systemError()))
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw FileError(path: path, kind: .notRegular) }
        let permissions = UInt32(status.st_mode) & 0o7777
        guard access == .anyone || permissions & ~0o600 == 0 else {
            throw FileError(path: path, kind: .modeTooWide(permissions))
        }
        guard let bytes = try Self.readAll(descriptor, path: path, limit: limit) else {
            throw FileError(path: path, kind: .tooLarge(limit: limit))
        }
        return bytes
    }

    /// Standard input up to its end, at most `limit` bytes.
    package static func readStandardInput(limit: Int) throws(FileError) -> [UInt8] {
        guard let bytes = try Self.readAll(STDIN_FILENO, path: "standard input", limit: limit) else {
            throw FileError(path: "standard input", kind: .tooLarge(limit: limit))
        }
        return bytes
    }

    /// `nil` if there is more than `limit`.
    private static func readAll(_ descriptor: CInt, path: String, limit: Int) throws(FileError) -> [UInt8]? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = chunk.withUnsafeMutableBytes { systemRead(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw FileError(path: path, kind: .unreadable(Self.systemError()))
            }
            guard bytes.count + count <= limit else { return nil }
            bytes += chunk[..<count]
        }
    }

    private static func systemError() -> String { String(cString: strerror(errno)) }
}
