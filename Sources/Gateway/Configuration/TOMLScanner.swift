/// A cursor over the bytes of a TOML document: just enough of the grammar to find keys and to step over values.
///
/// Every method ends, moves only forward, and takes anything: validity is TOMLKit's business.
struct TOMLScanner {
    private let bytes: [UInt8]
    private(set) var position = 0
    /// Line of ``position``, counted from 1.
    private(set) var line = 1
    /// Lines on which a string or key has U+0000 as an escape.
    private(set) var nullEscapeLines: [Int] = []

    private static let newline = UInt8(ascii: "\n")
    private static let quote = UInt8(ascii: "\"")
    private static let apostrophe = UInt8(ascii: "'")
    private static let backslash = UInt8(ascii: "\\")

    init(_ text: String) {
        self.bytes = Array(text.utf8)
        if self.bytes.starts(with: [0xEF, 0xBB, 0xBF]) { self.position = 3 }
    }

    func peek(_ offset: Int = 0) -> UInt8? {
        self.position + offset < self.bytes.count ? self.bytes[self.position + offset] : nil
    }

    mutating func advance() {
        guard self.position < self.bytes.count else { return }
        if self.bytes[self.position] == Self.newline { self.line += 1 }
        self.position += 1
    }

    /// Steps over `byte` if it is next.
    mutating func skip(_ byte: UInt8) -> Bool {
        guard self.peek() == byte else { return false }
        self.advance()
        return true
    }

    /// Spaces, tabs, and with `newlines` also line ends and comments.
    mutating func skipBlank(newlines: Bool) {
        while let byte = self.peek() {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"): self.advance()
            case UInt8(ascii: "\r"), Self.newline:
                guard newlines else { return }
                self.advance()
            case UInt8(ascii: "#"):
                guard newlines else { return }
                self.skipLine()
            default: return
            }
        }
    }

    /// To the start of the next line.
    mutating func skipLine() {
        while let byte = self.peek() {
            self.advance()
            if byte == Self.newline { return }
        }
    }

    /// To the end of the document.
    mutating func skipAll() {
        while self.peek() != nil { self.advance() }
    }

    mutating func skipEquals() -> Bool {
        self.skipBlank(newlines: false)
        guard self.skip(UInt8(ascii: "=")) else { return false }
        self.skipBlank(newlines: false)
        return true
    }

    /// A key, dotted or not, each part bare or quoted. `nil` if none stands here.
    mutating func readKey() -> [String]? {
        var parts: [String] = []
        while true {
            self.skipBlank(newlines: false)
            switch self.peek() {
            case Self.quote, Self.apostrophe: parts.append(self.readString())
            case let byte? where Self.isBareKeyByte(byte): parts.append(self.readBareKey())
            default: return nil
            }
            self.skipBlank(newlines: false)
            guard self.skip(UInt8(ascii: ".")) else { return parts }
        }
    }

    /// Numbers, dates, booleans: up to what may follow a value.
    mutating func skipScalar() {
        while let byte = self.peek() {
            switch byte {
            case UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: "#"), Self.newline: return
            default: self.advance()
            }
        }
    }

    /// A string of any of the four kinds.
    mutating func skipString() {
        guard let delimiter = self.peek() else { return }
        guard self.peek(1) == delimiter, self.peek(2) == delimiter else {
            _ = self.readString()
            return
        }
        for _ in 0..<3 { self.advance() }
        while let byte = self.peek() {
            if byte == Self.backslash, delimiter == Self.quote {
                _ = self.readEscape()
            } else if byte == delimiter, self.peek(1) == delimiter, self.peek(2) == delimiter {
                // Up to two more delimiters belong to the string: """a""""" ends in two quotes.
                var run = 0
                while run < 5, self.peek() == delimiter {
                    self.advance()
                    run += 1
                }
                return
            } else {
                self.advance()
            }
        }
    }

    // MARK: Parts

    /// Whether `byte` may stand in a bare key. Bytes past ASCII are taken too, as newer TOML allows them.
    private static func isBareKeyByte(_ byte: UInt8) -> Bool {
        byte >= 0x80 || TOMLPath.isBareKeyByte(byte)
    }

    private mutating func readBareKey() -> String {
        let start = self.position
        while let byte = self.peek(), Self.isBareKeyByte(byte) { self.advance() }
        return String(decoding: self.bytes[start..<self.position], as: UTF8.self)
    }

    /// A string on one line, unescaped.
    private mutating func readString() -> String {
        guard let delimiter = self.peek() else { return "" }
        self.advance()
        var content: [UInt8] = []
        while let byte = self.peek(), byte != Self.newline {
            if byte == delimiter {
                self.advance()
                break
            }
            if byte == Self.backslash, delimiter == Self.quote {
                content += self.readEscape()
            } else {
                content.append(byte)
                self.advance()
            }
        }
        return String(decoding: content, as: UTF8.self)
    }

    /// The bytes that an escape sequence stands for.
    private mutating func readEscape() -> [UInt8] {
        self.advance()
        guard let kind = self.peek() else { return [] }
        self.advance()
        switch kind {
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "e"): return [0x1B]
        case UInt8(ascii: "x"): return self.readCodePoint(digits: 2)
        case UInt8(ascii: "u"): return self.readCodePoint(digits: 4)
        case UInt8(ascii: "U"): return self.readCodePoint(digits: 8)
        default: return [kind]
        }
    }

    private mutating func readCodePoint(digits: Int) -> [UInt8] {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let byte = self.peek(), let digit = Hexadecimal.value(of: byte) else { break }
            value = value << 4 | UInt32(digit)
            self.advance()
        }
        if value == 0 { self.nullEscapeLines.append(self.line) }
        guard let scalar = Unicode.Scalar(value) else { return [] }
        return Array(String(scalar).utf8)
    }
}
