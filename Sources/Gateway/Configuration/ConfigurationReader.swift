import Devices
import TOMLKit

/// Typed access to one table of a ``ConfigurationDocument``.
///
/// Every accessor reports what it can't use and returns `nil`, so that a reader goes on and finds the rest. Each key asked
/// for becomes a known one; ``finish(reserved:)`` reports the others. A class, as the tables inside share the document.
final class ConfigurationReader {
    /// What ``boolOr(_:_:)`` and ``boolOrString(_:)`` found.
    enum BoolOrWord { case bool(Bool), word }

    let document: ConfigurationDocument
    let path: TOMLPath
    private let table: TOMLTable
    private var known: Set<String> = []
    private var failed: Set<String> = []

    init(_ document: ConfigurationDocument, _ table: TOMLTable, at path: TOMLPath) {
        self.document = document
        self.table = table
        self.path = path
    }

    /// The whole document.
    convenience init(_ document: ConfigurationDocument) {
        self.init(document, document.root, at: .root)
    }

    // MARK: Findings

    /// The line of this table.
    var line: Int { self.document.line(of: self.path) }

    /// The line of a key of this table.
    func line(_ key: String) -> Int { self.document.line(of: self.path.key(key)) }

    /// Reports that the value of `key`, or its absence, is wrong.
    func error(_ key: String, _ message: String) {
        self.failed.insert(key)
        self.document.error(self.path.key(key), message)
    }

    /// Whether an error of `key` was reported, so that what follows from it need not be.
    func hasFailed(_ key: String) -> Bool { self.failed.contains(key) }

    /// Reports that this table is wrong as a whole.
    func error(_ message: String) { self.document.error(self.path, message) }

    /// Reports every key that nobody asked for.
    ///
    /// - Parameter reserved: keys of the design that this version does not have yet.
    func finish(reserved: Set<String> = []) {
        for key in self.table.keys where !self.known.contains(key) {
            if reserved.contains(key) {
                self.error(key, Self.unsupported)
            } else if self.document.keepsMore, let nearest = NearestName.find(key, among: self.known) {
                self.error(key, "unknown key; did you mean \"\(nearest)\"?")
            } else {
                self.error(key, "unknown key")
            }
        }
    }

    /// What is said of everything that the design has and this version has not.
    static let unsupported = "not supported by this version"

    // MARK: Values

    /// Whether the table has `key`, of whatever type.
    func has(_ key: String) -> Bool {
        self.known.insert(key)
        return self.table[key] != nil
    }

    /// Any string.
    func string(_ key: String) -> String? {
        guard let value = self.value(key) else { return nil }
        guard let string = value.string else { return self.mismatch(key, "a string", value) }
        return string
    }

    /// The value of `key` if it is a string; reports nothing, and leaves the key as unknown as it was.
    func word(_ key: String) -> String? { self.table[key]?.tomlValue.string }

    /// A string of 1 to `maxBytes` bytes.
    func text(_ key: String, maxBytes: Int) -> String? {
        guard let string = self.string(key) else { return nil }
        guard !string.isEmpty else { return self.refuse(key, "is empty") }
        guard string.utf8.count <= maxBytes else {
            return self.refuse(key, "is \(string.utf8.count) bytes long, over \(maxBytes)")
        }
        return string
    }

    /// True or false.
    func bool(_ key: String) -> Bool? {
        guard let value = self.value(key) else { return nil }
        guard let bool = value.bool else { return self.mismatch(key, "true or false", value) }
        return bool
    }

    /// True, false or a word, which may be only `word`.
    func boolOr(_ word: String, _ key: String) -> BoolOrWord? {
        guard let value = self.value(key) else { return nil }
        if let bool = value.bool { return .bool(bool) }
        let expected = "true, false or \"\(word)\""
        guard let text = value.string else { return self.mismatch(key, expected, value) }
        guard text == word else {
            return self.refuse(key, "\(TOMLPath.printable(text)) is not known; use \(expected)")
        }
        return .word
    }

    /// True, false or any string.
    func boolOrString(_ key: String) -> BoolOrWord? {
        guard let value = self.value(key) else { return nil }
        if let bool = value.bool { return .bool(bool) }
        return value.string == nil ? self.mismatch(key, "a string, or true or false", value) : .word
    }

    /// A whole number in `range`.
    func int(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = self.value(key) else { return nil }
        guard let int = value.int else { return self.mismatch(key, "a whole number", value) }
        guard range.contains(int) else {
            return self.refuse(key, "\(int) is out of range: \(range.lowerBound) to \(range.upperBound)")
        }
        return int
    }

