/// A row as the file format has it, before it is known which table it is of.
struct RawRow {
    /// A column.
    enum Value: Equatable {
        case null
        case integer(Int64)
        case real
        /// Bytes of ``RawRow/bytes``.
        case text(Range<Int>)
        case blob(Range<Int>)
    }

    /// nil in an index, and in a table without row ids.
    let rowid: Int64?
    let bytes: [UInt8]
    let values: [Value]

    /// nil if the bytes are no record, to the last byte.
    init?(rowid: Int64?, payload: [UInt8]) {
        var reader = VarintReader(payload[...])
        guard let headerBytes = reader.next(), headerBytes >= 1, headerBytes <= payload.count else { return nil }
        var body = Int(headerBytes)
        reader.end = body
        var values: [Value] = []
        while !reader.isAtEnd {
            guard let type = reader.next(), let size = Self.size(of: type), size <= payload.count - body,
                values.count < 64
            else { return nil }
            values.append(Self.value(type, payload, body..<body + size))
            body += size
        }
        guard body == payload.count else { return nil }
        self.rowid = rowid
        self.bytes = payload
        self.values = values
    }

    private static func size(of type: Int64) -> Int? {
        switch type {
        case 0, 8, 9: 0
        case 1...4: Int(type)
        case 5: 6
        case 6, 7: 8
        case 12...: Int(exactly: (type - 12) / 2)
        default: nil
        }
    }

    private static func value(_ type: Int64, _ bytes: [UInt8], _ range: Range<Int>) -> Value {
        switch type {
        case 0: .null
        case 7: .real
        case 8: .integer(0)
        case 9: .integer(1)
        case 1...6:
            // The first byte has the sign.
            .integer(
                bytes[range].dropFirst().reduce(Int64(Int8(bitPattern: bytes[range.lowerBound]))) {
                    $0 << 8 | Int64($1)
                }
            )
        default: type % 2 == 0 ? .blob(range) : .text(range)
        }
    }
}

/// Reads the variable-length integers of the file format: seven bits a byte, the highest first, in a ninth byte all eight.
struct VarintReader {
    private let bytes: ArraySlice<UInt8>
    private(set) var position: Int
    var end: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        self.position = bytes.startIndex
        self.end = bytes.endIndex
    }

    var isAtEnd: Bool { self.position >= self.end }

    /// nil: there are not enough bytes.
    mutating func next() -> Int64? {
        var value: UInt64 = 0
        for index in 0..<9 {
            guard !self.isAtEnd else { return nil }
            let byte = self.bytes[self.position]
            self.position += 1
            if index == 8 { return Int64(bitPattern: value << 8 | UInt64(byte)) }
            value = value << 7 | UInt64(byte & 0x7F)
            if byte & 0x80 == 0 { return Int64(bitPattern: value) }
        }
        return nil
    }
}
