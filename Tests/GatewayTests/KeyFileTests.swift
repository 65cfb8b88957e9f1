import Devices
import Sealing
import Testing

@testable import Gateway

@Suite("Key files")
struct KeyFileTests {
    private static let kitchen = """
        [[device]]
        id         = "kitchen"
        profile    = "sensor"
        seal       = "v1"
        node_id    = "11242238"
        static_iv  = "abcdef2345678901"
        iv_key     = "2345678901abcdef"
        data_key   = "hex:30313233343536373839616263646566"
        passphrase = "mypassphrase"

        """

    private func findings(_ text: String) -> [String] {
        do throws(ConfigurationError) {
            _ = try KeyFile.parse(text, file: "F")
            return []
        } catch {
            return error.findings.map { String($0.description.dropFirst(2)) }
        }
    }

    @Test("read as text and as hex")
    func reads() throws {
        let entry = try #require(try KeyFile.parse(Self.kitchen, file: "F").first)
        #expect(entry.id.text == "kitchen")
        #expect(entry.profile == "sensor")
        #expect(entry.seal == .v1)
        #expect(entry.nodeID == "11242238")
        #expect(entry.line == 1)
        let keys = try V1Keys(
            staticIV: Array("abcdef2345678901".utf8),
            ivKey: Array("2345678901abcdef".utf8),
            dataKey: Array("0123456789abcdef".utf8),
            passphrase: Array("mypassphrase".utf8)
        )
        #expect(entry.v1Keys == keys)
    }

    @Test("hold the hash of a password, at a price that can be paid, and never a password")
    func passwords() throws {
        let hash = try #require(
            PasswordHash(
                logN: 14,
                r: 8,
                p: 1,
                salt: [UInt8](repeating: 7, count: 16),
                digest: [UInt8](repeating: 0xAB, count: 32)
            )
        )
        var entry = KeyFileEntry(id: try DeviceID("hass"), profile: "service")
        entry.password = hash
        let text = KeyFile.write([entry])
        #expect(text.contains("password_hash = \"hex:010e080110" + String(repeating: "07", count: 16)))
        #expect(try KeyFile.parse(text, file: "F") == [entry])
        #expect(!"\(entry)".contains("ab") && !String(reflecting: hash).contains("171"))

