/// Rows out of single pages, whatever has become of the pages that led to them.
extension DamagedFile {
    /// Most bytes of one row: more than any message has, and a bound for the memory that a wrong length can cost.
    static let maxRowBytes = 64 << 20

    /// Where SQLite keeps its locks; never written.
    private static let lockPage = (1 << 30) / pageBytes + 1

    /// Which trees a page belongs to.
    enum Kind {
        /// Tables with row ids.
        case table
        /// Indices, and tables without row ids.
        case index
    }

    /// What was found in a page.
    enum Content: Equatable {
        /// Nothing of this kind is to be expected in it.
        case none
        /// Rows were there; so many could not be read.
        case rows(lost: Int)
        /// It is no page that SQLite would have written.
        case damaged
    }

    /// Calls `body` with each row of the page that can be read.
    func rows(
        ofPage number: Int,
        kind: Kind,
        _ body: (RawRow) throws(SQLiteFailure) -> Void
    ) throws(SQLiteFailure) -> Content {
        guard number != Self.lockPage else { return .none }
        // Seen before, and nothing of this kind.
        if let type = self.types[number], type == 0 || (type == 0x0D) != (kind == .table) { return .none }
        guard let page = self.page(number) else { return .damaged }
        let start = number == 1 ? 100 : 0
        self.types[number] = [0x0D, 0x0A, 0x02].contains(page[start]) ? page[start] : 0
        let pointers: Int
        switch (page[start], kind) {
        case (0x0D, .table), (0x0A, .index): pointers = start + 8
        case (0x02, .index): pointers = start + 12
        case (0x0D, _), (0x0A, _), (0x02, _), (0x05, _): return .none
        // The continuation of a long row begins with the number of the next page.
        case (0x00, _): return page.allSatisfy { $0 == 0 } ? .damaged : .none
        default: return .damaged
        }
        let count = page.short(at: start + 3)
        guard pointers + 2 * count <= Self.pageBytes else { return .damaged }
        let holes = Holes(page)
        var lost = 0
        for index in 0..<count {
            let offset = page.short(at: pointers + 2 * index)
            guard offset >= pointers + 2 * count, offset < Self.pageBytes,
                let row = self.row(page, holes, at: offset, isInterior: page[start] == 0x02, kind)
            else {
                lost += 1
                continue
            }
            try body(row)
        }
        return .rows(lost: lost)
    }

    private func row(
        _ page: [UInt8],
        _ holes: Holes,
        at offset: Int,
        isInterior: Bool,
        _ kind: Kind
    ) -> RawRow? {
        // An interior page of an index has the number of a page in front of each row.
        var reader = VarintReader(page[min(offset + (isInterior ? 4 : 0), page.count)...])
        guard let size = reader.next().flatMap({ Int(exactly: $0) }), 1...Self.maxRowBytes ~= size else { return nil }
        var rowid: Int64?
        if kind == .table {
            guard let number = reader.next() else { return nil }
            rowid = number
        }
        let local = Self.localBytes(of: size, kind)
        let end = reader.position + local + (local < size ? 4 : 0)
        guard end <= page.count, !holes.touch(offset..<end) else { return nil }
        var payload = Array(page[reader.position..<reader.position + local])
        if local < size {
            let next = page.number(at: reader.position + local)
            guard self.readOn(from: next, upTo: size, &payload) else { return nil }
        }
        return RawRow(rowid: rowid, payload: payload)
    }

    /// Bytes of a row that are in its page; the others are in pages of their own.
    private static func localBytes(of size: Int, _ kind: Kind) -> Int {
        let most = kind == .table ? self.pageBytes - 35 : (self.pageBytes - 12) * 64 / 255 - 23
        if size <= most { return size }
        let least = (self.pageBytes - 12) * 32 / 255 - 23
        let fitting = least + (size - least) % (self.pageBytes - 4)
        return fitting <= most ? fitting : least
    }

    /// Adds the rest of a long row.
    private func readOn(from first: Int, upTo size: Int, _ payload: inout [UInt8]) -> Bool {
        var next = first
        while payload.count < size {
            guard next >= 2, next <= self.pageCount, !self.isFree[next], let page = self.page(next) else {
                return false
            }
            let end = 4 + min(size - payload.count, Self.pageBytes - 4)
            guard !Holes(page).touch(0..<end) else { return false }
            payload += page[4..<end]
            next = page.number(at: 0)
        }
        return next == 0
    }
}

/// Sectors of a page that are nothing but zeros: what a disk gives that was switched off before it had written them. A row
/// that reaches into one is taken for damaged. One with so many zeros of its own is lost too: better than one with a hole.
private struct Holes {
    private static let sectorBytes = 512

    /// A bit for each sector.
    private var bits = 0

    init(_ page: [UInt8]) {
        for sector in 0..<page.count / Self.sectorBytes {
            let bytes = page[sector * Self.sectorBytes..<(sector + 1) * Self.sectorBytes]
            if bytes.allSatisfy({ $0 == 0 }) { self.bits |= 1 << sector }
        }
    }

    func touch(_ range: Range<Int>) -> Bool {
        guard self.bits != 0, !range.isEmpty else { return false }
        let sectors = range.lowerBound / Self.sectorBytes...(range.upperBound - 1) / Self.sectorBytes
        return sectors.contains { self.bits & 1 << $0 != 0 }
    }
}

extension [UInt8] {
    /// Two bytes, the more significant first.
    fileprivate func short(at offset: Int) -> Int { Int(self[offset]) << 8 | Int(self[offset + 1]) }
}
