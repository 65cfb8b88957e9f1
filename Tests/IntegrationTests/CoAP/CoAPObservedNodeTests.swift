import Foundation
import TestSupport
import Testing

/// Resources that libcoap's server hosts, observed by the gateway and published outside.
@Suite("Observed nodes", .inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread)
struct CoAPObservedNodeTests {
    /// libcoap's server: `/time` is told of every second, and `/example_data` whenever it is put.
    private final class Node: Sendable {
        let port: Int
        private let process: ChildProcess

        var log: OutputLog { self.process.output }

        private init(port: Int) throws {
            self.port = port
            self.process = try ChildProcess("coap-server-notls", ["-A", "127.0.0.1", "-p", "\(port)", "-v", "7"])
        }

        /// Starts it, and waits until it listens.
        static func start(port: Int? = nil) async throws -> Node {
            let node = try Node(port: port ?? FreePort.next())
            try await node.log.line("endpoint") { $0.contains("created UDP ") && $0.contains("127.0.0.1:\(node.port)") }
            return node
        }

        func put(_ file: String) async throws {
            let put = try await ChildProcess.run(
                "coap-client-notls",
                ["-m", "put", "-f", file, "coap://127.0.0.1:\(self.port)/example_data"]
            )
            let lines = put.output + put.errors
            #expect(!lines.contains { $0.hasPrefix("4.") || $0.hasPrefix("5.") || $0.contains("WARN") }, "\(put.all)")
        }

        func stop() async throws {
            self.process.signal(SIGTERM)
            try await self.process.waitForExit()
        }
    }

    private static let limit =
        "\n[profile.large]\nseal = \"none\"\nplaintext = true\nidentify_by = \"topic\"\n"
        + "publish = [\"large/%d/#\"]\nmax_payload = \"64KiB\"\n\n[[route]]\ndirection = \"out\"\nfrom = \"large/%d/#\"\n"
        + "to = \"sites/%g/%d/#\"\nuplink = \"cloud\"\n"

    private static func observe(_ port: Int, _ path: String, device: String, topic: String) -> String {
        """

        [[observe]]
        resource = "coap://127.0.0.1:\(port)/\(path)"
        device = "\(device)"
        topic = "\(topic)"

        """
    }

    private struct Site {
        let home: GatewayProcess.Home
        let gateway: GatewayProcess
        let outside: MosquittoSubscriber
        let cloud: Mosquitto

        /// What `sealgate status --json` says of the resources.
        func status() async throws -> [[String: Any]] {
            let finished = try await self.home.run(["status", "--json"])
            let status = try JSONSerialization.jsonObject(with: Data(finished.text.utf8)) as? [String: Any]
            return try #require(status?["observed"] as? [[String: Any]], "\(finished.all)")
        }
    }

    private func start(_ tables: String, devices: String) async throws -> Site {
        let cloud = try await Mosquitto.start()
        let outside = try await MosquittoSubscriber.start(.init(port: cloud.port), topics: ["sites/#"])
        var configuration = SiteConfiguration.plain(port: cloud.port)
        configuration.extra = tables
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(devices)
        return Site(home: home, gateway: try await home.start(), outside: outside, cloud: cloud)
    }

    @Test("a node that comes later than the gateway is found; each second is a message outside")
    func time() async throws {
        let port = try FreePort.next()
        let tables = Self.observe(port, "time", device: "clock", topic: "nodes/%d/time")
        let site = try await self.start(tables, devices: SiteDevices.plain("clock"))
        #expect(try await site.status().map { $0["state"] as? String } == ["waiting"])
        let node = try await Node.start(port: port)
        try await site.gateway.logged("a resource is observed", "device=clock", "at=127.0.0.1")
        let messages = try await site.outside.messages(4)
        #expect(messages.allSatisfy { $0.topic == "sites/attic/clock/time" && $0.qos == 1 })
        // The first two may be of the same second.
        #expect(Set(messages.map(\.payload)).count >= 3)
        let status = try #require(try await site.status().first)
        #expect(status["resource"] as? String == "coap://127.0.0.1:\(port)/time")
        #expect(status["device"] as? String == "clock")
        #expect(status["state"] as? String == "observed" && status["reason"] == nil)
        #expect(status["values"] as? Int ?? 0 >= 4)
        #expect(try await site.gateway.stop() == .status(0))
        // Observe 1.
        try await node.log.line("deregistration") { $0.contains("c:GET") && $0.contains("Observe:1,") }
        try await node.stop()
    }

    @Test("a large value that changes arrives whole, block by block")
    func large() async throws {
        let node = try await Node.start()
        let directory = try TemporaryDirectory()
        func body(_ letter: String) -> String { (0..<600).map { "\(letter)\($0) " }.joined() }
        let file = try directory.write("body", body("a"))
        try await node.put(file)
        let tables = Self.limit + Self.observe(node.port, "example_data", device: "store", topic: "large/%d/data")
        let devices = "[[device]]\nid = \"store\"\nprofile = \"large\"\n\n"
        let site = try await self.start(tables, devices: devices)
        try await site.outside.message(payload: body("a"))
        try await node.put(try directory.write("body", body("b")))
        #expect(try await site.outside.message(payload: body("b")).topic == "sites/attic/store/data")
        #expect(try await site.gateway.stop() == .status(0))
        try await node.stop()
    }

    @Test("what no seal and no profile stands for is refused, and the operator hears why")
    func refused() async throws {
        let node = try await Node.start()
        let tables =
            Self.observe(node.port, "time", device: "lock", topic: "nodes/%d/time")
            + Self.observe(node.port, "nothing", device: "lock", topic: "nodes/%d/nothing")
        let devices = SiteDevices.keyed("lock", key: [UInt8](repeating: 7, count: 16))
        let site = try await self.start(tables, devices: devices)
        try await site.gateway.logged("device=lock", "must be sealed, or the profile must have plaintext = true")
        try await site.gateway.logged("a resource can't be read", "the node answers 4.04", "/nothing")
        let status = try await site.home.run(["status"])
        #expect(status.output.contains { $0.hasPrefix("observed ") && $0.contains("/time of lock: observed, ") })
        #expect(
            status.output.contains {
                $0.hasPrefix("observed ") && $0.hasSuffix("/nothing of lock: failing, 0 values (the node answers 4.04)")
            }
        )
        #expect(try await site.gateway.stop() == .status(0))
        #expect(site.outside.received.isEmpty)
        try await node.stop()
    }
}