        let refusal =
            "3: device[1].password_hash: is no hash that this version can check; see: sealgate device password"
        // Another version, a price of 1 GiB, a salt that ends beyond the end, a short digest.
        let head = "[[device]]\nid = \"a\"\npassword_hash = "
        for start in ["020e080110", "0114080110", "010e0801ff", "010e080120"] {
            #expect(self.findings(head + "\"hex:\(start)\(String(repeating: "07", count: 40))\"\n") == [refusal])
        }
        // Prices that could be paid, but take less or more time than a device that is not there.
        for start in ["010d080110", "010f080110", "010e090110", "010e080210"] {
            let findings = self.findings(head + "\"hex:\(start)\(String(repeating: "07", count: 48))\"\n")
            #expect(findings.count == 1 && findings[0].contains("has not the price of scrypt"), "\(findings)")
        }
        #expect(self.findings("[[device]]\nid = \"a\"\npassword = \"swordfish\"\n").count == 1)
    }

    @Test("need no profile, and no secrets for a device that shares another's, or has none")
    func optional() throws {
        let text = """
            [[device]]
            id = "a"
            static_iv = "0123456789abcdef"
            iv_key = "0123456789abcdef01234567"
            data_key = "0123456789abcdef0123456789abcdef"
            passphrase = "hex:00"
            [[device]]
            id = "b"
            seal = "v1"
            keys_of = "a"
            node_id = "é"
            [[device]]
            id = "c"
            profile = "plain"
            psk = "hex:00112233445566778899aabbccddeeff"
            """
        let entries = try KeyFile.parse(text, file: "F")
        #expect(entries.map(\.id.text) == ["a", "b", "c"])
        #expect(entries.map(\.line) == [1, 7, 12])
        #expect(entries[0].profile == nil)
        #expect(entries[0].v1Keys?.passphrase == [0])
        #expect(entries[0].v1Keys?.ivKey.count == 24)
        #expect(entries[1].keysOf?.text == "a")
        #expect(entries[1].v1Keys == nil)
        #expect(entries[2].psk?.count == 16)
    }

    private static let bad: [BadFile] = [
        BadFile("empty", "", "1: device: missing; a key file has a [[device]] for each device"),
        BadFile(
            "one bracket",
            "[device]\nid = \"a\"\n",
            "1: device: expected [[device]] with two brackets, found a table"
        ),
        BadFile("unknown table", Self.kitchen + "[devices]\n", "10: devices: unknown key; did you mean \"device\"?"),
        BadFile(
            "slips and lengths",
            """
            [[device]]
            id = "kitchen"
            seal = "v1"
            static_iv = "30313233343536373839616263646566"
            iv_key = "hex:zz"
            data_ky = "x"
            passphrase = ""
            [[device]]
            id = "b"
            static_iv = "hex:00"
            iv_key = "seventeen letters"
            data_key = "0123456789abcdef"
            passphrase = 5
            """,
            "1: device[1].data_key: missing; seal v1 needs static_iv, iv_key, data_key, passphrase",
            "4: device[1].static_iv: has 32 bytes, must have 16; if it is hexadecimal, write \"hex:\" before it",
            "5: device[1].iv_key: has something else than pairs of hexadecimal digits behind \"hex:\"",
            "6: device[1].data_ky: unknown key; did you mean \"data_key\"?",
            "7: device[1].passphrase: has 0 bytes, must have 1 to 1024",
            "10: device[2].static_iv: has 1 byte, must have 16",
            "11: device[2].iv_key: has 17 bytes, must have 16, 24 or 32",
            "13: device[2].passphrase: expected a string, found a whole number"
        ),
        BadFile(
            "ids and references",
            """
            [[device]]
            id = "a"
            [[device]]
            id = "a"
            [[device]]
            id = "b"
            keys_of = "b"
            iv_key = "0123456789abcdef"
            [[device]]
            id = "a/b"
            seal = "cose"
            profile = "x#"
            [[device]]
            node_id = ""
            """,
            "4: device[2].id: a is in this file already, on line 2",
            "7: device[3].keys_of: names the device itself",
            "8: device[3].iv_key: has no place beside keys_of, which says whose secrets are used",
            "10: device[4].id: the id has the character /, which is not one of A-Z a-z 0-9 . _ -",
            "11: device[4].seal: \"cose\" is not supported by this version; use one of \"none\", \"v1\"",
            "12: device[4].profile: the name has the character #, which is not one of A-Z a-z 0-9 . _ -",
            "13: device[5].id: missing",
            "14: device[5].node_id: is empty"
        ),
        BadFile(
            "null characters",
            "[[device]]\nid = \"a\"\nnode_id = \"1\\u0000\"\n",
            "3: holds the null character"
        ),
    ]

    @Test("are told what is wrong, by line", arguments: bad)
    func refuses(file: BadFile) { #expect(self.findings(file.text) == file.findings) }

    private static let leaks: [String] = [
        "passphrase = topsecret", "passphrase = 70575", "passphrase = \"topsecret", "passphrase = \"hex:topsecret\"",
        "static_iv = \"topsecret\"", "passphrase = [\"topsecret\"]", "psk = { topsecret = \"topsecret\" }",
        "passphrase = 99999999999999999999990705750", "static_iv = \"topsecret\" topsecret", "passphrase = topsecret#",
        "iv_key = \"\"\"topsecret\"\"\"", "data_key = 'topsecret\n",
    ]

    @Test("never show a secret, whatever is wrong", arguments: leaks)
    func redacted(line: String) throws {
        let findings = self.findings("[[device]]\nid = \"a\"\n" + line)
        #expect(!findings.isEmpty)
        #expect(!findings.contains { $0.contains("topsecret") || $0.contains("70575") }, "\(findings)")
    }

    @Test("hold entries that don't show their secrets")
    func descriptions() throws {
        let entry = try #require(try KeyFile.parse(Self.kitchen + "psk = \"abcdef\"", file: "F").first)
        var dumped = ""
        dump(entry, to: &dumped)
        for text in ["\(entry)", String(reflecting: entry), dumped, "\([entry])", "\(Optional(entry) as Any)"] {
            for secret in ["abcdef", "mypassphrase", "109", "11242238"] { #expect(!text.contains(secret)) }
            #expect(text.contains("kitchen"))
        }
    }

    @Test("are written so that they are read back the same")
    func roundTrip() throws {
        var entries = try KeyFile.parse(Self.kitchen, file: "F")
        let phrases: [[UInt8]] = [
            Array("hex:00".utf8), Array(" blank ".utf8), Array("quote\"\\".utf8), Array("é".utf8), [0],
            Array("'''".utf8),
            [UInt8](0...255), Array("a\nb".utf8), Array("\u{7F}\u{80}".utf8), Array("# = [x]".utf8),
        ]
        for (index, passphrase) in phrases.enumerated() {
            var entry = KeyFileEntry(id: try DeviceID("d\(index)"), profile: "sensor", seal: .v1)
            entry.v1Keys = try V1Keys(
                staticIV: Array(repeating: UInt8(index), count: 16),
                ivKey: Array(repeating: 0x61, count: 24),
                dataKey: Array(repeating: 0xFF, count: 32),
                passphrase: passphrase
            )
            entry.nodeID = "node \"\(index)\" \\ \u{1B}\u{85} ü"
            entries.append(entry)
        }
        var shared = KeyFileEntry(id: try DeviceID("shared"))
        shared.keysOf = try DeviceID("kitchen")
        shared.psk = [0, 1, 2]
        entries.append(shared)
        let text = KeyFile.write(entries)
        #expect(try KeyFile.parse(text, file: "F") == entries)
        #expect(KeyFile.write(try KeyFile.parse(text, file: "F")) == text)
        #expect(KeyFile.write([]).isEmpty)
    }

    @Test("are made from a device's record")
    func fromDevice() throws {
        let keys = V1Keys.random()
        var device = Device(id: try DeviceID("kitchen"), profile: "sensor", seal: .v1, nodeID: "1", v1Keys: keys)
        device.psk = [1, 2, 3]
        let entry = try #require(try KeyFile.parse(KeyFile.write([KeyFileEntry(device)]), file: "F").first)
        #expect(entry.v1Keys == keys)
        #expect(entry.psk == [1, 2, 3])
        #expect(entry.nodeID == "1")
    }

    @Test("are refused when others may read them")
    func mode() throws {
        let directory = try TemporaryDirectory()
        let open = try directory.write("open.keys", Self.kitchen, mode: 0o644)
        let error = #expect(throws: ConfigurationError.self) { try KeyFile.read(path: open) }
        #expect(error?.description == "\(open): has mode 0644, wider than 0600; run: chmod 600 \(open)")
        let closed = try directory.write("closed.keys", Self.kitchen, mode: 0o600)
        #expect(try KeyFile.read(path: closed).count == 1)
    }

    @Test("hold 5,000 devices")
    func many() throws {
        let keys = V1Keys.random()
        let entries = try (0..<5_000).map { index in
            var entry = KeyFileEntry(id: try DeviceID("node-\(index)"), profile: "sensor", seal: .v1)
            entry.v1Keys = keys
            return entry
        }
        let read = try KeyFile.parse(KeyFile.write(entries), file: "F")
        #expect(read == entries)
        #expect(read.last?.line == 1 + 4_999 * 9)
    }
}
