import Foundation

/// The pages of a database that SQLite will not open, newest first: those of the write-ahead log where it has them.
///
/// Only what the file format says of pages as such (https://www.sqlite.org/fileformat2.html) is believed, and each number in
/// it is checked. Changes nothing on disk.
final class DamagedFile {
    static let pageBytes = Schema.pageBytes
    private static let magic = Array("SQLite format 3\0".utf8)

    private let database: Int32
    private let log: Int32
    /// Where the write-ahead log has the newest version of a page.
    private var logged: [Int: Int] = [:]
    /// Pages that there should be, from 1.
    private(set) var pageCount = 0
    /// Pages that hold nothing any more, by their numbers.
    private(set) var isFree: [Bool] = []
    /// The first byte of each page with rows that was seen, 0 of others; nil: not seen yet.
    var types: [UInt8?] = []
    /// The list of free pages can't be read: rows that had been deleted may be taken for rows that are there.
    private(set) var isFreeListLost = false

    /// nil: neither of the files can be opened.
    init?(path: String) {
        self.database = open(path, O_RDONLY | O_CLOEXEC)
        self.log = open(path + "-wal", O_RDONLY | O_CLOEXEC)
        guard self.database >= 0 || self.log >= 0 else { return nil }
        let filePages = (Self.size(self.database) + Self.pageBytes - 1) / Self.pageBytes
        let logPages = self.readLog(filePages: filePages)
        self.pageCount = max(filePages, logPages)
        self.readFreeList()
        self.types = [UInt8?](repeating: nil, count: self.pageCount + 1)
    }

    deinit {
        if self.database >= 0 { close(self.database) }
        if self.log >= 0 { close(self.log) }
    }

    /// The page of this number, from 1; nil if it is not there as a whole.
    func page(_ number: Int) -> [UInt8]? {
        if let offset = self.logged[number] { return Self.read(self.log, offset, Self.pageBytes) }
        return Self.read(self.database, (number - 1) * Self.pageBytes, Self.pageBytes)
    }

    private static func size(_ file: Int32) -> Int {
        var status = stat()
        return file >= 0 && fstat(file, &status) == 0 ? Int(status.st_size) : 0
    }

    private static func read(_ file: Int32, _ offset: Int, _ count: Int) -> [UInt8]? {
        guard file >= 0, offset >= 0 else { return nil }
        var isWhole = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            isWhole = pread(file, buffer.baseAddress, count, off_t(offset)) == count
            filled = isWhole ? count : 0
        }
        return isWhole ? bytes : nil
    }

    // MARK: - The list of free pages

    private func readFreeList() {
        guard let first = self.page(1), first.starts(with: Self.magic) else {
            self.isFree = [Bool](repeating: false, count: self.pageCount + 1)
            self.isFreeListLost = true
            return
        }
        // What is behind the end that the header knows is a leftover.
        let count = first.number(at: 28)
        if count > 0, count < self.pageCount { self.pageCount = count }
        self.isFree = [Bool](repeating: false, count: self.pageCount + 1)
        var trunk = first.number(at: 32)
        var found = 0
        while trunk != 0 {
            guard trunk <= self.pageCount, !self.isFree[trunk], let page = self.page(trunk),
                page.number(at: 4) <= Self.pageBytes / 4 - 2
            else {
                self.isFreeListLost = true
                return
            }
            self.isFree[trunk] = true
            found += 1 + page.number(at: 4)
            for index in 0..<page.number(at: 4) {
                let leaf = page.number(at: 8 + 4 * index)
                if leaf >= 1, leaf <= self.pageCount { self.isFree[leaf] = true }
            }
            trunk = page.number(at: 0)
        }
        if found != first.number(at: 36) { self.isFreeListLost = true }
    }

    // MARK: - The write-ahead log

    /// Finds the pages of whole transactions, as SQLite does: up to the first frame whose checksum is wrong.
    ///
    /// - Returns: The number of pages after the last transaction; 0: there is none.
    private func readLog(filePages: Int) -> Int {
        guard let header = Self.read(self.log, 0, 32), header.number(at: 0) | 1 == 0x377F_0683,
            header.number(at: 8) == Self.pageBytes
        else { return 0 }
        let isBigEndian = header.number(at: 0) & 1 == 1
        var sum = LogChecksum(isBigEndian: isBigEndian)
        sum.add(header[0..<24])
        guard sum.matches(header, at: 24) else { return 0 }
        let frameBytes = 24 + Self.pageBytes
        var offset = 32
        var pages = 0
        var transaction: [Int: Int] = [:]
        while let frame = Self.read(self.log, offset, frameBytes), frame[8..<16] == header[16..<24] {
            sum.add(frame[0..<8])
            sum.add(frame[24...])
            let number = frame.number(at: 0)
            guard sum.matches(frame, at: 16), number >= 1 else { break }
            transaction[number] = offset + 24
            let size = frame.number(at: 4)
            if size > 0 {
                self.logged.merge(transaction) { $1 }
                transaction.removeAll(keepingCapacity: true)
                pages = min(size, offset / frameBytes + 1 + filePages)
            }
            offset += frameBytes
        }
        return pages
    }
}

/// The running checksum of a write-ahead log.
private struct LogChecksum {
    let isBigEndian: Bool
    private var first: UInt32 = 0
    private var second: UInt32 = 0

    init(isBigEndian: Bool) {
        self.isBigEndian = isBigEndian
    }

    /// - Parameter bytes: A multiple of eight.
    mutating func add(_ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { bytes in
            for offset in stride(from: 0, to: bytes.count - 7, by: 8) {
                self.first &+= self.word(bytes, offset) &+ self.second
                self.second &+= self.word(bytes, offset + 4) &+ self.first
            }
        }
    }

    private func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
        let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
        return self.isBigEndian ? UInt32(bigEndian: word) : UInt32(littleEndian: word)
    }

    func matches(_ bytes: [UInt8], at offset: Int) -> Bool {
        bytes.number(at: offset) == Int(self.first) && bytes.number(at: offset + 4) == Int(self.second)
    }
}

extension [UInt8] {
    /// Four bytes, the most significant first.
    func number(at offset: Int) -> Int {
        Int(self[offset]) << 24 | Int(self[offset + 1]) << 16 | Int(self[offset + 2]) << 8 | Int(self[offset + 3])
    }
}
