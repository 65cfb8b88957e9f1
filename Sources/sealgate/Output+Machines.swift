import Foundation

extension Output {
    /// Bytes as they are, no line end behind them.
    static func raw(_ bytes: [UInt8]) {
        FileHandle.standardOutput.write(Data(bytes))
    }

    /// One JSON value on one line, keys in order.
    static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        self.line(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// Columns under their heads, two blanks apart.
    static func table(_ heads: [String], _ rows: [[String]]) {
        var widths = heads.map(\.count)
        for row in rows {
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
        }
        for row in [heads] + rows {
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            self.line(line)
        }
    }

    /// Whether a person looks at standard output.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
}
