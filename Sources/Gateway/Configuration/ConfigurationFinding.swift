import Devices

/// One thing that is wrong, or doubtful, in a file that a person wrote.
package struct ConfigurationFinding: Hashable, Sendable, CustomStringConvertible {
    /// Whether the file can be used all the same.
    package enum Severity: String, Hashable, Sendable {
        /// The file is refused.
        case error
        /// The file is used; this part of it probably does not do what was meant.
        case warning
    }

    /// The file's name as it was given.
    package var file: String
    /// Counted from 1; 0 where the file as a whole is meant.
    package var line: Int
    /// The path of the key, `uplink.cloud.address`; empty where no key is meant.
    package var key: String
    /// What is wrong and, where there is one, the cure. One line, never a secret.
    package var message: String
    /// Whether the file can be used all the same.
    package var severity: Severity

    /// Control characters of `message` are escaped and anything past 400 characters is cut, since parts of it come from
    /// the file.
    package init(file: String, line: Int, key: String, message: String, severity: Severity = .error) {
        self.file = file
        self.line = line
        self.key = key
        self.message = Printable.text(message, limit: 400)
        self.severity = severity
    }

    /// `gateway.conf:12: uplink.cloud.adress: unknown key; did you mean "address"?`
    package var description: String {
        var text = self.file
        if self.line > 0 { text += ":\(self.line)" }
        if self.severity == .warning { text += ": warning" }
        if !self.key.isEmpty { text += ": \(self.key)" }
        return text + ": \(self.message)"
    }
}

/// Everything that is wrong in one file. Prints one finding a line.
package struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Most findings that ``description`` prints; the rest is counted.
    package static let maxPrinted = 10
    /// Most findings that are kept; the rest is counted.
    package static let maxKept = 1_000

    /// In the order of the file; at most ``maxKept``.
    package var findings: [ConfigurationFinding]
    /// How many were found, kept or not.
    package var count: Int

    /// Keeps the first ``maxKept`` of `findings`.
    package init(_ findings: [ConfigurationFinding], count: Int? = nil) {
        self.findings = Array(findings.prefix(Self.maxKept))
        self.count = max(count ?? 0, findings.count)
    }

    /// One finding a line, at most ``maxPrinted`` of them, then how many more there are.
    package var description: String {
        var lines = self.findings.prefix(Self.maxPrinted).map(\.description)
        if self.count > lines.count { lines.append("and \(Self.grouped(self.count - lines.count)) more") }
        return lines.joined(separator: "\n")
    }

    /// `9990` as `9,990`.
    private static func grouped(_ number: Int) -> String {
        var digits = Array(String(number))
        var index = digits.count - 3
        while index > 0 {
            digits.insert(",", at: index)
            index -= 3
        }
        return String(digits)
    }
}
