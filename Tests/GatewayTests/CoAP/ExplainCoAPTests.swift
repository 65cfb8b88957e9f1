import Devices
import Testing

@testable import Gateway

@Suite("How a device does it over CoAP, explained")
struct ExplainCoAPTests {
    private static let listeners = """
        [gateway]
        name = "attic"
        [[listener]]
        protocol = "coap"
        bind = "0.0.0.0:5683"
        anonymous = true
        paths = { "/t" = "nodes/%d/temp", "/g" = "site/%g" }
        [[listener]]
        protocol = "coaps"
        bind = "0.0.0.0:5684"
        psk = true
        prefix = ""
        [[listener]]
        protocol = "coap"
        bind = "127.0.0.1:5683"
        oscore = false
        anonymous = "guest"
        [profile.guest]
        publish = ["guests/#"]
        [profile.sealed]
        seal = "v1"
        publish = ["nodes/%d/#", "site/attic"]
        subscribe = ["nodes/%d/sessionID", "nodes/%d/cmd/#"]
        piggyback_commands = true
        senml = "values"
        [profile.plain]
        plaintext = true
        fresh = true
        identify_by = "client_id"
        publish = ["nodes/%d/#"]
        subscribe = ["nodes/%d/cmd/#"]
        [profile.proven]
        publish = ["nodes/%d/#"]

        """

    private func lines(_ device: String, _ action: PolicyAction, _ topic: String) throws -> [String] {
        let configuration = try GatewayConfiguration.parse(Self.listeners, file: "F")
        let registry = DeviceRegistry(gateway: configuration.name)
        let devices = try ["sealed", "plain", "proven"].map { Device(id: try DeviceID($0), profile: $0) }
        _ = registry.replace(devices: devices, profiles: configuration.profiles.values.sorted { $0.line < $1.line })
        let routes = try RouteTable(routes: [], uplinks: [], gateway: "attic", reserved: registry.reserved)
        let id = try DeviceID(device)
        var explanation = try Explanation(
            device: id,
            action: action,
            topic: topic,
            registry: registry,
            routes: routes
        )
        explanation.coap = configuration.explainCoAP(explanation, id, action, registry)
        return explanation.lines.dropFirst().filter { $0.contains("CoAP") || $0.contains("over coap") }
    }

    @Test("a node that seals: by each listener, by path and by topic, with what the answer and SenML mean")
    func sealed() throws {
        let notes = [
            "  the answer over CoAP may bring a command that waits for it",
            "  a SenML pack over CoAP becomes one message for each record (senml values)",
        ]
        #expect(
            try self.lines("sealed", .publish, "nodes/sealed/temp") == [
                "  over coap 0.0.0.0:5683, by OSCORE and sealed: POST /t or POST /ps/nodes/sealed/temp",
                "  over coap 0.0.0.0:5683, sealed: POST /t?d=sealed or POST /ps/nodes/sealed/temp",
                "  over coaps 0.0.0.0:5684, by its pre-shared key and sealed: POST /nodes/sealed/temp",
                "  not over coap 127.0.0.1:5683: nothing says there which device it is",
            ] + notes
        )
        // Whose it is the topic does not say.
        #expect(
            try self.lines("sealed", .publish, "site/attic").prefix(2) == [
                "  over coap 0.0.0.0:5683, by OSCORE and sealed: POST /g or POST /ps/site/attic",
                "  over coap 0.0.0.0:5683, sealed: POST /g?d=sealed or POST /ps/site/attic?d=sealed",
            ]
        )
    }

    @Test("what it may hear, and its session IDs")
    func subscribe() throws {
        #expect(
            try self.lines("sealed", .subscribe, "nodes/sealed/sessionID").dropLast() == [
                "  over coap 0.0.0.0:5683, by OSCORE: GET /sid or GET /ps/nodes/sealed/sessionID",
                "  over coap 0.0.0.0:5683, unproven: GET /sid?d=sealed or GET /ps/nodes/sealed/sessionID",
                "  over coaps 0.0.0.0:5684, by its pre-shared key: GET /sid or GET /nodes/sealed/sessionID",
            ]
        )
        #expect(
            try self.lines("sealed", .subscribe, "nodes/sealed/cmd/#") == [
                "  not over CoAP: no path stands for a filter with wildcards; observe its topics one by one"
            ]
        )
    }

    @Test("a node that proves nothing, and one that has to")
    func others() throws {
        #expect(
            try self.lines("plain", .publish, "nodes/plain/x").prefix(2) == [
                "  over coap 0.0.0.0:5683, by OSCORE: POST /ps/nodes/plain/x",
                "  over coap 0.0.0.0:5683, unproven, with a fresh Echo: POST /ps/nodes/plain/x?d=plain",
            ]
        )
        #expect(
            try self.lines("proven", .publish, "nodes/proven/x") == [
                "  over coap 0.0.0.0:5683, by OSCORE: POST /ps/nodes/proven/x",
                "  over coaps 0.0.0.0:5684, by its pre-shared key: POST /nodes/proven/x",
                "  not over coap 127.0.0.1:5683: nothing says there which device it is",
            ]
        )
        #expect(
            try self.lines("proven", .publish, "nodes/proven/a b?é").first
                == "  over coap 0.0.0.0:5683, by OSCORE: POST /ps/nodes/proven/a%20b%3f%c3%a9"
        )
        #expect(
            try self.lines("proven", .publish, "nodes/proven//x") == [
                "  not over CoAP: no path has such segments: each has 1 to 255 bytes, and is neither . nor .."
            ]
        )
        #expect(try self.lines("proven", .publish, "elsewhere").isEmpty)
    }
}