    /// A size in bytes, written with its unit.
    func size(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let size = self.parsed(key, "a size such as \"4KiB\"", ByteSize.parse) else { return nil }
        guard range.contains(size) else {
            let low = ByteSize.describe(range.lowerBound)
            let given = TOMLPath.printable(self.string(key) ?? "")
            return self.refuse(key, "\(given) is out of range: \(low) to \(ByteSize.describe(range.upperBound))")
        }
        return size
    }

    /// A duration, written with its unit.
    func duration(_ key: String, in range: ClosedRange<Duration>) -> Duration? {
        guard let duration = self.parsed(key, "a duration such as \"60s\"", DurationText.parse) else { return nil }
        guard range.contains(duration) else {
            let low = DurationText.describe(range.lowerBound)
            let given = TOMLPath.printable(self.string(key) ?? "")
            return self.refuse(key, "\(given) is out of range: \(low) to \(DurationText.describe(range.upperBound))")
        }
        return duration
    }

    /// A rate, `20/s`.
    func rate(_ key: String) -> Rate? {
        self.parsed(key, "a rate such as \"20/s\"") { text throws(RateError) in try Rate(text) }
    }

    /// One of the words of an enum.
    ///
    /// - Parameter reserved: words of the design that this version does not have yet.
    func choice<Choice>(_ key: String, reserved: Set<String> = []) -> Choice?
    where Choice: RawRepresentable<String> & CaseIterable {
        let words = Choice.allCases.map(\.rawValue).filter { !reserved.contains($0) }
        let shown = (words.count > 1 ? "one of " : "") + words.map { "\"\($0)\"" }.joined(separator: ", ")
        guard let value = self.value(key) else { return nil }
        guard let word = value.string else { return self.mismatch(key, shown, value) }
        if reserved.contains(word) { return self.refuse(key, "\"\(word)\" is \(Self.unsupported); use \(shown)") }
        guard let choice = Choice(rawValue: word) else {
            let nearest = NearestName.find(word, among: words)
            let hint = nearest.map { "did you mean \"\($0)\"?" } ?? "use \(shown)"
            return self.refuse(key, "\(TOMLPath.printable(word)) is not known; \(hint)")
        }
        return choice
    }

    /// The name of a file, relative to `directory`.
    func file(_ key: String, _ content: ConfigurationFile.Content, directory: String) -> ConfigurationFile? {
        guard let name = self.text(key, maxBytes: 4_096) else { return nil }
        guard !SecretFile.isSecretItself(name) else {
            return self.refuse(key, "must name a file; the secret itself belongs into that file, not here")
        }
        let path = ConfigurationFile.resolve(name, in: directory)
        return ConfigurationFile(
            path: path,
            content: content,
            key: self.path.key(key).description,
            line: self.line(key)
        )
    }

    /// A topic template.
    ///
    /// - Parameter hasCaptures: Whether a `+` may have a name.
    func template(_ key: String, hasCaptures: Bool = false) -> TopicTemplate? {
        self.parsed(key, "a topic such as \"nodes/%d/#\"") { text throws(ConfigurationValueError) in
            try Self.template(text, hasCaptures: hasCaptures)
        }
    }

    /// At most 1,000 topic templates with the line of each; those that are none are reported and left out.
    func templates(_ key: String) -> [PolicyLine]? {
        self.strings(key, atMost: 1_000)?.compactMap { text, path in
            do {
                return PolicyLine(template: try Self.template(text), line: self.document.line(of: path))
            } catch {
                self.document.error(path, "\(error)")
                return nil
            }
        }
    }

    /// A topic template; throws in words that say which one it is.
    static func template(
        _ text: String,
        hasCaptures: Bool = false
    ) throws(ConfigurationValueError) -> TopicTemplate {
        do {
            return try TopicTemplate(text, hasCaptures: hasCaptures)
        } catch {
            throw ConfigurationValueError("\(TOMLPath.printable(text)) \(error)")
        }
    }

    /// Strings with the path of each.
    ///
    /// - Parameters:
    ///   - orOne: whether a string alone is taken as well.
    ///   - limit: more are refused, and not looked at.
    func strings(_ key: String, orOne: Bool = false, atMost limit: Int) -> [(text: String, path: TOMLPath)]? {
        guard let value = self.value(key) else { return nil }
        let path = self.path.key(key)
        if orOne, let string = value.string { return [(string, path)] }
        let expected = orOne ? "a string or an array of strings" : "an array of strings"
        guard let array = value.array else { return self.mismatch(key, expected, value) }
        guard self.isWithin(limit, array.count, key) else { return nil }
        var strings: [(String, TOMLPath)] = []
        for index in array.indices {
            let element = array[index]
            if let string = element.string {
                strings.append((string, path.element(index)))
            } else {
                let found = Self.describe(element.type)
                self.document.error(path.element(index), "expected a string, found \(found)")
            }
        }
        return strings
    }

