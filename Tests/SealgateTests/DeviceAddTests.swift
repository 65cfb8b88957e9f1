import Foundation
import TestSupport
import Testing

@Suite(.inTurn) struct DeviceAddTests {
    @Test("a sealed device gets keys, printed once as a key file that the other commands read")
    func sealed() async throws {
        let home = try CommandHome.make()
        let added = try await home.sealgate("device add kitchen --profile sensor --seal v1")
        #expect(added.exit == .status(0), "\(added.all)")
        #expect(added.errors == ["device kitchen is added; in force within one second"])
        for expected in [
            "[[device]]", "node_id    = \"kitchen\"", "seal       = \"v1\"", "# ", "nodes/kitchen/sessionID",
            "config.lua",
        ] {
            #expect(added.text.contains(expected))
        }
        #expect(try home.mode("state") == 0o700)
        #expect(try home.mode("state/master.key") == 0o600)
        #expect(try home.mode("state/sealgate.db") == 0o600)

        let file = try home.directory.write("kitchen.keys", added.text)
        let payload = try await home.run(["seal", "--keys", file, "--session-id", "abc", "5"])
        let opened = try await home.run(["unseal", "--keys", file, "--session-id", "abc", payload.text])
        #expect(opened.output.contains("data     5"), "\(opened.all)")
    }

    @Test("what is in the state directory shows none of the secrets")
    func wrapped() async throws {
        let home = try CommandHome.make()
        let added = try await home.sealgate("device add kitchen --profile sensor --json")
        for name in ["static_iv", "iv_key", "data_key", "passphrase"] {
            let secret = try #require(try added.json(name) as? String)
            #expect(secret.hasPrefix("hex:") && secret.count >= 36)
            let bytes = hexBytes(String(secret.dropFirst(4)))
            #expect(try !CommandHome.isAnywhere(String(secret.dropFirst(4)), below: home.directory.file("state")))
            let text = String(decoding: bytes, as: UTF8.self)
            if name == "passphrase" {
                #expect(try !CommandHome.isAnywhere(text, below: home.directory.file("state")))
            }
            for command in ["device list", "device list --json", "device show kitchen", "device show kitchen --json"] {
                let told = try await home.sealgate(command)
                #expect(told.exit == .status(0))
                #expect(!told.all.contains(secret.dropFirst(4)) && !told.all.contains(text))
            }
        }
    }

    @Test("two devices never get the same keys")
    func random() async throws {
        let home = try CommandHome.make()
        let first = try await home.sealgate("device add a --profile sensor --json")
        let second = try await home.sealgate("device add b --profile sensor --json")
        for name in ["static_iv", "iv_key", "data_key", "passphrase"] {
            #expect(try first.json(name) as? String != second.json(name) as? String)
        }
    }

    @Test("--psk shows the identity and the derived key, and what Mosquitto's client needs")
    func preSharedKey() async throws {
        let home = try CommandHome.make()
        let added = try await home.sealgate("device add hall --profile plain --psk --json")
        let psk = try #require(try added.json("psk") as? [String: String])
        #expect(psk["identity"] == "hall")
        #expect(hexBytes(psk["key"] ?? "").count == 32)
        #expect(try added.json("passphrase") == nil)
        let text = try await home.sealgate("device add loft --profile plain --psk")
        #expect(text.text.contains("--psk-identity loft"))
        #expect(!text.text.contains(psk["key"] ?? ""))
    }

    @Test("--psk-file takes the key that a node has, and does not show it")
    func importedPreSharedKey() async throws {
        let home = try CommandHome.make()
        let key = "00112233445566778899aabbccddeeff"
        let path = try home.directory.write("hall.psk", "hex:\(key)\n")
        let added = try await home.run(["device", "add", "hall", "--profile", "plain", "--psk-file", path])
        #expect(added.exit == .status(0))
        #expect(!added.all.contains(key))
        #expect(try await home.sealgate("device show hall --json").json("psk") as? String == "imported")
        #expect(try await home.sealgate("device export hall --secrets").text.contains("psk        = \"hex:\(key)\""))

        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        let open = try await home.run(["device", "add", "loft", "--profile", "plain", "--psk-file", path])
        #expect(open.exit == .status(2))
        #expect(open.errors.joined().contains("chmod 600"))
    }

