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

    private static let deep: [BadFile] = [
        BadFile("dotted key", Array(repeating: "a", count: 100_000).joined(separator: ".") + " = 1"),
        BadFile("table", "[" + Array(repeating: "a", count: 100_000).joined(separator: ".") + "]"),
        BadFile("array of tables", "[[" + Array(repeating: "a", count: 100_000).joined(separator: ".") + "]]"),
        BadFile("array", "a = " + String(repeating: "[", count: 100_000)),
        BadFile("inline table", "a = " + String(repeating: "{a=", count: 100_000)),
        BadFile("inline table with dotted keys", "a = " + String(repeating: "{a.b.c.d=[", count: 1_000)),
    ]

    @Test("of any depth is refused before it is parsed", arguments: deep)
    func depth(file: BadFile) {
        #expect(self.error(of: "\n" + file.text)?.description == "F:2: is nested deeper than 64 levels")
    }

    @Test("of 1 MB is read in time that is linear in its size")
    func size() throws {
        let comment = String(repeating: "# \"'[{ \\u0000 = \n", count: 60_000)
        #expect(self.error(of: comment + BadFile.head) == nil)
        let topics = (0..<1_000).map { "\"nodes/%d/topic\($0)\",\n" }.joined()
        let profiles = (0..<30).map { "[profile.p\($0)]\nplaintext = true\npublish = [\n\(topics)]\n" }.joined()
        let configuration = try GatewayConfiguration.parse(BadFile.head + profiles)
        #expect(configuration.profiles.count == 30)
        #expect(configuration.profiles["p29"]?.publish.last?.line == 6 + 30 * 1_004 - 1)
    }

    private static let many: [BadFile] = [
        BadFile("listener", String(repeating: "[[listener]]\n", count: 65)),
        BadFile("profile", (0..<1_001).map { "[profile.p\($0)]\n" }.joined()),
        BadFile("uplink", (0..<65).map { "[uplink.u\($0)]\n" }.joined()),
        BadFile("route", String(repeating: "[[route]]\n", count: 1_001)),
        BadFile("profile.x.deny", "[profile.x]\ndeny = [" + String(repeating: "'a',", count: 1_001) + "]\n"),
    ]

    @Test("with more tables than it may have is told so once", arguments: many)
    func tooMany(file: BadFile) throws {
        let error = try #require(self.error(of: "[gateway]\nname = \"a\"\n" + file.text))
        #expect(error.findings.filter { $0.message.contains(" entries, over ") }.map(\.key) == [file.name])
        #expect(error.count <= 2)
    }

    @Test("of many routes and lines is warned of in a bounded time")
    func crossChecks() throws {
        let lines = (0..<100).map { "\"a/\($0)/%d\"" }.joined(separator: ",")
        let profiles = (0..<4).map { "[profile.p\($0)]\nplaintext = true\npublish = [\(lines)]\n" }.joined()
        let routes = (0..<250).map {
            "[[route]]\ndirection = \"out\"\nfrom = \"b/\($0)\"\nto = \"c/\($0)\"\nuplink = \"cloud\"\n"
        }
        let text = BadFile.head + BadFile.uplink + profiles + routes.joined()
        #expect(try GatewayConfiguration.parse(text).warnings.count == 250)
        // Past 200,000 pairs no line is compared with another.
        let more = (4..<12).map { "[profile.p\($0)]\nplaintext = true\npublish = [\(lines)]\n" }.joined()
        #expect(try GatewayConfiguration.parse(text + more).warnings.isEmpty)
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
