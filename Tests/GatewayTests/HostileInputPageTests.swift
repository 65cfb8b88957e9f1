import Foundation
import Testing

/// docs/hostile-input.md against the tests that it names.
@Suite("The page about hostile input") struct HostileInputPageTests {
    private static let tests = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "..").standardizedFileURL

    @Test("has a test in every row, and each of them is there under its name")
    func names() throws {
        let page = Self.tests.appending(path: "../docs/hostile-input.md")
        let rows = try String(contentsOf: page, encoding: .utf8).split(separator: "\n").filter {
            $0.hasPrefix("| ") && !$0.hasPrefix("| ---") && !$0.hasPrefix("| What comes")
        }
        #expect(rows.count > 40)
        for row in rows {
            let cells = row.dropFirst(2).dropLast(2).components(separatedBy: " | ")
            try #require(cells.count == 3, "\(row)")
            for test in cells[2].components(separatedBy: "<br>") {
                let parts = test.components(separatedBy: ": \"")
                try #require(parts.count == 2 && test.hasSuffix("\""), "\(test)")
                let text = try String(contentsOf: Self.tests.appending(path: parts[0]), encoding: .utf8)
                let name = parts[1].dropLast()
                let isThere = text.contains("\"\(name)\"") || text.contains("conversation: \(name)\n")
                #expect(isThere, "\(test)")
            }
        }
    }
}
