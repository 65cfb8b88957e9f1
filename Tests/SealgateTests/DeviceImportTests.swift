import Foundation
import TestSupport
import Testing

@Suite(.inTurn) struct DeviceImportTests {
    private static func entry(_ id: String, _ number: Int = 0, profile: String = "sensor") -> String {
        func key(_ kind: Int) -> String {
            let digits = String(number * 8 + kind, radix: 16)
            return "hex:" + String(repeating: "0", count: 32 - digits.count) + digits
        }
        return """
            [[device]]
            id         = "\(id)"
            profile    = "\(profile)"
            seal       = "v1"
            node_id    = "\(number + 1000)"
            static_iv  = "\(key(1))"
            iv_key     = "\(key(2))"
            data_key   = "\(key(3))"
            passphrase = "secret-\(number)"

            """
    }

    @Test("a thousand devices go in at once")
    func thousand() async throws {
        let home = try CommandHome.make()
        let file = (0..<1000).map { Self.entry("node-\($0)", $0) }.joined(separator: "\n")
        try home.directory.write("nodes.keys", file)
        let finished = try await home.sealgate("device import nodes.keys")
        #expect(finished.output == ["devices: 1000 added; in force within one second"], "\(finished.all)")
        #expect(try await home.sealgate("device list").output.count == 1001)
    }

    @Test("what is exported with its secrets imports again to the same")
    func roundTrip() async throws {
        let home = try CommandHome.make()
        try await home.importDevices(Self.entry("a", 1) + Self.entry("b", 2))
        _ = try await home.sealgate("device add c --profile sensor --keys-of a --node-id 9")
        let bare = try await home.sealgate("device export")
        #expect(bare.text.contains("id         = \"a\"") && !bare.text.contains("secret-1"))
        let export = try await home.sealgate("device export --secrets")
        #expect(export.text.contains("passphrase = \"secret-1\"") && export.text.contains("keys_of    = \"a\""))

        let other = try CommandHome.make()
        let imported = try await other.sealgate("device import -", input: export.text)
        #expect(imported.output == ["devices: 3 added; in force within one second"], "\(imported.all)")
        #expect(try await other.sealgate("device export --secrets").output == export.output)
        let again = try await other.sealgate("device import --replace -", input: export.text)
        #expect(again.output == ["devices: 0 added, 3 as they were"])
    }

    @Test("what is there is replaced only when asked, and a revoked device stays revoked")
    func replacing() async throws {
        let home = try CommandHome.make()
        try await home.importDevices(Self.entry("a", 1))
        _ = try await home.sealgate("device revoke a")
        try home.directory.write("new.keys", Self.entry("a", 2) + Self.entry("b", 3))
        let refused = try await home.sealgate("device import new.keys")
        #expect(refused.exit == .status(1))
        #expect(
            refused.errors == [
                "new.keys:1: device a: it is there already; --replace replaces it", "sealgate: nothing was imported",
            ]
        )
        #expect(try await home.sealgate("device list").output.count == 2)

        let replaced = try await home.sealgate("device import --replace new.keys")
        #expect(replaced.output == ["devices: 1 added, 1 replaced; in force within one second"])
        #expect(replaced.errors == ["still revoked: a"])
        #expect(try await home.sealgate("device export a --secrets").text.contains("secret-2"))
        #expect(try await home.sealgate("device show a --json").json("state") as? String == "revoked")
    }

    @Test("a replacement may not take away keys that others use")
    func stranded() async throws {
        let home = try CommandHome.make()
        try await home.importDevices(Self.entry("a", 1))
        _ = try await home.sealgate("device add c --profile sensor --keys-of a --node-id 9")
        try home.directory.write("new.keys", "[[device]]\nid = \"a\"\nprofile = \"plain\"\n")
        let finished = try await home.sealgate("device import --replace new.keys")
        #expect(finished.exit == .status(1))
        #expect(finished.errors.joined().contains("device c is to use the keys of a"))
        #expect(try await home.sealgate("device show a --json").json("profile") as? String == "sensor")
    }

    @Test(
        "one bad entry keeps all out, and is named by its line",
        arguments: [
            (Self.entry("b", 2, profile: "sensro"), 2, "new.keys:10: device b: gateway.conf has no profile \"sensro\""),
            (Self.entry("b", 1), 1, "device b: it has the keys and the node id of device a"),
            ("[[device]]\nid = \"b\"\n", 2, "new.keys:10: device b: it has no profile"),
            ("[[device]]\nid = \"b\"\nprofile = \"sensor\"\n", 2, "new.keys:10: device b: seal v1 needs keys"),
            (
                "[[device]]\nid = \"b\"\nprofile = \"sensor\"\nkeys_of = \"z\"\n", 1,
                "the keys of z, and there is no such"
            ),
            ("[[device]]\nid = \"a\"\n", 2, "a is in this file already"),
            ("[[device]]\nid = \"b\"\npassphrase = 5\n", 2, "new.keys:12"),
        ]
    )
    func allOrNothing(_ second: String, status: Int, reason: String) async throws {
        let home = try CommandHome.make()
        try home.directory.write("new.keys", Self.entry("a", 1) + second)
        let finished = try await home.sealgate("device import new.keys")
        #expect(finished.exit == .status(Int32(status)), "\(finished.all)")
        #expect(finished.errors.joined(separator: "\n").contains(reason), "\(finished.all)")
        #expect(!finished.all.contains("secret-1"))
        #expect(try await home.sealgate("device list --json").text == "[]")
    }

    @Test("a key file that others can read is refused with the cure")
    func mode() async throws {
        let home = try CommandHome.make()
        let path = try home.directory.write("new.keys", Self.entry("a", 1))
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
        let finished = try await home.sealgate("device import new.keys")
        #expect(finished.exit == .status(2))
        #expect(finished.errors == ["new.keys: has mode 0640, wider than 0600; run: chmod 600 new.keys"])
    }

    @Test("an export leaves revoked devices out unless they are named, and says so")
    func revokedExport() async throws {
        let home = try CommandHome.make()
        try await home.importDevices(Self.entry("a", 1) + Self.entry("b", 2))
        _ = try await home.sealgate("device revoke a")
        let all = try await home.sealgate("device export --secrets")
        #expect(!all.text.contains("secret-1") && all.text.contains("secret-2"))
        #expect(all.errors == ["left out, revoked: a"])
        let named = try await home.sealgate("device export a --secrets")
        #expect(named.text.contains("secret-1"))
        #expect(named.errors == ["revoked, which a key file can't say: a"])
    }
}
