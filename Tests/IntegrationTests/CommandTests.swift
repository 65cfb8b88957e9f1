import Foundation
import TestSupport
import Testing

/// What the commands say and how they end.
@Suite(.inTurn, .timeLimit(.minutes(5))) struct CommandTests {
    private func home(_ change: (inout SiteConfiguration) -> Void = { _ in }) throws -> GatewayProcess.Home {
        var configuration = SiteConfiguration.plain(port: 1)
        change(&configuration)
        return try GatewayProcess.Home(configuration: configuration.text)
    }

    @Test("a bad gateway.conf ends the gateway with 2 and names the line")
    func badConfiguration() async throws {
        let home = try self.home { $0.uplink.append("keep_alvie = \"60s\"") }
        let text = try String(contentsOfFile: home.directory.file("gateway.conf"), encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let line = (lines.firstIndex { $0.contains("keep_alvie") } ?? 0) + 1
        let run = try await home.run(["run"])
        #expect(run.exit == .status(2))
        #expect(run.errors.contains { $0.contains("gateway.conf:\(line)") && $0.contains("keep_alive") }, "\(run.all)")
        let check = try await home.run(["check"])
        #expect(check.exit == .status(1))
        #expect(check.all.contains("gateway.conf:\(line)"))
        #expect(!FileManager.default.fileExists(atPath: home.directory.file("state")))
    }

    @Test("a good one is said to be good, and nothing is touched")
    func goodConfiguration() async throws {
        let home = try self.home()
        let check = try await home.run(["check"])
        #expect(check.exit == .status(0), "\(check.all)")
        #expect(!FileManager.default.fileExists(atPath: home.directory.file("state")))
    }

    @Test("wrong usage ends with 2", arguments: [["no-such-command"], ["run", "--no-such-option"], ["unseal"]])
    func usage(arguments: [String]) async throws {
        #expect(try await self.home().run(arguments).exit == .status(2))
    }

    @Test("a key file that others may read is refused")
    func keyFileMode() async throws {
        let home = try self.home { $0 = .preSharedKey(port: 1) }
        try home.directory.write("cloud.psk", "hex:00112233445566778899aabbccddeeff\n")
        let path = home.directory.file("cloud.psk")
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        let run = try await home.run(["run"])
        #expect(run.exit == .status(2))
        #expect(run.all.contains("cloud.psk") && run.all.contains("0600"), "\(run.all)")
    }

    @Test("the published sample opens offline with an empty session ID, and not with another")
    func unseal() async throws {
        let home = try self.home()
        let keys = try home.directory.write(
            "keys.toml",
            """
            [[device]]
            id = "sample"
            seal = "v1"
            node_id = "11242238"
            static_iv = "abcdef2345678901"
            iv_key = "2345678901abcdef"
            data_key = "0123456789abcdef"
            passphrase = "mypassphrase"
            """
        )
        let sample =
            "1d54dd1af0f75a91a00d4dcd8f4ad28d,d1a0b14d187c5adfc948dfd77c2b2ee5,"
            + "564633a4a053153bcbd6ed25370346d5,c66697df7e7d467112757c841bfb6bce051d6289"
        let opened = try await home.run(["unseal", "--keys", keys, "--session-id", "", "--json", sample])
        #expect(opened.exit == .status(0), "\(opened.all)")
        let object = try JSONSerialization.jsonObject(with: Data(opened.text.utf8)) as? [String: String]
        #expect(object?["node_id"] == "11242238")
        #expect(object?["data"] == "35")
        #expect(object?["iv"] == hexText(" f9dc2766548509e".utf8))
        let piped = try await home.run(["unseal", "--keys", keys, "--session-id", "", "--json", "-"], input: sample)
        #expect(piped.text == opened.text)
        let refused = try await home.run(["unseal", "--keys", keys, "--session-id", "1", sample])
        #expect(refused.exit == .status(1))
        #expect(refused.errors.count == 1 && refused.output.isEmpty)
        let sealed = try await home.run(["seal", "--keys", keys, "--session-id", "abc", "hello"])
        #expect(sealed.exit == .status(0), "\(sealed.all)")
        let again = try await home.run(["unseal", "--keys", keys, "--session-id", "abc", "--json", sealed.text])
        #expect(again.text.contains(hexText("hello".utf8)), "\(again.all)")
    }

    @Test("explain prints the decision, the line that made it, and the outside topic")
    func explain() async throws {
        let home = try self.home()
        try await home.importDevices(SiteDevices.plain("lamp"))
        let allowed = try await home.run(["explain", "lamp", "publish", "nodes/lamp/state"])
        #expect(allowed.exit == .status(0), "\(allowed.all)")
        #expect(allowed.text.contains("sites/attic/lamp/state"))
        let denied = try await home.run(["explain", "lamp", "publish", "nodes/fan/state"])
        #expect(denied.exit == .status(1), "\(denied.all)")
        let subscription = try await home.run(["explain", "lamp", "subscribe", "nodes/#"])
        #expect(subscription.exit == .status(1), "\(subscription.all)")
    }

    @Test("a device goes through its life")
    func devices() async throws {
        let home = try self.home()
        let added = try await home.run(["device", "add", "kitchen", "--profile", "sensor", "--seal", "v1"])
        #expect(added.exit == .status(0), "\(added.all)")
        #expect(try await home.run(["device", "add", "kitchen", "--profile", "sensor"]).exit == .status(1))
        let unknown = try await home.run(["device", "add", "x", "--profile", "sensro"])
        #expect(unknown.exit != .status(0) && unknown.all.contains("sensor"), "\(unknown.all)")
        #expect(try await home.run(["device", "add", "a/b", "--profile", "sensor"]).exit == .status(2))
        let listed = try await home.run(["device", "list"])
        #expect(listed.text.contains("kitchen"))
        let shown = try await home.run(["device", "show", "kitchen"])
        #expect(shown.exit == .status(0) && shown.text.contains("sensor"))
        for secret in Self.secrets(in: added.text) {
            #expect(!listed.all.contains(secret) && !shown.all.contains(secret))
        }
        #expect(try await home.run(["device", "revoke", "kitchen"]).exit == .status(0))
        #expect(try await home.run(["device", "restore", "kitchen"]).exit == .status(0))
        #expect(try await home.run(["device", "remove", "kitchen"]).exit == .status(0))
        #expect(try await home.run(["device", "show", "kitchen"]).exit == .status(1))
    }

    /// Long runs of hex digits.
    private static func secrets(in text: String) -> [String] {
        text.split { !$0.isHexDigit }.map(String.init).filter { $0.count >= 32 }
    }

    @Test("SIGHUP puts a valid file in force, and an invalid one leaves everything as it is")
    func reload() async throws {
        let broker = try await Mosquitto.start()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let text = SiteConfiguration.plain(port: broker.port).text
        let home = try GatewayProcess.Home(configuration: text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        let gateway = try await home.start()
        let node = MosquittoTarget(port: try gateway.port())

        try home.configure(text.replacingOccurrences(of: "max_payload", with: "x") + "\nnonsense = 1\n")
        gateway.signal(SIGHUP)
        try await gateway.logged("nonsense")
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: "still")
        try await outside.message(payload: "still")

        try home.configure(
            text.replacingOccurrences(of: "plaintext = true", with: "plaintext = true\nmax_payload = \"2B\"")
        )
        gateway.signal(SIGHUP)
        try await eventually {
            _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: "long")
            return gateway.log.lines.contains { $0.contains("payload too large") }
        }
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: "ok")
        try await outside.message(payload: "ok")
        #expect(try await gateway.stop() == .status(0))
    }

    @Test("a port that is taken is told with the line of gateway.conf")
    func portTaken() async throws {
        let broker = try await Mosquitto.start()
        let home = try self.home()
        let text = try String(contentsOfFile: home.directory.file("gateway.conf"), encoding: .utf8)
        try home.configure(text.replacingOccurrences(of: "127.0.0.1:0", with: "127.0.0.1:\(broker.port)"))
        let run = try await home.run(["run"])
        #expect(run.exit == .status(70), "\(run.all)")
        #expect(run.all.contains("\(broker.port)") && run.all.contains("line"), "\(run.all)")
    }
}
