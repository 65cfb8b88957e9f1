import TOMLKit

/// One TOML document being read: the text's lines and what was found wrong so far.
///
/// A class, as the readers of its tables share it; used by one thread, while one file is read.
final class ConfigurationDocument {
    let file: String
    private let lines: TOMLLineIndex
    /// Errors first met, at most ``ConfigurationError/maxKept``.
    private var errors: [ConfigurationFinding] = []
    private var errorCount = 0
    private(set) var warnings: [ConfigurationFinding] = []
    let root: TOMLTable

    /// Parses `text`.
    ///
    /// - Throws: ``ConfigurationError`` with the parser's one finding if `text` is no TOML.
    init(text: String, file: String, maxBytes: Int) throws(ConfigurationError) {
        self.file = file
        guard text.utf8.count <= maxBytes else {
            throw Self.refusal(file, 0, "is \(text.utf8.count) bytes long, over \(ByteSize.describe(maxBytes))")
        }
        // TOMLKit hands the text on as a C string: it would take a null character as the end, and ignore what follows.
        if let null = text.utf8.firstIndex(of: 0) {
            throw Self.refusal(file, Self.line(of: null, in: text), "holds the null character")
        }
        self.lines = TOMLLineIndex(text)
        if let line = self.lines.tooDeepLine {
            throw Self.refusal(file, line, "is nested deeper than \(TOMLLineIndex.maxDepth) levels")
        }
        do {
            self.root = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw Self.refusal(file, error.source.begin.line, Self.rephrased(error.description))
        } catch {
            throw Self.refusal(file, 0, "is no TOML")
        }
        for line in self.lines.nullEscapeLines {
            let message = "holds the null character"
            self.errors.append(ConfigurationFinding(file: file, line: line, key: "", message: message))
        }
        self.errorCount = self.errors.count
    }

    /// The text of the file at `path`.
    ///
    /// - Throws: ``ConfigurationError`` if it can't be read, is over `limit` bytes, or is not well-formed UTF-8.
    static func readText(
        _ path: String,
        limit: Int,
        access: FileReader.Access = .anyone
    ) throws(ConfigurationError) -> String {
        let bytes: [UInt8]
        do {
            bytes = try FileReader.read(path, limit: limit, access: access)
        } catch {
            throw Self.refusal(path, 0, error.reason)
        }
        return try Self.text(of: bytes, file: path)
    }

    /// `bytes` as text.
    ///
    /// - Throws: ``ConfigurationError`` with the line of the first byte that is not well-formed UTF-8.
    static func text(of bytes: [UInt8], file: String) throws(ConfigurationError) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var line = 1
        for part in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if String(validating: part, as: UTF8.self) == nil { break }
            line += 1
        }
        throw Self.refusal(file, line, "is not well-formed UTF-8")
    }

    private static func refusal(_ file: String, _ line: Int, _ message: String) -> ConfigurationError {
        ConfigurationError([ConfigurationFinding(file: file, line: line, key: "", message: message)])
    }

    private static func line(of index: String.UTF8View.Index, in text: String) -> Int {
        1 + text.utf8[..<index].count { $0 == UInt8(ascii: "\n") }
    }

    /// The parser's words in the order of this gateway's messages. What it says most often gets a likely cause, and a number
    /// is not repeated, as it may be a secret that lost its quotes.
    private static func rephrased(_ description: String) -> String {
        var words = Substring(description)
        var scope = ""
        let preamble = "Error while parsing "
        if words.hasPrefix(preamble), let colon = words.firstIndex(of: ":") {
            scope = " (in a \(words[..<colon].dropFirst(preamble.count)))"
            words = words[colon...].dropFirst(2)
        }
        if words.contains("could not determine value type") {
            words = "this is no value; text stands in quotes"
        } else if words.contains("control characters other than TAB") {
            words = "a quote is missing at the end of the line, or the text holds a control character"
        } else if words.contains("is not representable") {
            words = "the number is too large"
        } else if words.contains("encountered end-of-file") {
            words = "the file ends in the middle of it"
        }
        return "not valid TOML: \(words)\(scope)"
    }

    // MARK: Findings

    func line(of path: TOMLPath) -> Int { self.lines.line(of: path) }

    /// The path of the element of `[[key]]` that starts on `line`.
    func path(ofElement key: String, onLine line: Int, count: Int) -> TOMLPath {
        let path = TOMLPath.root.key(key)
        let index = (0..<count).first { self.lines.line(of: path.element($0)) == line } ?? 0
        return path.element(index)
    }

    func error(_ path: TOMLPath, _ message: String) {
        if self.keepsMore { self.errors.append(self.finding(path, message, .error)) }
        self.errorCount += 1
    }

    /// Whether another error would be kept, and not only be counted.
    var keepsMore: Bool { self.errors.count < ConfigurationError.maxKept }

    func warning(_ path: TOMLPath, _ message: String) {
        guard self.warnings.count < ConfigurationError.maxKept else { return }
        self.warnings.append(self.finding(path, message, .warning))
    }

    private func finding(
        _ path: TOMLPath,
        _ message: String,
        _ severity: ConfigurationFinding.Severity
    ) -> ConfigurationFinding {
        ConfigurationFinding(
            file: self.file,
            line: self.lines.line(of: path),
            key: path.description,
            message: message,
            severity: severity
        )
    }

    var hasErrors: Bool { self.errorCount > 0 }

    /// - Throws: every error found, in the order of the file.
    func throwErrors() throws(ConfigurationError) {
        guard self.hasErrors else { return }
        let sorted = self.errors.enumerated().sorted { ($0.element.line, $0.offset) < ($1.element.line, $1.offset) }
        throw ConfigurationError(sorted.map(\.element), count: self.errorCount)
    }
}
