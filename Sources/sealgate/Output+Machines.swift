import Foundation

extension Output {
    /// Bytes as they are, no line end behind them.
    ///
    /// - Throws: ``CommandFailure`` with status 70 if not all of them could be written: half a key file is none.
    static func raw(_ bytes: [UInt8]) throws(CommandFailure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw CommandFailure(.fault, "standard output can't be written: \(String(cString: strerror(errno)))")
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Text as it is.
    static func raw(_ text: String) throws(CommandFailure) {
        try self.raw(Array(text.utf8))
    }

    /// One JSON value on one line, keys in order.
    static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try self.raw([UInt8](try encoder.encode(value)) + [UInt8(ascii: "\n")])
    }

    /// Columns under their heads, two blanks apart.
    static func table(_ heads: [String], _ rows: [[String]]) throws(CommandFailure) {
        var widths = heads.map(\.count)
        for row in rows {
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
        }
        var text = ""
        for row in [heads] + rows {
            for (column, cell) in row.enumerated() {
                text += cell
                if column < row.count - 1 { text += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            text += "\n"
        }
        try self.raw(text)
    }

    /// Whether a person looks at standard output.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
}
