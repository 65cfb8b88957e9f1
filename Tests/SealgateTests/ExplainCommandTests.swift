import Foundation
import TestSupport
import Testing

@Suite(.inTurn) struct ExplainCommandTests {
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

    @Test("the way in from an uplink, in words and as JSON; an uplink that is not there is named")
    func uplink() async throws {
        let home = try CommandHome.make()
        _ = try await home.sealgate("device add kitchen --profile sensor")
        let taken = try await home.sealgate("explain --uplink cloud sites/attic/kitchen/cmd/on")
        #expect(taken.exit == .status(0), "\(taken.all)")
        for words in [
            "taken as nodes/kitchen/cmd/on", "device kitchen may get it, sealed,", "nodes/kitchen/cmd/on/sessionID",
        ] {
            #expect(taken.text.contains(words), "\(taken.all)")
        }
        let json = try await home.sealgate("explain --uplink cloud sites/attic/kitchen/cmd/on --json")
        #expect(try json.json("sealed_for") as? String == "kitchen")
        #expect(try json.json("session_topic") as? String == "nodes/kitchen/cmd/on/sessionID")
        let none = try await home.sealgate("explain --uplink cloud elsewhere")
        #expect(none.exit == .status(1))
        #expect(none.text.contains("no route in takes it"))
        let unknown = try await home.sealgate("explain --uplink clod elsewhere")
        #expect(unknown.exit == .status(2))
        #expect(unknown.all.contains("did you mean \"cloud\"?"))
        for usage in ["explain --uplink cloud a b", "explain kitchen publish", "explain"] {
            #expect(try await home.sealgate(usage).exit == .status(2), "\(usage)")
        }
    }

    @Test("over which listeners, and by which paths, it can be done over CoAP")
    func coap() async throws {
        let coap = "[[listener]]\nprotocol = \"coap\"\nbind = \"127.0.0.1:5683\"\nanonymous = true\n"
        let paths = "paths = { \"/t\" = \"nodes/%d/t\" }\n"
        let home = try GatewayProcess.Home(configuration: CommandHome.configuration + "\n" + coap + paths)
        _ = try await home.sealgate("device add kitchen --profile sensor")
        let finished = try await home.sealgate("explain kitchen publish nodes/kitchen/t")
        #expect(finished.exit == .status(0))
        #expect(
            finished.text.contains(
                "  over coap 127.0.0.1:5683, sealed: POST /t?d=kitchen or POST /ps/nodes/kitchen/t"
            ),
            "\(finished.all)"
        )
        let json = try await home.sealgate("explain kitchen publish nodes/kitchen/t --json")
        let ways = try #require((try json.json("coap") as? [String: Any])?["ways"] as? [[String: Any]])
        #expect(ways.map { $0["proof"] as? String } == ["oscore", "seal"])
        #expect(ways.last?["requests"] as? [String] == ["POST /t?d=kitchen", "POST /ps/nodes/kitchen/t"])
        #expect(ways.last?["bind"] as? String == "127.0.0.1:5683" && ways.last?["sealed"] as? Bool == true)
        // What is refused is refused over CoAP too.
        let refused = try await home.sealgate("explain kitchen publish nodes/hall/t --json")
        #expect(refused.exit == .status(1))
        #expect(try refused.json("coap") == nil)
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
