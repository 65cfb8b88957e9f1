import Foundation

/// Writes PEM files that nothing may overwrite by accident, keys for their owner alone.
struct CertificateFiles {
    let directory: String

    /// One file to be written.
    struct File {
        let name: String
        let content: String
        let isKey: Bool
    }

    func path(_ name: String) -> String {
        self.directory.hasSuffix("/") ? self.directory + name : self.directory + "/" + name
    }

    /// Those of `names` that are there already, a dangling link too.
    func existing(_ names: [String]) -> [String] {
        names.map { self.path($0) }.filter { path in
            var status = stat()
            return lstat(path, &status) == 0
        }
    }

    /// Writes all of them, each under its name only when it is whole.
    ///
    /// - Throws: ``CommandFailure`` with status 70.
    func write(_ files: [File]) throws(CommandFailure) {
        do {
            try FileManager.default.createDirectory(atPath: self.directory, withIntermediateDirectories: true)
        } catch {
            throw CommandFailure(
                .fault,
                "the directory \(self.directory) can't be made: \(String(cString: strerror(errno)))"
            )
        }
        for file in files { try self.write(file) }
    }

    private func write(_ file: File) throws(CommandFailure) {
        let path = self.path(file.name)
        let temporary = path + ".new"
        // A leftover of an interrupted run; what is opened below is a file of our own making in any case.
        unlink(temporary)
        let descriptor = open(
            temporary,
            O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
            file.isKey ? 0o600 : 0o644
        )
        guard descriptor >= 0 else { throw self.failure(path) }
        let bytes = Array(file.content.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            written += count
        }
        let isWhole = written == bytes.count && fsync(descriptor) == 0
        let failure = self.failure(path)
        close(descriptor)
        guard isWhole, rename(temporary, path) == 0 else {
            unlink(temporary)
            throw failure
        }
    }

    private func failure(_ path: String) -> CommandFailure {
        CommandFailure(.fault, "\(path) can't be written: \(String(cString: strerror(errno)))")
    }
}
