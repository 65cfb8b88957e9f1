import Foundation
import TestSupport
import Testing

@Suite(.inTurn) struct DeviceChangeTests {
    @Test("list and show tell profile, seal, state and the topics as they read for the device")
    func shown() async throws {
        let home = try CommandHome.make()
        _ = try await home.sealgate("device add kitchen --profile sensor --node-id 11242238")
        _ = try await home.sealgate("device add hall --profile plain --psk")

        let list = try await home.sealgate("device list")
        #expect(list.output.count == 3)
        #expect(list.output[0].hasPrefix("ID "))
        #expect(list.output[2].split(separator: " ").prefix(4) == ["kitchen", "sensor", "v1", "active"])
        let filtered = try await home.sealgate("device list --profile plain --json")
        #expect(filtered.text.contains("\"id\":\"hall\"") && !filtered.text.contains("kitchen"))

        let show = try await home.sealgate("device show kitchen")
        for line in [
            "profile        sensor   (line 14)", "node id        11242238", "session topic  nodes/kitchen/sessionID",
            "publish        nodes/kitchen/#   (line 16)", "subscribe      nodes/kitchen/cmd/#   (line 17)",
            "deny           nodes/kitchen/secret/#   (line 18)", "state          active", "epoch          1",
        ] {
            #expect(show.output.contains(line), "\(line) is not in\n\(show.text)")
        }
    }

    @Test("before the first device there is nothing to list, and nothing is made")
    func empty() async throws {
        let home = try CommandHome.make()
        let list = try await home.sealgate("device list")
        #expect(list.exit == .status(0))
        #expect(list.errors == ["no devices yet"])
        #expect(try await home.sealgate("device list --json").text == "[]")
        for command in ["device show x", "device revoke x", "device remove x", "device export x"] {
            let finished = try await home.sealgate(command)
            #expect(finished.exit == .status(1))
            #expect(finished.errors.joined().contains("there is no device x"))
        }
        #expect(!FileManager.default.fileExists(atPath: home.directory.file("state")))
    }

    @Test("a device whose profile is gone from gateway.conf is listed as unusable")
    func lostProfile() async throws {
        let home = try CommandHome.make()
        _ = try await home.sealgate("device add kitchen --profile sensor")
        try home.configure(CommandHome.configuration.replacingOccurrences(of: "profile.sensor", with: "profile.other"))
        #expect(try await home.sealgate("device list").output[1].contains("unusable"))
        #expect(try await home.sealgate("device show kitchen").text.contains("gateway.conf has no profile sensor"))
    }

    @Test("revoke, restore and remove say what they did, and take several devices")
    func states() async throws {
        let home = try CommandHome.make()
        _ = try await home.sealgate("device add kitchen --profile sensor")
        _ = try await home.sealgate("device add hall --profile sensor --keys-of kitchen --node-id 7")
        let revoked = try await home.sealgate("device revoke kitchen")
        #expect(revoked.output == ["device kitchen is revoked; in force within one second"])
        #expect(revoked.errors == ["sealgate: devices with the same keys are not revoked: hall"])
        #expect(try await home.sealgate("device show kitchen --json").json("state") as? String == "revoked")
        #expect(try await home.sealgate("device revoke kitchen").output == ["device kitchen was revoked already"])
        let restored = try await home.sealgate("device restore kitchen")
        #expect(restored.output == ["device kitchen is restored; in force within one second"])

        let inUse = try await home.sealgate("device remove kitchen")
        #expect(inUse.exit == .status(1))
        #expect(inUse.errors.joined().contains("device hall uses the keys of kitchen"))
        let removed = try await home.sealgate("device remove kitchen hall")
        #expect(removed.exit == .status(0), "\(removed.all)")
        #expect(try await home.sealgate("device list --json").text == "[]")
    }

    @Test("with one unknown device among several, none is changed, and the nearest name is told")
    func allOrNone() async throws {
        let home = try CommandHome.make()
        _ = try await home.sealgate("device add kitchen --profile sensor")
        let finished = try await home.sealgate("device revoke kitchen kichen")
        #expect(finished.exit == .status(1))
        #expect(finished.errors == ["sealgate: there is no device kichen; did you mean \"kitchen\"?"])
        #expect(try await home.sealgate("device show kitchen --json").json("state") as? String == "active")
    }

    @Test("a running gateway takes changes over by itself")
    func running() async throws {
        let home = try CommandHome.make()
        let gateway = try await home.start()
        let added = try await home.sealgate("device add kitchen --profile sensor")
        #expect(added.exit == .status(0), "\(added.all)")
        try await gateway.logged("devices changed", "added=1")
        _ = try await home.sealgate("device revoke kitchen")
        try await gateway.logged("devices changed", "revoked=1")
        _ = try await home.sealgate("device remove kitchen")
        try await gateway.logged("devices changed", "removed=1")
        #expect(try await gateway.stop() == .status(0))
    }

    @Test("what needs no secret goes on without the master key; what needs one says which file is missing")
    func withoutMasterKey() async throws {
        let home = try CommandHome.make()
        _ = try await home.sealgate("device add kitchen --profile sensor")
        _ = try await home.sealgate("device add hall --profile sensor --keys-of kitchen --node-id 7")
        let before = try await home.sealgate("device list")
        try FileManager.default.removeItem(atPath: home.directory.file("state/master.key"))
        #expect(try await home.sealgate("device list").output == before.output)
        #expect(try await home.sealgate("device show hall").output.contains("keys           those of device kitchen"))
        #expect(try await home.sealgate("explain kitchen publish nodes/kitchen/t").exit == .status(0))
        let revoked = try await home.sealgate("device revoke kitchen")
        #expect(revoked.exit == .status(0), "\(revoked.all)")
        #expect(revoked.errors == ["sealgate: devices with the same keys are not revoked: hall"])
        #expect(try await home.sealgate("device restore kitchen").exit == .status(0))
        let export = try await home.sealgate("device export --secrets")
        #expect(export.exit == .status(70))
        #expect(export.errors.joined().contains("master.key is missing"))
        #expect(try await home.sealgate("device remove kitchen hall").exit == .status(0))
    }
}
