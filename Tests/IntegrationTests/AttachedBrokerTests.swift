import Foundation
import TestSupport
import Testing

/// A broker that is there already, and the gateway as its client: the topology of the published scheme.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct AttachedBrokerTests {
    private struct Site {
        /// Where the nodes are.
        let home: Mosquitto
        let outside: MosquittoSubscriber
        let cloud: Mosquitto
        let gateway: GatewayProcess
        /// Hears what comes back opened.
        let opened: MosquittoSubscriber

        var nodes: MosquittoTarget { MosquittoTarget(port: self.home.port) }
    }

    private static let devices =
        SiteDevices.sealed("kitchen", nodeID: "11242238", secret: 1)
        + SiteDevices.sealed("cellar", nodeID: "777", secret: 2) + SiteDevices.plain("lamp")

    private static func listener(_ port: Int, subscribe: String = "nodes/#", more: String = "") -> String {
        """
        [[listener]]
        protocol = "attach"
        address = "mqtt://127.0.0.1:\(port)"
        subscribe = ["\(subscribe)"]
        prefix = "opened/"
        \(more)
        """
    }

    private func site(
        devices: String = devices,
        subscribe: String = "nodes/#",
        sensor: [String] = [],
        extra: String = ""
    ) async throws -> Site {
        let (home, cloud) = (try await Mosquitto.start(), try await Mosquitto.start())
        let outside = try await MosquittoSubscriber.start(.init(port: cloud.port), topics: ["sites/#"])
        let opened = try await MosquittoSubscriber.start(.init(port: home.port), topics: ["opened/#"])
        var configuration = SiteConfiguration.plain(port: cloud.port)
        configuration.sensor = sensor
        configuration.extra = Self.listener(home.port, subscribe: subscribe) + "\n" + extra
        let directory = try GatewayProcess.Home(configuration: configuration.text)
        try await directory.importDevices(devices)
        let gateway = try await directory.start()
        try await gateway.logged("] attached", "127.0.0.1:\(home.port)")
        return Site(home: home, outside: outside, cloud: cloud, gateway: gateway, opened: opened)
    }

    private func kitchen(_ target: MosquittoTarget) async throws -> SealedNode {
        try await SealedNode(id: "kitchen", nodeID: "11242238", secret: 1, target: target)
    }

    @Test("a sealed message arrives opened outside and under the prefix, session IDs are retained, a replay is refused")
    func sealed() async throws {
        let site = try await self.site()
        let node = try await self.kitchen(site.nodes)
        let first = try node.seal("adc=512", session: try await node.session(1))
        _ = try await node.publish(first)
        let arrived = try await site.outside.message(payload: "adc=512")
        #expect(arrived.topic == "sites/attic/kitchen/data")
        #expect(try await site.opened.message(payload: "adc=512").topic == "opened/nodes/kitchen/data")

        // A node that comes later finds the newest session ID at its broker.
        let newest = try await node.session(2)
        let late = try await MosquittoSubscriber.start(site.nodes, topics: ["nodes/+/sessionID"])
        #expect(try await late.messages(2).contains { $0.payload == newest && $0.isRetained })

        // Eight later messages push the first out of those that are known as repetitions; then it is a replay.
        for number in 2...10 {
            _ = try await node.publish(try node.seal("\(number)", session: try await node.session(number)))
            try await site.outside.message(payload: "\(number)")
        }
        _ = try await node.publish(first)
        try await site.gateway.logged("refused", "replay", "kitchen", "nodes/kitchen/data")
        // Neither it nor a forgery closes anything.
        _ = try await node.publish("garbage")
        _ = try await node.publish(try node.seal("last", session: try await node.session(11)))
        try await site.outside.message(payload: "last")
        try await site.opened.message(payload: "last")
        #expect(site.outside.received.map(\.payload) == ["adc=512"] + (2...10).map(String.init) + ["last"])
        #expect(site.opened.received.map(\.payload) == site.outside.received.map(\.payload))
        let log = site.gateway.log.lines
        #expect(!log.contains { $0.contains("refused") && $0.contains("sessionID") })
        #expect(log.count { $0.contains("] attached") } == 1)
        #expect(try await site.gateway.stop() == .status(0))
    }

    @Test("the article's node runs against its own broker as it is", arguments: [[], ["--qos", "2", "--retain"]])
    func article(options: [String]) async throws {
        let extra = """
            [profile.article]
            seal = "v1"
            session_topic = "mytopic/sessionID"
            publish = ["mytopic/data"]
            subscribe = ["mytopic/sessionID"]

            [[route]]
            direction = "out"
            from = "mytopic/data"
            to = "sites/%g/article"
            uplink = "cloud"
            qos = 1
            """
        let device = """
            [[device]]
            id = "first"
            profile = "article"
            seal = "v1"
            node_id = "11242238"
            static_iv = "abcdef2345678901"
            iv_key = "2345678901abcdef"
            data_key = "0123456789abcdef"
            passphrase = "mypassphrase"
            """
        let site = try await self.site(devices: device, subscribe: "mytopic/#", extra: extra)
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let own = root + "/.venv/bin/python"
        let node = try await ChildProcess.run(
            FileManager.default.isExecutableFile(atPath: own) ? own : "python3",
            [
                root + "/Examples/nodes/python/article.py", "--port", "\(site.home.port)", "--count", "5", "--data",
                "a%d",
            ]
                + options,
            environment: ["PYTHONDONTWRITEBYTECODE": "1"]
        )
        #expect(node.exit == .status(0), "\(node.all)")
        #expect(try await site.outside.messages(5).map(\.payload) == (1...5).map { "a\($0)" })
        #expect(try await site.opened.messages(5).map(\.topic) == [String](repeating: "opened/mytopic/data", count: 5))
    }

    @Test("commands reach the nodes there, and their echo goes nowhere")
    func commands() async throws {
        let site = try await self.site()
        let lamp = try await MosquittoSubscriber.start(site.nodes, topics: ["nodes/lamp/cmd/#"])
        let cloud = MosquittoTarget(port: site.cloud.port)
        for payload in ["on", "off"] {
            _ = try await MosquittoPublisher.publish(cloud, topic: "sites/attic/lamp/cmd/light", payload: payload)
        }
        #expect(try await lamp.messages(2).map(\.payload) == ["on", "off"])
        _ = try await MosquittoPublisher.publish(site.nodes, topic: "nodes/lamp/state", payload: "end")
        try await site.outside.message(payload: "end")
        try await site.opened.message(payload: "end")
        #expect(site.outside.received.map(\.payload) == ["on", "off", "end"])
        #expect(site.opened.received.map(\.payload) == ["end"])
        #expect(lamp.received.count == 2)
        #expect(!site.gateway.log.lines.contains { $0.contains("refused") })
    }

    @Test(
        "a command for a sealed node there is sealed under the session ID that the node has retained at its broker, once"
    )
    func sealedCommands() async throws {
        let site = try await self.site()
        let topic = "nodes/kitchen/cmd/light"
        let node = try await MosquittoSubscriber.start(site.nodes, topics: [topic])
        let cloud = MosquittoTarget(port: site.cloud.port)
        _ = try await MosquittoPublisher.publish(
            site.nodes,
            topic: topic + "/sessionID",
            payload: "of-the-node",
            retain: true
        )
        for payload in ["on", "off"] {
            _ = try await MosquittoPublisher.publish(cloud, topic: "sites/attic/kitchen/cmd/light", payload: payload)
        }
        let sealed = try await node.messages(1)[0].payload
        #expect(try SealedCommandSite.open(sealed, session: "of-the-node", secret: 1) == "on")
        // The retained ID comes again with each connection of the gateway's, and is not used again.
        #expect(try await site.gateway.stop() == .status(0))
        let again = try await site.gateway.restart()
        try await again.logged("] attached")
        _ = try await MosquittoPublisher.publish(site.nodes, topic: topic + "/sessionID", payload: "second")
        let second = try await node.messages(2)[1].payload
        #expect(try SealedCommandSite.open(second, session: "second", secret: 1) == "off")
        #expect(node.received.count == 2)
        #expect(!site.outside.received.contains { $0.topic.hasSuffix("sessionID") })
    }

    @Test("$SYS tells of its state, and counts")
    func system() async throws {
        let extra = """
            [profile.watch]
            plaintext = true
            identify_by = "client_id"
            publish = ["watch/%d"]
            subscribe = ["$SYS/#"]
            """
        let monitor = "[[device]]\nid = \"monitor\"\nprofile = \"watch\"\n\n"
        let site = try await self.site(devices: Self.devices + monitor, extra: extra)
        _ = try await MosquittoPublisher.publish(site.nodes, topic: "nodes/lamp/state", payload: "1")
        try await site.opened.message(payload: "1")
        let base = "$SYS/gateway/attached/127.0.0.1:\(site.home.port)"
        let watcher = try await MosquittoSubscriber.start(
            .init(port: try site.gateway.port(), clientID: "monitor"),
            topics: [base + "/#"]
        )
        let values = try await watcher.messages(6).map(\.description)
        #expect(values.contains(base + "/state = connected"))
        #expect(values.contains(base + "/messages/received = 1"))
        #expect(values.contains(base + "/messages/opened = 1"))
        #expect(values.contains(base + "/messages/ignored = 0"))
    }

    @Test("what is retained at the broker from earlier is not taken again")
    func retained() async throws {
        let site = try await self.site()
        _ = try await MosquittoPublisher.publish(site.nodes, topic: "nodes/lamp/state", payload: "1", retain: true)
        try await site.outside.message(payload: "1")
        #expect(try await site.gateway.stop() == .status(0))
        let again = try await site.gateway.restart()
        try await again.logged("] attached")
        _ = try await MosquittoPublisher.publish(site.nodes, topic: "nodes/lamp/state", payload: "2", retain: true)
        try await site.outside.message(payload: "2")
        #expect(site.outside.received.map(\.payload) == ["1", "2"])
    }

    @Test("the broker goes away and comes back: the log says so, and nodes go on with new session IDs")
    func brokerRestarts() async throws {
        let site = try await self.site()
        let node = try await self.kitchen(site.nodes)
        _ = try await node.publish(try node.seal("before", session: try await node.session(1)))
        try await site.outside.message(payload: "before")
        try await node.stop()
        try await site.home.kill()
        try await site.gateway.logged("attached broker lost", "127.0.0.1:\(site.home.port)")
        let home = try await Mosquitto.start(ports: site.home.ports)
        _ = try await site.gateway.log.lines(count: 2) { $0.contains("] attached") }
        let target = MosquittoTarget(port: home.port)
        let fresh = try await self.kitchen(target)
        _ = try await fresh.publish(try fresh.seal("after", session: try await fresh.session(1)))
        try await site.outside.message(payload: "after")
        #expect(site.outside.received.map(\.payload) == ["before", "after"])
    }

    @Test("SIGKILL in the middle loses nothing that the broker was acknowledged, neither outside nor under the prefix")
    func killed() async throws {
        let site = try await self.site()
        let lines = (1...3000).map(String.init)
        async let sent = MosquittoPublisher.publish(site.nodes, topic: "nodes/lamp/data", lines: lines)
        _ = try await site.outside.messages(200)
        try await site.gateway.kill()
        #expect(try await sent.exit == .status(0))
        let again = try await site.gateway.restart()
        try await again.logged("] attached", "session-present=true")
        for subscriber in [site.outside, site.opened] {
            try await subscriber.message(payload: "3000")
            // At least once: some come twice.
            var firsts: [String] = []
            var seen: Set<String> = []
            for message in subscriber.received where seen.insert(message.payload).inserted {
                firsts.append(message.payload)
            }
            #expect(firsts == lines)
        }
        #expect(try await again.stop() == .status(0))
    }

    // MARK: A broker that breaks the rules

    /// A gateway whose attached broker is the test itself; its uplink is nowhere.
    private func hostile() async throws -> (gateway: GatewayProcess, listener: RawMQTTClient.Listener) {
        let listener = try RawMQTTClient.Listener()
        var configuration = SiteConfiguration.plain(port: 1)
        configuration.extra =
            "[[listener]]\nprotocol = \"attach\"\naddress = \"mqtt://127.0.0.1:\(listener.port)\"\nsubscribe = [\"nodes/#\"]\n"
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(SiteDevices.plain("lamp") + SiteDevices.keyed("door", key: [1, 2, 3, 4]))
        return (try await home.start(), listener)
    }

    private func accept(_ listener: RawMQTTClient.Listener) throws -> RawMQTTClient {
        let gateway = try listener.accept()
        #expect(try gateway.receivePacket().firstByte == 0x10)
        try gateway.send("20 02 00 00")
        let subscribe = try gateway.receivePacket()
        #expect(subscribe.firstByte == 0x82)
        try gateway.send("90 03" + hexText(subscribe.body[..<2]) + "01")
        return gateway
    }

    /// A PUBLISH; packet identifier 0 for QoS 0.
    private func publish(_ topic: String, _ payload: String, id: UInt8 = 0, retain: Bool = false) -> [UInt8] {
        let body = [0, UInt8(topic.utf8.count)] + Array(topic.utf8) + (id == 0 ? [] : [0, id]) + Array(payload.utf8)
        return [0x30 | (id == 0 ? 0 : 2) | (retain ? 1 : 0), UInt8(body.count)] + body
    }

    @Test("what was not asked for, is old, or may not be is acknowledged in order, and goes nowhere")
    func unwanted() async throws {
        let (gateway, listener) = try await self.hostile()
        let local = try await MosquittoSubscriber.start(
            .init(port: try gateway.port(), clientID: "lamp"),
            topics: ["nodes/lamp/cmd/#"]
        )
        let broker = try self.accept(listener)
        let bytes =
            self.publish("elsewhere", "x", id: 1) + self.publish("nodes/lamp/cmd/a", "old", id: 2, retain: true)
            + self.publish("$SYS/x", "x", id: 3) + self.publish("nodes/door/data", "unproven", id: 4)
            + self.publish("nodes/kitchen/sessionID", "x", id: 5) + self.publish("nodes/nobody/data", "x", id: 6)
            + self.publish("nodes/lamp/cmd/a", "good", id: 7) + self.publish("nodes/nobody/data", "x", id: 8)
        try broker.send(bytes)
        for id in 1...8 { try broker.expect("40 02 000\(id)") }
        try await local.message(payload: "good")
        #expect(local.received.map(\.payload) == ["good"])
        try await gateway.logged("refused", "not proven", "door")
        #expect(!gateway.log.lines.contains { $0.contains("refused") && $0.contains("sessionID") })
    }

    @Test(
        "a broker that breaks the protocol is left and come back to",
        arguments: [
            ("malformed packet", "32 07 0003 612f23 0001"),
            (
                "a packet identifier is in use",
                "32 11 000d 6e6f6465732f6c616d702f6162 0001 32 11 000d 6e6f6465732f6c616d702f6162 0001"
            ),
            ("PUBACK of a packet identifier not in use", "40 02 1234"),
        ]
    )
    func crafted(reason: String, hex: String) async throws {
        let (gateway, listener) = try await self.hostile()
        let first = try self.accept(listener)
        try first.send(hex)
        try await gateway.logged("attached broker lost", reason)
        let second = try self.accept(listener)
        try second.send(self.publish("nodes/lamp/state", "x", id: 1))
        try second.expect("40 02 0001")
    }
}
