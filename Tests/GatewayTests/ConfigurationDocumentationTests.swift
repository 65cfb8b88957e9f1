import Foundation
import Testing

@testable import Gateway

@Suite("docs/configuration.md")
struct ConfigurationDocumentationTests {
    private static let path = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("docs/configuration.md").path

    private func blocks() throws -> [String] {
        try String(contentsOfFile: Self.path, encoding: .utf8)
            .split(separator: "```toml\n").dropFirst()
            .compactMap { $0.split(separator: "```", maxSplits: 1).first.map(String.init) }
    }

    @Test("has examples that are valid, and warn of nothing")
    func examples() throws {
        let blocks = try self.blocks()
        #expect(blocks.count == 7)
        for block in blocks {
            if block.contains("[[device]]") {
                #expect(try KeyFile.parse(block, file: "F").count == 1)
            } else {
                #expect(try GatewayConfiguration.parse(block, file: "F").warnings.isEmpty, "\(block)")
            }
        }
    }
}
