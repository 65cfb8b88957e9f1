/// How many messages a device may send: `count` in every `interval`, written `20/s`, `100/min`, `5/h`.
package struct Rate: Hashable, Sendable, CustomStringConvertible {
    /// Messages, 1 to 1,000,000. It is the burst that is allowed as well.
    package var count: Int
    /// The time in which so many are allowed; over zero.
    package var interval: Duration

    /// A rate of `count` messages (clamped to 1...1,000,000) in `interval`.
    package init(count: Int, interval: Duration) {
        self.count = min(max(count, 1), Self.maxCount)
        self.interval = max(interval, .milliseconds(1))
    }

    /// Reads `COUNT/UNIT`, UNIT being `s`, `min`, `h` or `d`; blanks around the stroke are allowed.
    ///
    /// - Throws: ``RateError`` if `text` is anything else.
    package init(_ text: String) throws(RateError) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false).map { half in
            String(half.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
        guard halves.count == 2, !halves[0].isEmpty, halves[0].utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw .malformed(text)
        }
        guard let count = Int(halves[0]), (1...Self.maxCount).contains(count) else { throw .countOutOfRange(text) }
        guard let unit = Self.units.first(where: { $0.name == halves[1] }) else { throw .unknownUnit(halves[1]) }
        self.count = count
        self.interval = unit.interval
    }

    private static let maxCount = 1_000_000
    private static let units: [(name: String, interval: Duration)] = [
        ("s", .seconds(1)), ("min", .seconds(60)), ("h", .seconds(3_600)), ("d", .seconds(86_400)),
    ]

    /// As written in gateway.conf, if the interval is one of its units.
    package var description: String {
        if let unit = Self.units.first(where: { $0.interval == self.interval }) { return "\(self.count)/\(unit.name)" }
        return "\(self.count) in \(self.interval)"
    }
}

/// Why some text is no ``Rate``.
package enum RateError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Not a number, a stroke and a unit.
    case malformed(String)
    /// The number is 0 or over 1,000,000.
    case countOutOfRange(String)
    /// The unit is not one of `s`, `min`, `h`, `d`.
    case unknownUnit(String)

    /// In words that follow the key's name.
    package var description: String {
        switch self {
        case .malformed(let text): "\"\(text)\" is no rate: write a number and a unit, such as 20/s or 100/min"
        case .countOutOfRange(let text): "\"\(text)\": the number must be 1 to 1000000"
        case .unknownUnit(let unit): "\"\(unit)\" is no unit of a rate: use s, min, h or d"
        }
    }
}
