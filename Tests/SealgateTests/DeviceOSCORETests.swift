import Foundation
import TestSupport
import Testing

@testable import sealgate

@Suite(.inTurn) struct DeviceOSCORETests {
    private static let coap = """

        [[listener]]
        protocol = "coap"
        bind     = "127.0.0.1:5700"
        """

    private static let imported = """
        [[device]]
        id                  = "yard"
        profile             = "plain"
        oscore_secret       = "hex:0102030405060708090a0b0c0d0e0f10"
        oscore_salt         = "hex:9e7ca92223786340"
        oscore_sender_id    = "hex:01"
        oscore_recipient_id = "hex:"
        oscore_id_context   = "hex:37cbf3210017a2d3"
        oscore_algorithm    = "AES-CCM-16-64-128"

        """

    private func home() throws -> GatewayProcess.Home {
        try GatewayProcess.Home(configuration: CommandHome.configuration + Self.coap)
    }

    @Test("--oscore shows what the node needs, when it is added and later, the same")
    func derived() async throws {
        let home = try self.home()
        let added = try await home.sealgate("device add yard --profile plain --oscore --json")
        let first = try #require(try added.json("oscore") as? [String: Any])
        #expect(
            Set(first.keys) == [
                "algorithm", "kdf-hashfun", "sender-id_hex", "recipient-id_hex", "secret_hex", "salt_hex", "window",
            ]
        )
        #expect(first["algorithm"] as? String == "AES-CCM-16-64-128" && first["kdf-hashfun"] as? String == "sha256")
        #expect(first["recipient-id_hex"] as? String == "00")
        #expect((first["sender-id_hex"] as? String)?.count == 8 && (first["secret_hex"] as? String)?.count == 32)
        let shown = try await home.sealgate("device show yard --oscore --json")
        for (key, value) in first { #expect(try "\(shown.json(key) ?? "")" == "\(value)") }

        let secret = try #require(first["secret_hex"] as? String)
        let text = try await home.sealgate("device show yard --oscore")
        #expect(text.text.contains("master_secret,hex,\"\(secret)\"") && text.text.contains("aead_alg,integer,10"))
        let sheet = try await home.sealgate("device add loft --profile plain --oscore")
        #expect(sheet.text.contains("coap://GATEWAY:5700/ps/TOPIC"), "\(sheet.text)")
        #expect(sheet.output.allSatisfy { $0.isEmpty || $0.hasPrefix("#") })
        #expect(!sheet.text.contains(secret))
        for command in ["device list", "device show yard", "device show yard --json", "device export --secrets"] {
            #expect(try await !home.sealgate(command).all.contains(secret))
        }
        #expect(try await home.sealgate("device show yard --json").json("oscore") as? String == "derived")
    }

    @Test("an imported context is kept, told of, shown and exported; no two devices have the same")
    func imported() async throws {
        let home = try self.home()
        try await home.importDevices(Self.imported)
        let details = try await home.sealgate("device show yard --json")
        #expect(try details.json("oscore") as? String == "imported")
        #expect(!details.all.contains("0102030405060708"))
        let shown = try await home.sealgate("device show yard --oscore --json")
        #expect(try shown.json("secret_hex") as? String == "0102030405060708090a0b0c0d0e0f10")
        #expect(try shown.json("sender-id_hex") as? String == "01" && shown.json("recipient-id_hex") as? String == "")
        #expect(try shown.json("id-context_hex") as? String == "37cbf3210017a2d3")
        let bare = try await home.sealgate("device export")
        #expect(!bare.text.contains("oscore"))
        let export = try await home.sealgate("device export --secrets")
        let other = try self.home()
        #expect(try await other.sealgate("device import -", input: export.text).exit == .status(0))
        #expect(try await other.sealgate("device export --secrets").output == export.output)

        let file = try home.directory.write("twin.keys", Self.imported)
        let twin = try await home.run(["device", "add", "twin", "--profile", "plain", "--keys", file])
        #expect(
            twin.exit == .status(1) && twin.all.contains("it has the OSCORE secret, salt and ID context of device yard")
        )
        let both = try await home.run(["device", "add", "twin", "--profile", "plain", "--keys", file, "--oscore"])
        #expect(both.exit == .status(2))
        #expect(!(twin.all + both.all).contains("0102030405060708"))
    }

    @Test("a context that nothing can be done with is said to be one")
    func useless() async throws {
        let home = try CommandHome.make()
        let added = try await home.sealgate("device add yard --profile plain --oscore")
        #expect(added.exit == .status(0) && added.all.contains("has no CoAP listener"))
        let missing = try await home.sealgate("device show nobody --oscore")
        #expect(missing.exit == .status(1))
    }

    @Test("--psk shows the line of a client for each kind of listener that takes the key")
    func preSharedKey() async throws {
        let coaps = """

            [[listener]]
            protocol = "coaps"
            bind     = "127.0.0.1:5701"
            psk      = true
            """
        let both = try GatewayProcess.Home(configuration: CommandHome.configuration + coaps)
        let text = try await both.sealgate("device add yard --profile plain --psk").text
        #expect(text.contains("mosquitto_pub") && !text.contains("-p 5701"))
        // The key is a random one, which not every time fits an argument.
        let isReady =
            text.contains("coap-client-openssl -m post -u yard -k") && text.contains("coaps://GATEWAY:5701/ps/")
        #expect(isReady != text.contains("not with coap-client"))
    }

    @Test(
        "a client that takes the key from a shell is not named for one that a shell cuts",
        arguments: [
            ("6162630a64", true), ("0d616263", true), ("61620064", false), ("00616263", false), ("6162630a", false),
            ("0a0a", false), ("61626300", false),
        ]
    )
    func keysOfArguments(digits: String, fits: Bool) async throws {
        let lines = NodeSheet.coapClient("yard", key: hexBytes(digits), "coaps://GATEWAY/ps/t")
        #expect(lines.contains { $0.contains("-k \"$(printf \(digits) | xxd -r -p)\"") } == fits)
        #expect(lines.contains { $0.contains("gnutls-cli") && $0.contains("--pskkey") } == !fits)
        // What the shell makes of it.
        let word = "printf %s \"$(printf \(digits) | xxd -r -p)\" | xxd -p"
        let handed = try await ChildProcess.run("/bin/sh", ["-c", word])
        #expect((handed.output.first == digits) == fits, "\(handed.all)")
    }
}
