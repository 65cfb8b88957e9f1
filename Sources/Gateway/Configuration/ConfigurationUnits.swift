/// Why some text is no size, duration or address; in words that follow the key's name.
package struct ConfigurationValueError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The words.
    package var description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Sizes in bytes as gateway.conf writes them: `4KiB`.
package enum ByteSize {
    private static let units: [(name: String, factor: Int)] = [
        ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("B", 1),
    ]

    /// The bytes that `text`, a whole number and a unit, stands for.
    package static func parse(_ text: String) throws(ConfigurationValueError) -> Int {
        try UnitText.parse(text, Self.units, what: "size", example: "4KiB")
    }

    /// `bytes` in the largest binary unit that it is a multiple of.
    package static func describe(_ bytes: Int) -> String {
        for unit in self.units.prefix(3) where bytes >= unit.factor && bytes % unit.factor == 0 {
            return "\(bytes / unit.factor)\(unit.name)"
        }
        return "\(bytes)B"
    }
}

/// Durations as gateway.conf writes them: `500ms`, `7d`.
package enum DurationText {
    private static let units: [(name: String, factor: Int)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("ms", 1), ("m", 60_000), ("s", 1_000),
    ]

    /// The duration that `text`, a whole number and a unit, stands for. Milliseconds are the finest.
    package static func parse(_ text: String) throws(ConfigurationValueError) -> Duration {
        .milliseconds(try UnitText.parse(text, Self.units, what: "duration", example: "60s"))
    }

    /// `duration` in the largest unit that it is a multiple of.
    package static func describe(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let milliseconds = Int(seconds) * 1_000 + Int(attoseconds / 1_000_000_000_000_000)
        guard milliseconds > 0 else { return "0s" }
        for (name, size) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)]
        where milliseconds % size == 0 {
            return "\(milliseconds / size)\(name)"
        }
        return "\(milliseconds)ms"
    }
}

/// A whole number and a unit.
private enum UnitText {
    static func parse(
        _ text: String,
        _ units: [(name: String, factor: Int)],
        what: String,
        example: String
    ) throws(ConfigurationValueError) -> Int {
        let shown = TOMLPath.printable(text)
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }
        guard !digits.isEmpty else {
            let cure = "write a whole number and a unit, such as \"\(example)\""
            throw ConfigurationValueError("\(shown) is no \(what): \(cure)")
        }
        let names = units.map(\.name).joined(separator: ", ")
        guard !unit.isEmpty else {
            throw ConfigurationValueError("\(shown) has no unit: write one of \(names) behind the number")
        }
        guard let factor = units.first(where: { $0.name == unit })?.factor else {
            let meant = units.first { $0.name.lowercased() == unit.lowercased() }
            let hint = meant.map { "did you mean \"\($0.name)\"?" } ?? "use one of \(names)"
            throw ConfigurationValueError("\(TOMLPath.printable(String(unit))) is no unit of a \(what); \(hint)")
        }
        guard let number = Int(digits) else { throw ConfigurationValueError("\(shown) is too large") }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        // Far beyond any use, and small enough that nobody's arithmetic on it overflows.
        guard !overflow, product <= 1 << 53 else { throw ConfigurationValueError("\(shown) is too large") }
        return product
    }
}
