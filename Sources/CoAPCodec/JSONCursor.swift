import NIOCore

/// Reads JSON (RFC 8259) value by value, from a bounded buffer.
struct JSONCursor {
    private var buffer: ByteBuffer
    private let start: Int

    init(_ buffer: ByteBuffer) {
        self.buffer = buffer
        self.start = buffer.readerIndex
    }

    /// Bytes read so far.
    var offset: Int { self.buffer.readerIndex - self.start }

    /// Whether nothing but blanks is left.
    var isAtEnd: Bool {
        mutating get {
            self.skipBlanks()
            return self.buffer.readableBytes == 0
        }
    }

    // MARK: Structure

    /// Reads `byte`, or throws.
    mutating func expect(_ byte: UInt8) throws(SenMLError) {
        guard try self.take(byte) else { throw self.error(.syntax) }
    }

    /// Reads `byte` if it is next.
    mutating func take(_ byte: UInt8) throws(SenMLError) -> Bool {
        guard try self.peek() == byte else { return false }
        self.advance()
        return true
    }

    /// Reads a separator, true, or the end of a list, false.
    mutating func take(_ separator: UInt8, orEnd end: UInt8) throws(SenMLError) -> Bool {
        if try self.take(separator) { return true }
        try self.expect(end)
        return false
    }

    // MARK: Values

    mutating func bool() throws(SenMLError) -> Bool {
        switch try self.peek() {
        case UInt8(ascii: "t"):
            try self.word("true")
            return true
        case UInt8(ascii: "f"):
            try self.word("false")
            return false
        default: throw self.error(.wrongType)
        }
    }

    /// A number in the syntax of RFC 8259 §6.
    mutating func number() throws(SenMLError) -> SenMLNumber {
        let first = try self.peek()
        guard first == UInt8(ascii: "-") || Self.isDigit(first) else { throw self.error(.wrongType) }
        let offset = self.offset
        var text: [UInt8] = []
        var isWhole = true
        if first == UInt8(ascii: "-") { self.move(into: &text) }
        let isZero = self.next == UInt8(ascii: "0")
        let digits = try self.digits(into: &text)
        guard !isZero || digits == 1 else { throw self.error(.syntax) }
        if self.next == UInt8(ascii: ".") {
            isWhole = false
            self.move(into: &text)
            _ = try self.digits(into: &text)
        }
        if self.next == UInt8(ascii: "e") || self.next == UInt8(ascii: "E") {
            isWhole = false
            self.move(into: &text)
            if self.next == UInt8(ascii: "+") || self.next == UInt8(ascii: "-") { self.move(into: &text) }
            _ = try self.digits(into: &text)
        }
        let written = String(decoding: text, as: UTF8.self)
        if isWhole, let integer = Int64(written) { return .integer(integer) }
        guard let double = Double(written), let number = SenMLNumber(double) else {
            throw SenMLError(.number, offset: offset)
        }
        return number
    }

