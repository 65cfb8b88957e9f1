#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Reads the small files that TLS needs, and refuses secrets that others could have read. Blocks: not for the loop.
package enum TLSFile {
    private static let maxBytes = 1 << 20
    private static let maxFilesInDirectory = 1000

    /// A whole file, at most 1 MiB. Throws `.configuration`, naming the file, when it can't be read.
    package static func read(path: String) throws(TLSError) -> [UInt8] {
        try self.read(path: path, isSecret: false)
    }

    /// A whole file, at most 1 MiB. Throws `.keyFileMode`, naming the file and the cure, when group or others have any
    /// right to it.
    package static func readSecret(path: String) throws(TLSError) -> [UInt8] {
        try self.read(path: path, isSecret: true)
    }

    /// What tells that a file is another one, or has other contents.
    package struct Stamp: Equatable, Sendable {
        let device: UInt64
        let inode: UInt64
        let bytes: Int64
        let modified: [Int64]
    }

    /// The stamp of a file; nil if it is not there or can't be looked at.
    package static func stamp(path: String) -> Stamp? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        #if canImport(Glibc)
            let times = [status.st_mtim, status.st_ctim]
        #else
            let times = [status.st_mtimespec, status.st_ctimespec]
        #endif
        return Stamp(
            device: UInt64(truncatingIfNeeded: status.st_dev),
            inode: UInt64(truncatingIfNeeded: status.st_ino),
            bytes: Int64(status.st_size),
            modified: times.flatMap { [Int64($0.tv_sec), Int64($0.tv_nsec)] }
        )
    }

    /// The files of a directory whose names end in `.crt` or `.pem`, by name. Throws `.configuration` when it can't be read
    /// or holds none, or more than ``maxFilesInDirectory``.
    package static func certificates(inDirectory path: String) throws(TLSError) -> [String] {
        guard let directory = unsafe opendir(path) else {
            guard errno != ENOTDIR else { throw TLSError(.configuration, "\(path) is not a directory") }
            throw self.unreadable(path)
        }
        defer { unsafe closedir(directory) }
        var files: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: name.pointee)) {
                    unsafe String(cString: $0)
                }
            }
            // What an editor or a renewal has not finished yet often begins with a dot.
            guard !name.hasPrefix("."), name.hasSuffix(".crt") || name.hasSuffix(".pem") else { continue }
            files.append(path.hasSuffix("/") ? path + name : path + "/" + name)
            guard files.count <= self.maxFilesInDirectory else {
                let limit = self.maxFilesInDirectory
                throw TLSError(.configuration, "\(path) holds more than \(limit) files with certificates")
            }
        }
        guard !files.isEmpty else {
            throw TLSError(.configuration, "\(path) holds no file whose name ends in .crt or .pem")
        }
        return files.sorted()
    }

    /// Whether there is a directory of this name.
    package static func isDirectory(path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func read(path: String, isSecret: Bool) throws(TLSError) -> [UInt8] {
        // Not blocking, so that a pipe in the file's place can't hang the start.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw self.unreadable(path) }
        defer { close(descriptor) }
        // The open file is looked at, not the name: it can't be exchanged in between.
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw self.unreadable(path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw TLSError(.configuration, "\(path) is not a file") }
        let mode = status.st_mode & 0o777
        guard !isSecret || mode & 0o077 == 0 else {
            let text = String(mode, radix: 8)
            throw TLSError(.keyFileMode, "key file \(path) has mode 0\(text): others could read it; chmod 600 \(path)")
        }
        let size = Int(status.st_size)
        guard size <= self.maxBytes else { throw TLSError(.configuration, "\(path) is larger than 1 MiB") }
        guard let contents = self.contents(descriptor, size: size) else { throw self.unreadable(path) }
        return contents
    }

    private static func contents(_ descriptor: Int32, size: Int) -> [UInt8]? {
        var contents = [UInt8](repeating: 0, count: size)
        var count = 0
        while count < size {
            let got = unsafe contents.withUnsafeMutableBytes { bytes in
                unsafe readSome(descriptor, UnsafeMutableRawBufferPointer(rebasing: bytes[count...]))
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { return nil }
            guard got > 0 else { break }
            count += got
        }
        contents.removeLast(size - count)
        return contents
    }

    private static func unreadable(_ path: String) -> TLSError {
        let reason = unsafe String(cString: strerror(errno))
        return TLSError(.configuration, "can't read \(path): \(reason); check the path and its owner")
    }
}

/// `read(2)` out here, because methods of the same name would hide it.
private func readSome(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
    unsafe read(descriptor, buffer.baseAddress, buffer.count)
}
