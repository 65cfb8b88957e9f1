import NIOCore

/// Reads CBOR (RFC 8949), as much of it as SenML may be written in.
///
/// By hand: there is no CBOR library for Swift that is maintained, bounds what it reads and needs no Foundation, and SenML
/// needs integers, floats, decimal fractions, text, bytes, arrays and maps, all of them over one bounded buffer. Strings have
/// a definite length, as RFC 8428 §6 asks; arrays and maps may have none, for encoders of small nodes write them so.
struct CBORCursor {
    /// The first byte of a data item, and what goes with it (RFC 8949 §3).
    enum Head: Equatable {
        case unsigned(UInt64)
        /// Stands for -1 - n.
        case negative(UInt64)
        case bytes(UInt64)
        case text(UInt64)
        /// `nil`: until a break.
        case array(UInt64?)
        case map(UInt64?)
        case tag(UInt64)
        case bool(Bool)
        case float(Double)
        /// `null`, `undefined` and others that mean nothing here.
        case simple
        case breakCode
    }

    private var buffer: ByteBuffer
    private let start: Int

    init(_ buffer: ByteBuffer) {
        self.buffer = buffer
        self.start = buffer.readerIndex
    }

    /// Bytes read so far.
    var offset: Int { self.buffer.readerIndex - self.start }
    var isAtEnd: Bool { self.buffer.readableBytes == 0 }

    /// Reads one head.
    mutating func head() throws(SenMLError) -> Head {
        let offset = self.offset
        let first = try self.read(UInt8.self)
        let (major, short) = (first >> 5, first & 0x1F)
        if major == 7 { return try self.simple(short, offset) }
        let argument: UInt64?
        switch short {
        case 0...23: argument = UInt64(short)
        case 24: argument = UInt64(try self.read(UInt8.self))
        case 25: argument = UInt64(try self.read(UInt16.self))
        case 26: argument = UInt64(try self.read(UInt32.self))
        case 27: argument = try self.read(UInt64.self)
        case 31 where major == 4 || major == 5: argument = nil
        default: throw SenMLError(.syntax, offset: offset)
        }
        switch (major, argument) {
        case (4, _): return .array(argument)
        case (5, _): return .map(argument)
        case (0, let value?): return .unsigned(value)
        case (1, let value?): return .negative(value)
        case (2, let value?): return .bytes(value)
        case (3, let value?): return .text(value)
        case (6, let value?): return .tag(value)
        default: throw SenMLError(.syntax, offset: offset)
        }
    }

    /// Looks at the next byte: whether it is the end of an array or a map without a length, which is then read.
    mutating func readBreak() throws(SenMLError) -> Bool {
        guard let next = self.buffer.getInteger(at: self.buffer.readerIndex, as: UInt8.self) else {
            throw SenMLError(.truncated, offset: self.offset)
        }
        guard next == 0xFF else { return false }
        self.buffer.moveReaderIndex(forwardBy: 1)
        return true
    }

    /// The content of a byte or text string whose head was read.
    mutating func content(_ length: UInt64) throws(SenMLError) -> ByteBuffer {
        guard let count = Int(exactly: length), let slice = self.buffer.readSlice(length: count) else {
            throw SenMLError(.truncated, offset: self.offset)
        }
        return slice
    }

    /// The text whose head was read.
    mutating func text(_ length: UInt64, limit: Int) throws(SenMLError) -> String {
        guard length <= UInt64(limit) else { throw SenMLError(.tooLong(limit: limit), offset: self.offset) }
        let offset = self.offset
        let bytes = try self.content(length)
        guard let text = String(validating: bytes.readableBytesView, as: UTF8.self) else {
            throw SenMLError(.syntax, offset: offset)
        }
        return text
    }

    /// A number; `nil` if the head is none.
    mutating func number(_ head: Head) throws(SenMLError) -> SenMLNumber? {
        let offset = self.offset
        switch head {
        case .unsigned(let value): return Int64(exactly: value).map(SenMLNumber.integer) ?? .double(Double(value))
        case .negative(let value): return Self.negative(value).map(SenMLNumber.integer) ?? .double(-1 - Double(value))
        case .float(let value):
            guard let number = SenMLNumber(value) else { throw SenMLError(.number, offset: offset) }
            return number
        case .tag(4): return try self.decimalFraction()
        case .tag, .bytes, .text, .array, .map, .bool, .simple, .breakCode: return nil
        }
    }

