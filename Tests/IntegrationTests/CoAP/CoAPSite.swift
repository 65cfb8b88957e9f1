import CoAPCodec
import Foundation
import TestSupport
import Testing

/// A gateway with listeners for CoAP, an outside broker, and somebody who listens there.
final class CoAPSite: Sendable {
    /// What may be said of it.
    struct Configuration {
        /// Lines of the listener `coap`.
        var coap = ["anonymous = true"]
        /// Lines of the listener `coaps`, besides psk; nil: there is none.
        var secure: [String]? = []
        /// Lines of the profiles of nodes that seal, that send in the clear, and that are proven by their transport.
        var sensor: [String] = []
        var plain: [String] = []
        var strict: [String] = []
        var limits: [String] = []
        var uplink: [String] = []
        /// Further tables.
        var extra = ""
        /// Key files.
        var devices = SiteDevices.plain("lamp")
        /// Whether debug messages are logged.
        var isTalkative = true

        /// On a busy machine too an answer comes in the acknowledgement, as tests that compare bytes expect.
        private static let patience = "piggyback_within = \"1500ms\""

        fileprivate func text(uplinkPort: Int) -> String {
            """
            [gateway]
            name = "attic"
            state = "state"
            log_level = "\(self.isTalkative ? "debug" : "info")"

            [limits]
            \(self.limits.contains { $0.hasPrefix("failure_rate") } ? "" : "failure_rate = \"100000/s\"")
            \(self.limits.joined(separator: "\n"))

            [[listener]]
            protocol = "coap"
            bind = "127.0.0.1:0"
            \(Self.patience)
            \(self.coap.joined(separator: "\n"))

            \(self.secure.map { "[[listener]]\nprotocol = \"coaps\"\nbind = \"127.0.0.1:0\"\npsk = true\n\(Self.patience)\n" + $0.joined(separator: "\n") } ?? "")

            [profile.sensor]
            seal = "v1"
            publish = ["nodes/%d/#"]
            subscribe = ["nodes/%d/sessionID", "nodes/%d/cmd/#"]
            session_topic = "nodes/%d/sessionID"
            rate = "100000/s"
            \(self.sensor.joined(separator: "\n"))

            [profile.plain]
            seal = "none"
            plaintext = true
            identify_by = "topic"
            publish = ["nodes/%d/#"]
            subscribe = ["nodes/%d/#"]
            deny = ["nodes/%d/private/#"]
            max_payload = "16KiB"
            \(self.plain.contains { $0.hasPrefix("rate") } ? "" : "rate = \"100000/s\"")
            \(self.plain.joined(separator: "\n"))

            [profile.strict]
            seal = "none"
            publish = ["nodes/%d/#"]
            subscribe = ["nodes/%d/#"]
            max_payload = "16KiB"
            rate = "100000/s"
            \(self.strict.joined(separator: "\n"))

            [uplink.cloud]
            state_topic = false
            address = ["mqtt://127.0.0.1:\(uplinkPort)"]
            \(self.uplink.joined(separator: "\n"))

            [[route]]
            direction = "out"
            from = "nodes/%d/#"
            to = "sites/%g/%d/#"
            uplink = "cloud"
            qos = 1

            [[route]]
            direction = "in"
            from = "sites/%g/%d/cmd/#"
            to = "nodes/%d/cmd/#"
            uplink = "cloud"
            qos = 1

            \(self.extra)
            """
        }
    }

    let broker: Mosquitto
    let home: GatewayProcess.Home
    let outside: MosquittoSubscriber
    let gateway: GatewayProcess

    private init(broker: Mosquitto, home: GatewayProcess.Home, outside: MosquittoSubscriber, gateway: GatewayProcess) {
        self.broker = broker
        self.home = home
        self.outside = outside
        self.gateway = gateway
    }

    /// - Parameters:
    ///   - hasUplink: Without one nobody answers at its address.
    ///   - prepare: Called before the gateway starts.
    static func start(
        _ configuration: Configuration = .init(),
        hasUplink: Bool = true,
        environment: [String: String] = [:],
        prepare: (GatewayProcess.Home) async throws -> Void = { _ in }
    ) async throws -> CoAPSite {
        let broker = try await Mosquitto.start()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let text = configuration.text(uplinkPort: hasUplink ? broker.port : 1)
        let home = try GatewayProcess.Home(configuration: text)
        if !configuration.devices.isEmpty { try await home.importDevices(configuration.devices) }
        try await prepare(home)
        let gateway = try await home.start(environment: environment)
        // No command passes it by once it has subscribed.
        if hasUplink { try await gateway.logged("uplink \(configuration.isTalkative ? "subscribed" : "connected")") }
        return CoAPSite(broker: broker, home: home, outside: outside, gateway: gateway)
    }

    /// The same site with the gateway that came after the first.
    func with(_ gateway: GatewayProcess) -> CoAPSite {
        CoAPSite(broker: self.broker, home: self.home, outside: self.outside, gateway: gateway)
    }

    /// Of the listener `coap`.
    var port: Int { get throws { try self.gateway.port("coap") } }
    /// Of the listener `coaps`.
    var securePort: Int { get throws { try self.gateway.port("coaps") } }

    /// A command from outside; the outside broker has it then.
    func command(_ text: String, to topic: String) async throws {
        let sent = try await MosquittoPublisher.publish(
            .init(port: self.broker.port),
            topic: "sites/attic/\(topic)",
            payload: text
        )
        try #require(sent.exit == .status(0), "\(sent.all)")
    }

    /// Runs a command of the gateway, which must succeed.
    @discardableResult
    func run(_ arguments: String...) async throws -> ChildProcess.Finished {
        let finished = try await self.home.run(arguments)
        try #require(finished.exit == .status(0), "\(arguments): \(finished.all)")
        return finished
    }

    /// Whether the gateway still serves: a node's post is acknowledged.
    func serves(_ text: String = "alive") throws {
        let node = try CoAPNode(port: try self.port)
        #expect(try node.post("nodes/lamp/alive", text)?.code == .changed)
    }
}
