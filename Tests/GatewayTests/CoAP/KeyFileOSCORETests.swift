import Devices
import Sealing
import Testing

@testable import Gateway

@Suite("OSCORE contexts in key files")
struct KeyFileOSCORETests {
    private func findings(_ text: String) -> [String] {
        do throws(ConfigurationError) {
            _ = try KeyFile.parse("[[device]]\nid = \"a\"\n" + text, file: "F")
            return []
        } catch {
            return error.findings.map { String($0.description.dropFirst(2)) }
        }
    }

    @Test("are read and written, with and without what may be left out")
    func roundTrip() throws {
        let all = try ImportedOSCORE(
            secret: Array(1...16),
            salt: Array("salt".utf8),
            senderID: [],
            recipientID: [0xFF],
            idContext: [],
            algorithm: .chaCha20Poly1305
        )
        let least = try ImportedOSCORE(secret: Array("secret".utf8), senderID: [1], recipientID: [])
        for context in [all, least] {
            var entry = KeyFileEntry(id: try DeviceID("kitchen"), profile: "sensor")
            entry.oscore = context
            let text = KeyFile.write([entry])
            #expect(try KeyFile.parse(text, file: "F") == [entry], "\(text)")
            #expect(!"\(entry) \(String(reflecting: entry.oscore))".contains("secret"))
        }
        let entries = try KeyFile.parse(
            """
            [[device]]
            id = "kitchen"
            oscore_secret = "hex:0102030405060708090a0b0c0d0e0f10"
            oscore_sender_id = "hex:01"
            oscore_recipient_id = "gw"
            """,
            file: "F"
        )
        let read = try #require(entries.first?.oscore)
        #expect(read.secret == Array(1...16) && read.senderID == [1] && read.recipientID == Array("gw".utf8))
        #expect(read.salt.isEmpty && read.idContext == nil && read.algorithm == .aesCCM16x64x128)
    }

    @Test("are refused by key, and no secret is repeated")
    func refused() {
        let ids = "oscore_sender_id = \"1\"\noscore_recipient_id = \"2\"\n"
        let table: [(String, String)] = [
            (ids, "oscore_secret: missing"),
            ("oscore_secret = \"s\"\noscore_recipient_id = \"2\"\n", "oscore_sender_id: missing"),
            ("oscore_secret = \"s\"\noscore_sender_id = \"2\"\n", "oscore_recipient_id: missing"),
            ("oscore_salt = \"topsecret\"\n" + ids, "oscore_secret: missing"),
            (ids + "oscore_secret = \"\"\n", "has 0 bytes, must have 1 to 64"),
            ("oscore_secret = \"s\"\noscore_sender_id = \"1\"\noscore_recipient_id = \"1\"\n", "have to differ"),
            (
                "oscore_secret = \"s\"\noscore_sender_id = \"12345678\"\noscore_recipient_id = \"1\"\n",
                "oscore_sender_id: has 8 bytes, must have 0 to 7"
            ),
            (
                ids + "oscore_secret = \"topsecret\"\noscore_algorithm = \"AES\"\n",
                "must be one of \"AES-CCM-16-64-128\""
            ),
            (ids + "oscore_secret = 5\n", "oscore_secret"),
            (
                "oscore_algorithm = \"A128GCM\"\noscore_secret = \"s\"\noscore_sender_id = \"1234567\"\n"
                    + "oscore_recipient_id = \"1\"\n",
                "must have 0 to 6"
            ),
        ]
        for (text, expected) in table {
            let found = self.findings(text)
            #expect(found.contains { $0.contains(expected) }, "\(text): \(found)")
            #expect(!found.contains { $0.contains("topsecret") })
        }
    }
}
