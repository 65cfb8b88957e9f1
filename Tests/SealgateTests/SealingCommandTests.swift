import Foundation
import TestSupport
import Testing

@Suite(.inTurn) struct SealingCommandTests {
    private static let sample =
        "1d54dd1af0f75a91a00d4dcd8f4ad28d,d1a0b14d187c5adfc948dfd77c2b2ee5,564633a4a053153bcbd6ed25370346d5,"
        + "c66697df7e7d467112757c841bfb6bce051d6289"

    private static func home() throws -> GatewayProcess.Home {
        let home = try CommandHome.make()
        try home.directory.write("sample.keys", CommandHome.sampleKeys)
        return home
    }

    @Test("the published sample opens under an empty session ID")
    func publishedSample() async throws {
        let home = try Self.home()
        let text = try await home.run(["unseal", "--keys", "sample.keys", "--session-id", "", Self.sample])
        #expect(text.exit == .status(0), "\(text.all)")
        #expect(text.output == ["device   sample", "node id  11242238", "data     5"])
        let json = try await home.run(["unseal", "--keys", "sample.keys", "--session-id", "", "--json", Self.sample])
        #expect(
            json.output == ["{\"data\":\"35\",\"iv\":\"20663964633237363635343835303965\",\"node_id\":\"11242238\"}"]
        )
        let input = Self.sample + "\n"
        let piped = try await home.run(["unseal", "--keys", "sample.keys", "--session-id", "", "-"], input: input)
        #expect(piped.output == text.output)
    }

    @Test("every v1 vector opens or is refused as it says", arguments: SealedVectors.all.v1)
    func vectors(_ vector: SealedVectors.V1) async throws {
        let home = try CommandHome.make()
        let keys = """
            [[device]]
            id         = "vector"
            node_id    = "\(vector.nodeID)"
            static_iv  = "hex:\(hexText(vector.staticIV.bytes))"
            iv_key     = "hex:\(hexText(vector.ivKey.bytes))"
            data_key   = "hex:\(hexText(vector.dataKey.bytes))"
            passphrase = "hex:\(hexText(vector.passphrase.bytes))"
            """
        try home.directory.write("vector.keys", keys)
        let path = home.directory.file("payload")
        try Data(vector.payload.bytes).write(to: URL(fileURLWithPath: path))
        let script = "exec \"$0\" unseal --keys vector.keys --session-id \"$1\" --json - < payload"
        let finished = try await ChildProcess.run(
            "sh",
            ["-c", script, GatewayProcess.binary, vector.sessionID],
            directory: home.directory.path
        )
        guard vector.opens else {
            #expect(finished.exit == .status(1), "\(finished.all)")
            #expect(finished.output.isEmpty && finished.errors.count == 1)
            return
        }
        #expect(finished.exit == .status(0), "\(finished.all)")
        #expect(try finished.json("node_id") as? String == vector.nodeID)
        #expect(try finished.json("iv") as? String == vector.iv.map { hexText($0.bytes) })
        #expect(try finished.json("data") as? String == vector.data.map { hexText($0.bytes) })
    }

    @Test(
        "what is sealed opens again, in both forms",
        arguments: ["5", "-5.5", "", "two words", "é", "0123456789abcdef"]
    )
    func roundTrip(_ data: String) async throws {
        let home = try Self.home()
        let sealed = try await home.run(["seal", "--keys", "sample.keys", "--session-id", "id", "--", data])
        #expect(sealed.exit == .status(0), "\(sealed.all)")
        let opened = try await home.run([
            "unseal", "--keys", "sample.keys", "--session-id", "id", "--json", sealed.text,
        ])
        #expect(try opened.json("data") as? String == hexText(data.utf8))

        let script = """
            "$0" seal --keys sample.keys --session-id id --raw - | "$0" unseal --keys sample.keys --session-id id --json -
            """
        let raw = try await ChildProcess.run(
            "sh",
            ["-c", script, GatewayProcess.binary],
            input: data,
            directory: home.directory.path
        )
        #expect(try raw.json("data") as? String == hexText(data.utf8), "\(raw.all)")
    }

    @Test("the IV can be given, so that vectors can be made again")
    func givenIV() async throws {
        let home = try Self.home()
        let finished = try await home.run(
            ["seal", "--keys", "sample.keys", "--session-id", "", "--iv", "20663964633237363635343835303965", "5"])
        #expect(finished.output == [Self.sample])
    }

    @Test("data that is no text is shown in hex, and characters that steer a terminal as escapes")
    func unprintable() async throws {
        let home = try Self.home()
        for (data, shown) in [("\u{1B}[31m", "data     \\u{1b}[31m"), ("a\nb", "data     a\\u{a}b")] {
            let sealed = try await home.run(["seal", "--keys", "sample.keys", "--session-id", "i", data])
            let opened = try await home.run(["unseal", "--keys", "sample.keys", "--session-id", "i", sealed.text])
            #expect(opened.output.last == shown)
        }
        let script = """
            P=$(printf '\\377\\001' | "$0" seal --keys sample.keys --session-id i -)
            "$0" unseal --keys sample.keys --session-id i "$P"
            """
        let bytes = try await ChildProcess.run(
            "sh",
            ["-c", script, GatewayProcess.binary],
            directory: home.directory.path
        )
        #expect(bytes.output.last == "data     hex:ff01")
    }

    @Test("each device of the file is tried, or the chosen one alone")
    func severalDevices() async throws {
        let home = try Self.home()
        let others =
            "[[device]]\nid = \"plain\"\n\n[[device]]\nid = \"second\"\nnode_id = \"2\"\nkeys_of = \"sample\"\n"
        try home.directory.write("sample.keys", CommandHome.sampleKeys + "\n\n" + others)
        let several = try await home.run(["seal", "--keys", "sample.keys", "--session-id", "i", "x"])
        #expect(several.exit == .status(2))
        #expect(several.errors == ["sealgate: sample.keys has several devices: choose one with --id (sample, second)"])
        let sealed = try await home.run(["seal", "--keys", "sample.keys", "--session-id", "i", "--id", "second", "x"])
        let opened = try await home.run(["unseal", "--keys", "sample.keys", "--session-id", "i", sealed.text])
        #expect(opened.output.prefix(2) == ["device   second", "node id  2"])
        let wrong = try await home.run(
            ["unseal", "--keys", "sample.keys", "--session-id", "i", "--id", "sample", sealed.text])
        #expect(wrong.exit == .status(1))
        #expect(wrong.errors.count == 1 && wrong.errors.joined().contains("the node id inside is 2, not 11242238"))
        for id in ["plain", "nobody"] {
            let finished = try await home.run(
                ["unseal", "--keys", "sample.keys", "--session-id", "i", "--id", id, sealed.text])
            #expect(finished.exit == .status(2))
        }
    }

    @Test(
        "what does not open ends with 1 and one line",
        arguments: [
            (Self.sample, "x", "the seal does not verify"),
            (Self.sample.replacingOccurrences(of: "6289", with: "6280"), "", "the seal does not verify"),
            (String(Self.sample.dropLast()), "", "not a v1 payload"),
            ("", "", "not a v1 payload"),
            ("hello", "", "not a v1 payload"),
        ]
    )
    func refused(_ payload: String, sessionID: String, reason: String) async throws {
        let home = try Self.home()
        let finished = try await home.run(["unseal", "--keys", "sample.keys", "--session-id", sessionID, payload])
        #expect(finished.exit == .status(1))
        #expect(finished.output.isEmpty)
        #expect(finished.errors.count == 1)
        #expect(finished.errors.joined().hasPrefix("sealgate: does not open: \(reason)"), "\(finished.all)")
    }

    @Test("a key file that others can read, or that is none, is refused")
    func keyFiles() async throws {
        let home = try Self.home()
        let path = home.directory.file("sample.keys")
        try FileManager.default.setAttributes([.posixPermissions: 0o604], ofItemAtPath: path)
        let open = try await home.run(["unseal", "--keys", "sample.keys", "--session-id", "", Self.sample])
        #expect(open.exit == .status(2))
        #expect(open.errors == ["sample.keys: has mode 0604, wider than 0600; run: chmod 600 sample.keys"])
        let missing = try await home.run(["seal", "--keys", "none.keys", "--session-id", "", "x"])
        #expect(missing.exit == .status(2))
        let badIV = try await home.run(["seal", "--keys", "none.keys", "--session-id", "", "--iv", "zz", "x"])
        #expect(badIV.exit == .status(2))
        let noSession = try await home.run(["unseal", "--keys", "sample.keys", Self.sample])
        #expect(noSession.exit == .status(2))
    }
}