    /// A whole number; `nil` if the head is none, or does not fit.
    static func integer(_ head: Head) -> Int64? {
        switch head {
        case .unsigned(let value): Int64(exactly: value)
        case .negative(let value): Self.negative(value)
        case .float, .tag, .bytes, .text, .array, .map, .bool, .simple, .breakCode: nil
        }
    }

    /// Skips the item of a head that was read, with all that is in it.
    mutating func skip(_ head: Head, depth: Int = 0) throws(SenMLError) {
        guard depth < SenMLLimits.depth else {
            throw SenMLError(.tooDeep(limit: SenMLLimits.depth), offset: self.offset)
        }
        switch head {
        case .unsigned, .negative, .bool, .float, .simple: return
        case .bytes(let length): _ = try self.content(length)
        case .text(let length): _ = try self.text(length, limit: SenMLLimits.packBytes)
        case .tag: try self.skip(try self.head(), depth: depth + 1)
        case .array(let count): try self.skipItems(count, depth: depth + 1)
        case .map(let count): try self.skipItems(count, perPair: true, depth: depth + 1)
        case .breakCode: throw SenMLError(.syntax, offset: self.offset)
        }
    }

    /// Each item takes a byte at least, so that no count makes more work than there are bytes.
    private mutating func skipItems(_ count: UInt64?, perPair: Bool = false, depth: Int) throws(SenMLError) {
        var left = count
        while left != 0 {
            if let some = left { left = some - 1 } else if try self.readBreak() { return }
            try self.skip(try self.head(), depth: depth)
            if perPair { try self.skip(try self.head(), depth: depth) }
        }
    }

    private mutating func simple(_ short: UInt8, _ offset: Int) throws(SenMLError) -> Head {
        switch short {
        case 20: return .bool(false)
        case 21: return .bool(true)
        case 0...19, 22, 23: return .simple
        case 24:
            guard try self.read(UInt8.self) >= 32 else { throw SenMLError(.syntax, offset: offset) }
            return .simple
        case 25: return .float(Self.half(try self.read(UInt16.self)))
        case 26: return .float(Double(Float(bitPattern: try self.read(UInt32.self))))
        case 27: return .float(Double(bitPattern: try self.read(UInt64.self)))
        case 31: return .breakCode
        default: throw SenMLError(.syntax, offset: offset)
        }
    }

    /// What follows tag 4: an array of exponent and mantissa (RFC 8949 §3.4.4).
    private mutating func decimalFraction() throws(SenMLError) -> SenMLNumber {
        let offset = self.offset
        let head = try self.head()
        guard head == .array(2) else { throw SenMLError(.syntax, offset: offset) }
        guard let exponent = Self.integer(try self.head()), let mantissa = Self.integer(try self.head()) else {
            throw SenMLError(.number, offset: offset)
        }
        // As text, for a power of ten is no double; far beyond what a double can hold, the text need not be made.
        guard abs(exponent.clamped) <= 400, let double = Double("\(mantissa)e\(exponent)"),
            let number = SenMLNumber(double)
        else { throw SenMLError(.number, offset: offset) }
        return number
    }

    private static func negative(_ value: UInt64) -> Int64? { Int64(exactly: value).map { -1 - $0 } }

    /// IEEE 754 binary16 (RFC 8949 appendix D).
    private static func half(_ bits: UInt16) -> Double {
        let exponent = Int(bits >> 10 & 0x1F)
        let fraction = Double(bits & 0x3FF)
        let magnitude: Double =
            switch exponent {
            case 0: fraction * 0x1p-24
            case 31: fraction == 0 ? .infinity : .nan
            default: Double(sign: .plus, exponent: exponent - 25, significand: fraction + 1024)
            }
        return bits & 0x8000 == 0 ? magnitude : -magnitude
    }

    private mutating func read<Integer: FixedWidthInteger>(_ type: Integer.Type) throws(SenMLError) -> Integer {
        guard let value = self.buffer.readInteger(as: type) else { throw SenMLError(.truncated, offset: self.offset) }
        return value
    }
}

extension Int64 {
    /// Itself, or the nearest whose `abs` exists.
    fileprivate var clamped: Int64 { Swift.max(self, -Int64.max) }
}
