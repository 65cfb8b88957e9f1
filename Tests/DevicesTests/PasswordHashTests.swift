import Devices
import Testing

@Suite("Passwords")
struct PasswordHashTests {
    private func hash(salt: Int, digest: Int) -> PasswordHash? {
        PasswordHash(
            logN: 14,
            r: 8,
            p: 1,
            salt: [UInt8](repeating: 5, count: salt),
            digest: [UInt8](repeating: 6, count: digest)
        )
    }

    @Test("a hash reads back from its bytes, and from nothing that is cut or goes on")
    func roundTrip() throws {
        for (salt, digest) in [(8, 16), (16, 32), (64, 64)] {
            let hash = try #require(self.hash(salt: salt, digest: digest))
            #expect(PasswordHash(bytes: hash.bytes) == hash)
            for count in 0..<(5 + salt + 16) { #expect(PasswordHash(bytes: Array(hash.bytes.prefix(count))) == nil) }
            let long = hash.bytes + [UInt8](repeating: 6, count: 65 - digest)
            #expect(PasswordHash(bytes: long) == nil)
            var other = hash.bytes
            other[0] = 2
            #expect(PasswordHash(bytes: other) == nil)
        }
        for (salt, digest) in [(7, 32), (65, 32), (16, 15), (16, 65)] {
            #expect(self.hash(salt: salt, digest: digest) == nil)
        }
    }

    @Test("nothing of a hash is in descriptions and dumps, those of its device included")
    func redacted() throws {
        let hash = try #require(self.hash(salt: 16, digest: 32))
        var device = try Device.make("hass")
        device.password = hash
        var dumped = ""
        dump(hash, to: &dumped)
        dump(device, to: &dumped)
        for text in ["\(hash)", String(reflecting: hash), "\(device)", dumped] {
            #expect(!text.contains("5, 5") && !text.contains("- 6"), "\(text)")
        }
    }

    @Test(
        "a password is 8 to 128 bytes of printable UTF-8",
        arguments: [
            ("12345678", true), ("with blanks and ünïcödé 🔑", true), (String(repeating: "a", count: 128), true),
            ("1234567", false), ("", false), (String(repeating: "a", count: 129), false), ("1234567\u{0}", false),
            ("1234567\n8", false), ("1234567\u{7F}", false), ("1234567\u{202E}", false), ("1234567\u{85}", false),
        ]
    )
    func rules(text: String, isGood: Bool) {
        #expect((PasswordRules.problem(Array(text.utf8)) == nil) == isGood)
    }

    @Test("what is no UTF-8 is no password, and no problem repeats it")
    func notText() {
        #expect(PasswordRules.problem([UInt8](repeating: 0xFF, count: 9)) == "is not well-formed UTF-8")
        #expect(PasswordRules.problem(Array("abc".utf8)) == "has 3 bytes; it needs 8 at least")
    }
}