    // MARK: Tables

    /// A table of strings whose keys are not known beforehand, in the order of their lines.
    ///
    /// - Parameters:
    ///   - example: what people are told to write.
    ///   - limit: more are refused, and not looked at.
    func namedStrings(
        _ key: String,
        example: String,
        atMost limit: Int
    ) -> [(name: String, text: String, path: TOMLPath)]? {
        guard let value = self.value(key) else { return nil }
        guard let table = value.table else { return self.mismatch(key, example, value) }
        guard self.isWithin(limit, table.count, key) else { return nil }
        var strings: [(name: String, text: String, path: TOMLPath)] = []
        for name in table.keys {
            let path = self.path.key(key).key(name)
            guard let inner = table[name]?.tomlValue else { continue }
            if let text = inner.string {
                strings.append((name, text, path))
            } else {
                self.document.error(path, "expected a string, found \(Self.describe(inner.type))")
            }
        }
        return strings.sorted {
            (self.document.line(of: $0.path), $0.name) < (self.document.line(of: $1.path), $1.name)
        }
    }

    /// A table, which people are told to write as `example`.
    func table(_ key: String, example: String) -> ConfigurationReader? {
        guard let value = self.value(key) else { return nil }
        guard let table = value.table else { return self.mismatch(key, example, value) }
        return ConfigurationReader(self.document, table, at: self.path.key(key))
    }

    /// The `[key.NAME]` tables, in the order of their lines; none if there are more than `limit`, which is reported.
    func namedTables(_ key: String, atMost limit: Int) -> [(name: String, reader: ConfigurationReader)] {
        guard let value = self.value(key) else { return [] }
        guard let outer = value.table else {
            return self.mismatch(key, "tables with a name of their own, [\(key).NAME]", value) ?? []
        }
        guard self.isWithin(limit, outer.count, key) else { return [] }
        var tables: [(name: String, reader: ConfigurationReader)] = []
        for name in outer.keys {
            let path = self.path.key(key).key(name)
            guard let inner = outer[name] else { continue }
            if let table = inner.table {
                tables.append((name, ConfigurationReader(self.document, table, at: path)))
            } else {
                let found = Self.describe(inner.type)
                self.document.error(path, "expected a table, [\(key).NAME], found \(found)")
            }
        }
        return tables.sorted { $0.reader.line < $1.reader.line }
    }

    /// The `[[key]]` tables, in order; none if there are more than `limit`, which is reported.
    func tables(_ key: String, atMost limit: Int) -> [ConfigurationReader] {
        guard let value = self.value(key) else { return [] }
        guard let array = value.array else {
            return self.mismatch(key, "[[\(key)]] with two brackets", value) ?? []
        }
        guard self.isWithin(limit, array.count, key) else { return [] }
        let path = self.path.key(key)
        var tables: [ConfigurationReader] = []
        for index in array.indices {
            if let table = array[index].table {
                tables.append(ConfigurationReader(self.document, table, at: path.element(index)))
            } else {
                let found = Self.describe(array[index].type)
                self.document.error(path.element(index), "expected a table, found \(found)")
            }
        }
        return tables
    }

    /// The value, whatever its type, of a key that is now a known one.
    private func value(_ key: String) -> TOMLValue? {
        self.known.insert(key)
        return self.table[key]?.tomlValue
    }

    private func isWithin(_ limit: Int, _ count: Int, _ key: String) -> Bool {
        if count > limit { self.error(key, "has \(count) entries, over \(limit)") }
        return count <= limit
    }

    // MARK: Refusals

    /// Reports `message` of `key`.
    func refuse<Value>(_ key: String, _ message: String) -> Value? {
        self.error(key, message)
        return nil
    }

    /// Reports that `key` is none of `expected`.
    private func mismatch<Value>(_ key: String, _ expected: String, _ value: TOMLValue) -> Value? {
        self.refuse(key, "expected \(expected), found \(Self.describe(value.type))")
    }

    private func parsed<Value, Failure>(
        _ key: String,
        _ expected: String,
        _ parse: (String) throws(Failure) -> Value
    ) -> Value? {
        guard let value = self.value(key) else { return nil }
        guard let string = value.string else { return self.mismatch(key, expected, value) }
        do {
            return try parse(string)
        } catch {
            return self.refuse(key, "\(error)")
        }
    }

    private static func describe(_ type: TOMLType) -> String {
        switch type {
        case .table: "a table"
        case .array: "an array"
        case .string: "a string"
        case .int: "a whole number"
        case .double: "a number with a fraction"
        case .bool: "true or false"
        case .date: "a date"
        case .time: "a time"
        case .dateTime: "a date and time"
        }
    }
}
