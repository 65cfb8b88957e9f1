import Foundation
import TestSupport
import Testing

@Suite struct ExplainCommandTests {
    @Test(
        "the decision, its line and the outside topic",
        arguments: [
            (
                "publish nodes/kitchen/t", 0,
                ["allowed by publish line 16: nodes/%d/# (= nodes/kitchen/#)", "sites/attic/kitchen/t"]
            ),
            ("publish nodes/hall/t", 1, ["refused: no publish line of profile sensor (line 14) covers nodes/hall/t"]),
            ("publish nodes/kitchen/secret/x", 1, ["refused by deny line 18"]),
            ("publish nodes/kitchen/sessionID", 1, ["one of the gateway's own topics"]),
            ("subscribe nodes/kitchen/cmd/#", 0, ["allowed by subscribe line 17", "sites/attic/kitchen/cmd/#"]),
            ("subscribe nodes/#", 1, ["refused"]),
        ]
    )
    func decisions(_ question: String, status: Int, words: [String]) async throws {
        let home = try CommandHome.make()
        _ = try await home.sealgate("device add kitchen --profile sensor")
        let finished = try await home.sealgate("explain kitchen " + question)
        #expect(finished.exit == .status(Int32(status)))
        for word in words { #expect(finished.text.contains(word), "\(finished.all)") }
        let json = try await home.sealgate("explain kitchen \(question) --json")
        #expect(json.exit == finished.exit)
        #expect(try json.json("allowed") as? Bool == (status == 0))
    }

    @Test("an unknown device, a bad action and a bad topic are told apart")
    func refused() async throws {
        let home = try CommandHome.make()
        let none = try await home.sealgate("explain kitchen publish a")
        #expect(none.exit == .status(1))
        #expect(none.errors == ["sealgate: there is no device kitchen: state has no devices yet"])
        #expect(!FileManager.default.fileExists(atPath: home.directory.file("state")))
        _ = try await home.sealgate("device add kitchen --profile sensor")
        #expect(
            try await home.sealgate("explain kichen publish a").errors.joined().contains("did you mean \"kitchen\"?")
        )
        #expect(try await home.sealgate("explain kitchen publsh a").exit == .status(2))
        #expect(try await home.sealgate("explain kitchen publish a/+").exit == .status(2))
        _ = try await home.sealgate("device revoke kitchen")
        let revoked = try await home.sealgate("explain kitchen publish nodes/kitchen/t")
        #expect(revoked.exit == .status(1))
        #expect(revoked.text.contains("the device is revoked"))
    }
}