    /// A string of at most `limit` bytes when its escapes are resolved.
    mutating func string(limit: Int) throws(SenMLError) -> String {
        guard try self.peek() == UInt8(ascii: "\"") else { throw self.error(.wrongType) }
        let offset = self.offset
        self.advance()
        var bytes: [UInt8] = []
        while true {
            guard bytes.count <= limit else { throw SenMLError(.tooLong(limit: limit), offset: offset) }
            guard let byte = self.next else { throw self.error(.truncated) }
            self.advance()
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw SenMLError(.syntax, offset: offset)
                }
                return text
            case UInt8(ascii: "\\"): bytes.append(contentsOf: try self.escape())
            case 0..<0x20: throw self.error(.syntax)
            default: bytes.append(byte)
            }
        }
    }

    /// Skips a value with all that is in it.
    mutating func skip(depth: Int = 0) throws(SenMLError) {
        guard depth < SenMLLimits.depth else { throw self.error(.tooDeep(limit: SenMLLimits.depth)) }
        switch try self.peek() {
        case UInt8(ascii: "\""): _ = try self.string(limit: SenMLLimits.packBytes)
        case UInt8(ascii: "t"), UInt8(ascii: "f"): _ = try self.bool()
        case UInt8(ascii: "n"): try self.word("null")
        case UInt8(ascii: "["):
            self.advance()
            if try self.take(UInt8(ascii: "]")) { return }
            repeat { try self.skip(depth: depth + 1) } while try self.take(UInt8(ascii: ","), orEnd: UInt8(ascii: "]"))
        case UInt8(ascii: "{"):
            self.advance()
            if try self.take(UInt8(ascii: "}")) { return }
            repeat {
                _ = try self.string(limit: SenMLLimits.packBytes)
                try self.expect(UInt8(ascii: ":"))
                try self.skip(depth: depth + 1)
            } while try self.take(UInt8(ascii: ","), orEnd: UInt8(ascii: "}"))
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): _ = try self.number()
        default: throw self.error(.syntax)
        }
    }

    // MARK: Bytes

    /// The next byte as it is; `nil` at the end.
    private var next: UInt8? { self.buffer.getInteger(at: self.buffer.readerIndex, as: UInt8.self) }

    /// The next byte that is no blank.
    private mutating func peek() throws(SenMLError) -> UInt8 {
        self.skipBlanks()
        guard let byte = self.next else { throw self.error(.truncated) }
        return byte
    }

    private mutating func skipBlanks() {
        while let byte = self.next, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { self.advance() }
    }

    /// Only behind ``next``.
    private mutating func advance() { self.buffer.moveReaderIndex(forwardBy: 1) }

    private mutating func move(into text: inout [UInt8]) {
        guard let byte = self.next else { return }
        text.append(byte)
        self.advance()
    }

    /// One digit or more; how many.
    private mutating func digits(into text: inout [UInt8]) throws(SenMLError) -> Int {
        var count = 0
        while let byte = self.next, Self.isDigit(byte) {
            guard text.count < SenMLLimits.numberBytes else { throw self.error(.number) }
            self.move(into: &text)
            count += 1
        }
        guard count > 0 else { throw self.error(self.next == nil ? .truncated : .syntax) }
        return count
    }

    private mutating func word(_ word: String) throws(SenMLError) {
        for byte in word.utf8 {
            guard let next = self.next else { throw self.error(.truncated) }
            guard next == byte else { throw self.error(.syntax) }
            self.advance()
        }
    }

    /// What a backslash and what follows it stand for, as UTF-8.
    private mutating func escape() throws(SenMLError) -> [UInt8] {
        guard let byte = self.next else { throw self.error(.truncated) }
        self.advance()
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var value = UInt32(try self.fourDigits())
            if 0xD800..<0xDC00 ~= value {
                guard self.next == UInt8(ascii: "\\") else { throw self.error(.syntax) }
                self.advance()
                guard self.next == UInt8(ascii: "u") else { throw self.error(.syntax) }
                self.advance()
                let low = UInt32(try self.fourDigits())
                guard 0xDC00..<0xE000 ~= low else { throw self.error(.syntax) }
                value = 0x1_0000 + (value - 0xD800) << 10 + (low - 0xDC00)
            }
            // Half a pair is none.
            guard let scalar = Unicode.Scalar(value) else { throw self.error(.syntax) }
            return Array(String(Character(scalar)).utf8)
        default: throw self.error(.syntax)
        }
    }

    private mutating func fourDigits() throws(SenMLError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = self.next else { throw self.error(.truncated) }
            guard let digit = Character(UnicodeScalar(byte)).hexDigitValue else { throw self.error(.syntax) }
            value = value << 4 | UInt16(digit)
            self.advance()
        }
        return value
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private func error(_ kind: SenMLError.Kind) -> SenMLError { SenMLError(kind, offset: self.offset) }
}