    @Test("a device that nothing proves is added with a warning")
    func unproven() async throws {
        let home = try CommandHome.make()
        let added = try await home.sealgate("device add hall --profile plain")
        #expect(added.exit == .status(0))
        #expect(added.errors.contains { $0.contains("nothing proves this device yet") })
    }

    @Test("keys come from a key file, and others share them under node ids of their own")
    func existingKeys() async throws {
        let home = try CommandHome.make()
        try home.directory.write("sample.keys", CommandHome.sampleKeys)
        let first = try await home.sealgate("device add attic-1 --profile article --keys sample.keys")
        #expect(first.exit == .status(0), "\(first.all)")
        #expect(!first.all.contains("mypassphrase"))
        let second = try await home.sealgate("device add attic-2 --profile article --keys-of attic-1 --node-id 7")
        #expect(second.exit == .status(0), "\(second.all)")
        let third = try await home.sealgate("device add attic-3 --profile article --keys-of attic-2 --node-id 8")
        #expect(third.exit == .status(0), "\(third.all)")
        #expect(try await home.sealgate("device show attic-1 --json").json("node_id") as? String == "11242238")
        #expect(try await home.sealgate("device show attic-3 --json").json("keys_of") as? String == "attic-1")
        #expect(
            try await home.sealgate("device show attic-3 --json").json("session_topic") as? String
                == "mytopic/sessionID"
        )
    }

    @Test(
        "what can't be added is refused, with the reason, and leaves nothing behind",
        arguments: [
            ("device add kitchen --profile sensro", 2, "did you mean \"sensor\"?"),
            ("device add kitchen --profile zzz", 2, "it has article, plain, sensor"),
            ("device add kitchen", 2, "give --profile"),
            ("device add kit/chen --profile sensor", 2, "not one of A-Z a-z 0-9 . _ -"),
            ("device add kitchen --profile plain --seal v1", 2, "needs a session_topic in profile plain"),
            ("device add kitchen --profile plain --node-id 7", 2, "are for seal v1"),
            ("device add kitchen --profile sensor --seal v2", 2, "v1"),
            ("device add kitchen --profile sensor --keys-of hall", 2, "--keys-of needs --node-id"),
            ("device add kitchen --profile sensor --keys-of hall --node-id 7", 1, "there is no device hall"),
            ("device add kitchen --profile sensor --keys missing.keys", 2, "missing.keys"),
            ("device add kitchen --profile sensor --psk --psk-file x", 2, "--psk-file"),
            ("device add kitchen --profile sensor --config other.conf", 2, "other.conf"),
        ]
    )
    func refused(_ line: String, status: Int, reason: String) async throws {
        let home = try CommandHome.make()
        let finished = try await home.sealgate(line)
        #expect(finished.exit == .status(Int32(status)), "\(finished.all)")
        #expect(finished.errors.joined(separator: "\n").contains(reason), "\(finished.all)")
        #expect(finished.output.isEmpty)
        #expect(!FileManager.default.fileExists(atPath: home.directory.file("state")))
    }

    @Test("an id is taken once, and keys with a node id are too")
    func taken() async throws {
        let home = try CommandHome.make()
        _ = try await home.sealgate("device add kitchen --profile sensor --node-id 7")
        let again = try await home.sealgate("device add kitchen --profile sensor")
        #expect(again.exit == .status(1))
        #expect(
            again.errors == [
                "sealgate: there is a device kitchen already. Choose another id, or remove that one first"
            ]
        )
        let twin = try await home.sealgate("device add twin --profile sensor --keys-of kitchen --node-id 7")
        #expect(twin.exit == .status(1))
        #expect(twin.errors.joined().contains("has the keys and the node id of device kitchen"))
    }

    @Test("keys that could not be shown are not kept")
    func fullDisk() async throws {
        let home = try CommandHome.make()
        let script = "exec \"$0\" device add kitchen --profile sensor > /dev/full"
        let finished = try await ChildProcess.run(
            "sh",
            ["-c", script, GatewayProcess.binary],
            directory: home.directory.path
        )
        #expect(finished.exit == .status(70))
        #expect(finished.errors == ["sealgate: standard output can't be written: No space left on device"])
        #expect(try await home.sealgate("device list --json").text == "[]")
    }

    @Test("keys that would not be used are refused")
    func unusedKeys() async throws {
        let home = try CommandHome.make()
        try home.directory.write("sample.keys", CommandHome.sampleKeys)
        let finished = try await home.sealgate("device add hall --profile plain --keys sample.keys")
        #expect(finished.exit == .status(2))
        #expect(finished.errors.joined().contains("has keys of seal v1, and profile plain has seal none"))
    }

    @Test("a state directory that others can read is a fault that says its cure")
    func openState() async throws {
        let home = try CommandHome.make()
        _ = try await home.sealgate("device add kitchen --profile sensor")
        let key = home.directory.file("state/master.key")
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
        let finished = try await home.sealgate("device export")
        #expect(finished.exit == .status(70))
        #expect(finished.errors.joined().contains("chmod 600 state/master.key"))
    }

    @Test("a device whose keys nobody could read is taken back")
    func readerGone() async throws {
        let home = try CommandHome.make()
        // Descriptor 4 is a pipe that nobody has open for reading.
        let script = """
            mkfifo pipe; exec 3<>pipe 4>pipe 3<&-
            "$0" device add kitchen --profile sensor >&4; echo $? >&2
            """
        let added = try await ChildProcess.run(
            "sh",
            ["-c", script, GatewayProcess.binary],
            directory: home.directory.path
        )
        #expect(added.errors.last == "70", "\(added.all)")
        #expect(try await home.sealgate("device list").errors == ["no devices yet"])
    }

    @Test("a pre-shared key that TLS does not take is refused, whatever brings it", arguments: [256, 257])
    func longPreSharedKey(bytes: Int) async throws {
        let home = try CommandHome.make()
        let digits = String(repeating: "ab", count: bytes)
        let path = try home.directory.write("hall.psk", "hex:\(digits)\n")
        let added = try await home.run(["device", "add", "hall", "--profile", "plain", "--psk-file", path])
        let entry = "[[device]]\nid = \"loft\"\nprofile = \"plain\"\npsk = \"hex:\(digits)\"\n"
        let imported = try await home.sealgate("device import -", input: entry)
        let psk = "psk = { identity = \"attic\", key_file = \"hall.psk\" }"
        try home.configure(
            CommandHome.configuration.replacingOccurrences(
                of: "address = [\"mqtt://127.0.0.1:1\"]",
                with: "address = [\"mqtts://127.0.0.1:1\"]\n\(psk)"
            )
        )
        let checked = try await home.sealgate("check")
        if bytes <= 256 {
            for finished in [added, imported, checked] { #expect(finished.exit == .status(0), "\(finished.all)") }
            #expect(checked.output == ["gateway.conf: 2 listeners, 3 profiles, 1 uplink, 2 routes: good"])
        } else {
            #expect(added.exit == .status(2) && imported.exit == .status(2) && checked.exit == .status(1))
            for finished in [added, imported, checked] {
                #expect(finished.errors.joined().contains("257 bytes"), "\(finished.all)")
                #expect(!finished.all.contains("abab"))
            }
        }
    }

    @Test("a pre-shared key that nobody needs is no protection, and that is said")
    func uselessPreSharedKey() async throws {
        let home = try CommandHome.make()
        let warning =
            "warning: profile plain has plaintext = true: anyone on an anonymous listener can speak as hall without this key"
        let plain = try await home.sealgate("device add hall --profile plain --psk")
        #expect(!plain.all.contains("warning:"))
        _ = try await home.sealgate("device remove hall")
        try home.configure(
            CommandHome.configuration.replacingOccurrences(
                of: "[profile.plain]",
                with: "[profile.plain]\nplaintext = true\nidentify_by = \"topic\""
            )
        )
        let open = try await home.sealgate("device add hall --profile plain --psk")
        #expect(open.exit == .status(0), "\(open.all)")
        #expect(open.errors.contains(warning), "\(open.all)")
    }
}
