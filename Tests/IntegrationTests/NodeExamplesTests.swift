import Foundation
import TestSupport
import Testing

/// The nodes under Examples/nodes, as they are, against a real gateway.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct NodeExamplesTests {
    /// The root of the repository.
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    private static let nodes = root + "/Examples/nodes"
    /// The environment of scripts/setup-tests.sh, else the system's own.
    private static let python: String = {
        let own = root + "/.venv/bin/python"
        return FileManager.default.isExecutableFile(atPath: own) ? own : "python3"
    }()

    private struct Site {
        let gateway: GatewayProcess
        let outside: MosquittoSubscriber
        let broker: Mosquitto
        let home: GatewayProcess.Home
        /// The devices' secrets, for the nodes.
        let keys: String
    }

    private func site(sensor: [String] = [], devices: String, extra: String = "") async throws -> Site {
        let broker = try await Mosquitto.start()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        var configuration = SiteConfiguration.plain(port: broker.port)
        configuration.sensor = sensor
        configuration.extra = extra
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(devices)
        let keys = try home.directory.write("keys.toml", devices)
        return Site(gateway: try await home.start(), outside: outside, broker: broker, home: home, keys: keys)
    }

    private static let kitchen = SiteDevices.sealed("kitchen", nodeID: "11242238", secret: 7)

    private func python(_ script: String, _ arguments: [String]) async throws -> ChildProcess.Finished {
        try await ChildProcess.run(
            Self.python,
            [Self.nodes + "/python/" + script] + arguments,
            environment: ["PYTHONDONTWRITEBYTECODE": "1"]
        )
    }

    private func lua(_ arguments: [String]) async throws -> ChildProcess.Finished {
        try await ChildProcess.run("lua5.1", [Self.nodes + "/nodemcu/shim/run.lua"] + arguments)
    }

    @Test("the Python node's readings arrive opened, in order, in hex and in raw form", arguments: [[], ["--raw"]])
    func pythonNode(form: [String]) async throws {
        let site = try await self.site(devices: Self.kitchen)
        let port = "\(try site.gateway.port())"
        let node = try await self.python("node.py", ["--keys", site.keys, "--port", port, "--count", "20"] + form)
        #expect(node.exit == .status(0), "\(node.all)")
        let received = try await site.outside.messages(20)
        #expect(received.map(\.payload) == (1...20).map { "reading=\($0)" })
        #expect(received.allSatisfy { $0.topic == "sites/attic/kitchen/data" })
    }

    @Test("the Python node sends ahead as far as the window lets it")
    func pythonWindow() async throws {
        let site = try await self.site(sensor: ["window = 8"], devices: Self.kitchen)
        let port = "\(try site.gateway.port())"
        let node = try await self.python("node.py", ["--keys", site.keys, "--port", port, "--count", "50"])
        #expect(node.exit == .status(0), "\(node.all)")
        #expect(try await site.outside.messages(50).map(\.payload) == (1...50).map { "reading=\($0)" })
    }

    @Test("the Lua node's readings arrive opened, each once, though PUBACKs are lost")
    func luaNode() async throws {
        let site = try await self.site(devices: Self.kitchen)
        let port = "\(try site.gateway.port())"
        let node = try await self.lua([
            "--keys", site.keys, "--port", port, "--count", "10", "--lose-puback", "2", "--lose-puback", "5",
            "--ack-timeout", "300", "--retry", "50",
        ])
        #expect(node.exit == .status(0), "\(node.all)")
        #expect(try await site.outside.messages(10).map(\.payload) == (1...10).map { "reading=\($0)" })
        #expect(site.outside.received.count == 10)
    }

    /// A route that brings what was recorded to the node as it was: a forger on the way between gateway and node.
    private static let replayRoute = """
        [[route]]
        direction = "in"
        from = "replay/%d/#"
        to = "nodes/%d/cmd/#"
        uplink = "cloud"
        seal = false
        """

    @Test("a node opens a command, answers it outside, and refuses the same bytes again", arguments: ["python", "lua"])
    func commands(kind: String) async throws {
        let site = try await self.site(devices: Self.kitchen, extra: Self.replayRoute)
        let target = MosquittoTarget(port: try site.gateway.port())
        let outside = MosquittoTarget(port: site.broker.port)
        try await site.gateway.logged("uplink subscribed")
        let recorder = try await MosquittoSubscriber.start(target, topics: ["nodes/kitchen/cmd/#"])
        let topic = "nodes/kitchen/cmd/light"
        let arguments = ["--keys", site.keys, "--port", "\(target.port)", "--command", topic]
        let node =
            kind == "lua"
            ? try ChildProcess(
                "lua5.1",
                [Self.nodes + "/nodemcu/shim/run.lua"] + arguments + ["--commands", "2"]
            )
            : try ChildProcess(
                Self.python,
                [Self.nodes + "/python/actor.py"] + arguments + ["--count", "2"],
                environment: ["PYTHONDONTWRITEBYTECODE": "1"]
            )
        _ = try await MosquittoPublisher.publish(outside, topic: "sites/attic/kitchen/cmd/light", payload: "on")
        _ = try await node.output.line("the command") { $0 == "command \(topic) on" }
        let result = try await site.outside.message(payload: "done: on")
        #expect(result.topic.hasPrefix("sites/attic/kitchen/"))
        let sealed = try #require(recorder.received.first { $0.topic == topic }).payload
        #expect(!sealed.contains("on") || sealed.count > 100)
        _ = try await MosquittoPublisher.publish(outside, topic: "replay/kitchen/light", payload: sealed)
        _ = try await node.output.line("a refusal") { $0.contains("refused \(topic)") }
        _ = try await MosquittoPublisher.publish(outside, topic: "sites/attic/kitchen/cmd/light", payload: "off")
        try await site.outside.message(payload: "done: off")
        #expect(try await node.waitForExit() == .status(0))
        #expect(node.output.lines.count { $0.hasPrefix("command ") } == 2)
        #expect(!site.outside.received.contains { $0.topic.hasSuffix("/sessionID") })
    }

    @Test("the article's node runs unmodified: one shared session topic, one key set")
    func article() async throws {
        let extra = """
            [profile.article]
            seal = "v1"
            session_topic = "mytopic/sessionID"
            publish = ["mytopic/data"]
            subscribe = ["mytopic/sessionID"]
            rate = "1000/s"

            [[route]]
            direction = "out"
            from = "mytopic/data"
            to = "sites/%g/article"
            uplink = "cloud"
            qos = 1
            """
        let devices = """
            [[device]]
            id = "first"
            profile = "article"
            seal = "v1"
            node_id = "11242238"
            static_iv = "abcdef2345678901"
            iv_key = "2345678901abcdef"
            data_key = "0123456789abcdef"
            passphrase = "mypassphrase"

            [[device]]
            id = "second"
            profile = "article"
            seal = "v1"
            node_id = "777"
            keys_of = "first"
            """
        let site = try await self.site(devices: devices, extra: extra)
        let port = "\(try site.gateway.port())"
        for (nodeID, name) in [("11242238", "a"), ("777", "b")] {
            let node = try await self.python(
                "article.py",
                ["--port", port, "--count", "5", "--nodeid", nodeID, "--data", name + "%d"]
            )
            #expect(node.exit == .status(0), "\(node.all)")
        }
        let received = try await site.outside.messages(10)
        #expect(received.map(\.payload) == ["a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3", "b4", "b5"])
        let stranger = try await self.python(
            "article.py",
            ["--port", port, "--count", "1", "--nodeid", "666", "--timeout", "1", "--data", "forged"]
        )
        _ = stranger
        try await site.gateway.logged("refused", "mytopic/data")
        #expect(!site.outside.received.contains { $0.payload == "forged" })
    }
}
