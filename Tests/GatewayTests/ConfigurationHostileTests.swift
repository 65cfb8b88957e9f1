import Devices
import Testing

@testable import Gateway

@Suite("A hostile gateway.conf")
struct ConfigurationHostileTests {
    private func error(of text: String) -> ConfigurationError? {
        do throws(ConfigurationError) {
            _ = try GatewayConfiguration.parse(text, file: "F")
            return nil
        } catch {
            return error
        }
    }

    @Test("with 10,000 unknown keys is told in ten lines and a count")
    func manyFindings() throws {
        let keys = (0..<10_000).map { "key\($0) = 1\n" }.joined()
        let error = try #require(self.error(of: keys + BadFile.head))
        #expect(error.count == 10_000)
        #expect(error.findings.count == ConfigurationError.maxKept)
        let lines = error.description.split(separator: "\n")
        #expect(lines.count == 11)
        #expect(lines.first == "F:1: key0: unknown key")
        #expect(lines.last == "and 9,990 more")
    }

    @Test("with as many findings as fit is told without a count")
    func fewFindings() throws {
        let error = try #require(self.error(of: (0..<10).map { "key\($0) = 1\n" }.joined() + BadFile.head))
        #expect(error.count == 10)
        #expect(error.description.split(separator: "\n").count == 10)
        #expect(!error.description.contains("more"))
    }

    private static let deep: [(name: String, text: String)] = [
        ("dotted key", Array(repeating: "a", count: 100_000).joined(separator: ".") + " = 1"),
        ("table", "[" + Array(repeating: "a", count: 100_000).joined(separator: ".") + "]"),
        ("array of tables", "[[" + Array(repeating: "a", count: 100_000).joined(separator: ".") + "]]"),
        ("array", "a = " + String(repeating: "[", count: 100_000)),
        ("inline table", "a = " + String(repeating: "{a=", count: 100_000)),
        ("inline table with dotted keys", "a = " + String(repeating: "{a.b.c.d=[", count: 1_000)),
    ]

    @Test("of any depth is refused before it is parsed", arguments: deep)
    func depth(name: String, text: String) {
        #expect(self.error(of: "\n" + text)?.description == "F:2: is nested deeper than 64 levels")
    }

    @Test("of 1 MB is read in time that is linear in its size")
    func size() throws {
        let comment = String(repeating: "# \"'[{ \\u0000 = \n", count: 60_000)
        #expect(self.error(of: comment + BadFile.head) == nil)
        let topics = (0..<20_000).map { "\"nodes/%d/topic\($0)\",\n" }.joined()
        let profile = "[profile.sensor]\nsubscribe = [\"nodes/%d/sessionID\"]\npublish = [\n\(topics)]\n"
        let configuration = try GatewayConfiguration.parse(BadFile.head + profile)
        #expect(configuration.profiles["sensor"]?.publish.count == 20_000)
        #expect(configuration.profiles["sensor"]?.publish.last?.line == 20_009)
    }

    @Test("over 4 MiB is refused")
    func tooLarge() {
        let text = String(repeating: "#", count: GatewayConfiguration.maxFileBytes + 1)
        #expect(self.error(of: text)?.description == "F: is 4194305 bytes long, over 4MiB")
    }

    @Test("can't steer the terminal, nor fill it")
    func terminal() throws {
        let text = "\"\u{1B}[2J\u{202E}\u{7}\(String(repeating: "x", count: 100_000))\" = 1\n" + BadFile.head
        // TOML forbids control characters, which must be told without repeating them.
        #expect(try #require(self.error(of: text)).description.allSatisfy { $0 == "\n" || !$0.isNewline })
        let escaped = "\"\\u001B[2J\\u202E\(String(repeating: "x", count: 100_000))\" = 1\n" + BadFile.head
        let message = try #require(self.error(of: escaped)).description
        #expect(message.hasPrefix(#"F:1: "\u{1b}[2J\u{202e}xxx"#))
        #expect(message.count < 200)
        let name = BadFile.head + "[uplink.a]\naddress = \"mqtts://a\\u001B[2J\"\n"
        #expect(try #require(self.error(of: name)).description.unicodeScalars.allSatisfy { $0.value >= 0x20 })
    }

    @Test("that ends anywhere is told, or taken, without a trap")
    func cut() {
        let text =
            BadFile.head + BadFile.uplink
            + "psk = { identity = \"a\", key_file = \"b\" }\n[profile.x]\npublish = [\n'a', \"\"\"b\"\"\" ]"
        for count in 0..<text.unicodeScalars.count {
            _ = self.error(of: String(String.UnicodeScalarView(text.unicodeScalars.prefix(count))))
        }
    }
}
