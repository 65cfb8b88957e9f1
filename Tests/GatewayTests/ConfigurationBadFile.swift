import Testing

@testable import Gateway

/// A file with mistakes, and what is said of them, `LINE: KEY: MESSAGE`.
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
    var found: [String] {
        do throws(ConfigurationError) {
            _ = try GatewayConfiguration.parse(self.text, file: "F")
            return []
        } catch {
            return error.findings.map { String($0.description.dropFirst(2)) }
        }
    }

    /// Lines 1 to 4: the least that a file needs is these and a listener.
    static let gateway = "[gateway]\nname = \"attic\"\n\n\n"
    /// Lines 1 to 6: nothing is missing. What follows starts on line 7.
    static let head = """
        [gateway]
        name = "attic"
        [[listener]]
        protocol = "mqtt"
        bind = "127.0.0.1:0"
        anonymous = true

        """
    /// An uplink on lines 7 and 8. What follows starts on line 9.
    static let uplink = """
        [uplink.cloud]
        address = "mqtts://broker.example.org"

        """
}
