import Testing

@testable import Gateway

/// A file with mistakes, and what is said of them: `LINE: KEY: MESSAGE`.
struct BadFile: Sendable, CustomTestStringConvertible {
    var name: String
    var text: String
    var findings: [String]

    init(_ name: String, _ text: String, _ findings: String...) {
        self.name = name
        self.text = text
        self.findings = findings
    }

    var testDescription: String { self.name }

    /// The findings as ``findings`` writes them.
    func found() -> [String] {
        do throws(ConfigurationError) {
            _ = try GatewayConfiguration.parse(self.text, file: "F")
            return []
        } catch {
            return error.findings.map { String($0.description.dropFirst(2)) }
        }
    }
}

@Suite("What is said of a bad gateway.conf")
struct ConfigurationFindingsTests {
    /// Lines 1 to 5 of most files.
    private static let head = """
        [gateway]
        name = "attic"
        [[listener]]
        protocol = "mqtt"
        bind = "[::1]:0"
        anonymous = true

        """

    private static let files: [BadFile] = [
        BadFile("empty", "", "1: gateway: missing; write [gateway] and below it a name", "1: listener: missing; without a [[listener]] no node can connect"),
    ]

    @Test("names line, key and cure", arguments: files)
    func findings(file: BadFile) {
        #expect(file.found() == file.findings)
    }
}
