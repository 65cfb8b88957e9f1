import Devices
import Glibc
import MQTTCodec
import NIOCore

/// What the demo shows: one line a step, a table at the end. At most 100 columns; ASCII; colours only on a terminal.
struct DemoScreen: Sendable {
    /// What became of something that was sent.
    enum Outcome: Sendable {
        case delivered, cameDown, repeated, refused

        fileprivate var sign: String {
            switch self {
            case .delivered: "->"
            case .cameDown: "<-"
            case .repeated: "=="
            case .refused: "--"
            }
        }

        fileprivate var colour: Int {
            switch self {
            case .delivered, .cameDown: 32
            case .repeated: 33
            case .refused: 31
            }
        }
    }

    private static let nameColumns = 9
    private static let leftColumns = 42
    private static let rightColumns = 44

    private let isColoured: Bool

    init() {
        let hasColours = getenv("NO_COLOR") == nil && getenv("TERM").map { String(cString: $0) != "dumb" } ?? false
        self.isColoured = hasColours && isatty(STDOUT_FILENO) == 1
    }

    /// A line of text.
    func say(_ text: String = "") {
        Output.line(text)
    }

    /// The heads of the columns.
    func heads() {
        self.say()
        self.say(self.bold(self.row("", "on the local network", "  ", "at the outside broker")))
    }

    /// One step: who, what was on the wire, and what came of it.
    func step(_ who: String, _ wire: String, _ outcome: Outcome, _ result: String) {
        let sign = self.isColoured ? "\u{1B}[\(outcome.colour)m\(outcome.sign)\u{1B}[0m" : outcome.sign
        self.say(self.row(who, wire, sign, result))
    }

    private func row(_ who: String, _ left: String, _ sign: String, _ right: String) -> String {
        " " + Self.fit(who, Self.nameColumns) + Self.fit(left, Self.leftColumns) + " " + sign + " "
            + Self.cut(right, Self.rightColumns)
    }

    // MARK: The table

    /// The table of what was sent, what arrived, what was refused and why.
    func table(_ rows: [DemoRecord.Row]) {
        self.say()
        self.say(self.bold(Self.tableRow("", "", "sent", "delivered", "refused", "why")))
        for row in rows {
            var why = row.refused.sorted { $0.key < $1.key }.map { $1 == 1 ? $0 : "\($0) (\($1))" }
            if row.repeated > 0 { why.append("retransmission, acknowledged") }
            self.say(
                Self.tableRow(
                    row.who,
                    row.what,
                    "\(row.sent)",
                    "\(row.delivered)",
                    "\(row.refusedTotal)",
                    why.joined(separator: ", ")
                )
            )
        }
        self.say(
            self.bold(
                Self.tableRow(
                    "all",
                    "",
                    "\(rows.reduce(0) { $0 + $1.sent })",
                    "\(rows.reduce(0) { $0 + $1.delivered })",
                    "\(rows.reduce(0) { $0 + $1.refusedTotal })",
                    ""
                )
            )
        )
    }

    private static func tableRow(
        _ who: String,
        _ what: String,
        _ sent: String,
        _ delivered: String,
        _ refused: String,
        _ why: String
    ) -> String {
        let numbers = Self.right(sent, 5) + Self.right(delivered, 11) + Self.right(refused, 9)
        let line = " " + Self.fit(who, Self.nameColumns) + Self.fit(what, 32) + numbers + "  " + Self.cut(why, 31)
        return String(line.reversed().drop { $0 == " " }.reversed())
    }

    // MARK: Words

    /// Bytes as they go over the wire, shortened: text as it is, everything else in hex.
    static func shortened(_ payload: ByteBuffer) -> String {
        let bytes = Array(payload.readableBytesView)
        let isText = bytes.allSatisfy { (0x20...0x7E).contains($0) }
        let text = isText ? String(decoding: bytes, as: UTF8.self) : bytes.map(Self.hex).joined()
        guard text.count > 20 || !isText else { return "\"\(text)\"" }
        return "\(text.prefix(8))...\(text.suffix(8)) \(bytes.count) B"
    }

    /// A topic and its payload.
    static func message(_ message: DemoMessage) -> String {
        let payload = Printable.text(message.payload, limit: 40)
        return "\(Printable.text(message.topic.buffer)) \"\(payload)\""
    }

    private static func hex(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

    private func bold(_ text: String) -> String { self.isColoured ? "\u{1B}[1m\(text)\u{1B}[0m" : text }

    private static func cut(_ text: String, _ columns: Int) -> String {
        text.count > columns ? text.prefix(columns - 3) + "..." : text
    }

    private static func fit(_ text: String, _ columns: Int) -> String {
        let cut = Self.cut(text, columns)
        return cut + String(repeating: " ", count: columns - cut.count)
    }

    private static func right(_ text: String, _ columns: Int) -> String {
        String(repeating: " ", count: max(columns - text.count, 0)) + text
    }
}
