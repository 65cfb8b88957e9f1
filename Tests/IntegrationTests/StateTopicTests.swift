import Foundation
import TestSupport
import Testing

/// What the gateway says of itself, outside and here.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct StateTopicTests {
    private static let outside = "sealgate/attic/bridge/state"
    private static let uplink = "sealgate/attic/uplink/cloud"

    /// A gateway whose guests may listen to everything.
    private func home(_ configuration: SiteConfiguration) async throws -> GatewayProcess.Home {
        var configuration = configuration
        configuration.saysState = true
        configuration.extra += """

            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            anonymous = "guest"

            [profile.guest]
            publish = ["#"]
            subscribe = ["#", "$SYS/#"]
            """
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        return home
    }

    private func guestPort(_ gateway: GatewayProcess) throws -> Int {
        let ports = gateway.log.lines.filter { $0.contains(" listening") }.compactMap { line in
            line.split(separator: " ").first { $0.hasPrefix("port=") }.flatMap { Int($0.dropFirst(5)) }
        }
        return try #require(ports.last)
    }

    @Test("the outside broker keeps online while the gateway is there, offline when it has stopped or was killed")
    func outsideState() async throws {
        let broker = try await Mosquitto.start()
        let listener = try await MosquittoSubscriber.start(.init(port: broker.port), topics: [Self.outside])
        var gateway = try await self.home(.plain(port: broker.port)).start()
        try await listener.message(payload: "online")
        #expect(try await gateway.stop() == .status(0))
        #expect(try await listener.messages(2).map(\.payload) == ["online", "offline"])
        gateway = try await gateway.restart()
        #expect(try await listener.messages(3).last?.payload == "online")
        try await gateway.kill()
        #expect(try await listener.messages(4).last?.payload == "offline")
        let later = try await MosquittoSubscriber.start(.init(port: broker.port), topics: [Self.outside])
        let kept = try await later.messages(1)
        #expect(kept.first?.payload == "offline" && kept.first?.isRetained == true)
    }

    @Test("nothing is said outside without a state topic")
    func silent() async throws {
        let broker = try await Mosquitto.start()
        let listener = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["#"])
        var configuration = SiteConfiguration.plain(port: broker.port)
        configuration.uplink.append("state_topic = \"\"")
        let gateway = try await self.home(configuration).start()
        try await gateway.logged("uplink connected")
        let node = MosquittoTarget(port: try gateway.port())
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: "on")
        #expect(try await gateway.stop() == .status(0))
        #expect(try await listener.messages(1).map(\.payload) == ["on"])
        #expect(listener.received.count == 1)
    }

    @Test("who listens here hears how the uplink is, and who comes later what it is by then")
    func localState() async throws {
        let broker = try await Mosquitto.start()
        let gateway = try await self.home(.plain(port: broker.port)).start()
        let target = MosquittoTarget(port: try self.guestPort(gateway))
        let listener = try await MosquittoSubscriber.start(target, topics: ["sealgate/#"])
        try await eventually {
            try listener.last(Self.uplink)?["state"] as? String == "connected"
        }
        #expect(listener.received.contains { $0.topic == Self.outside && $0.payload == "online" && $0.isRetained })
        #expect(try listener.last(Self.uplink)?["address"] as? String == "mqtt://127.0.0.1:\(broker.port)")
        try await broker.kill()
        try await eventually { try listener.last(Self.uplink)?["state"] as? String == "waiting" }
        #expect(try listener.last(Self.uplink)?["last_error"] is String)
        #expect(try listener.last(Self.uplink)?["address"] == nil)
        let late = try await MosquittoSubscriber.start(target, topics: [Self.uplink])
        let first = try #require(try await late.messages(1).first)
        #expect(first.isRetained && !first.payload.contains("\"connected\""))
        #expect(try await gateway.stop() == .status(0))
        try await eventually {
            listener.received.last { $0.topic == Self.outside }?.payload == "offline"
        }
    }

    @Test("a session that was away gets the state of its return, and nothing of what was before")
    func absent() async throws {
        let broker = try await Mosquitto.start()
        let gateway = try await self.home(.plain(port: broker.port)).start()
        var target = MosquittoTarget(port: try self.guestPort(gateway), clientID: "panel")
        target.options = ["-c"]
        let before = try await MosquittoSubscriber.start(target, topics: ["sealgate/#"])
        try await eventually { try before.last(Self.uplink)?["state"] as? String == "connected" }
        try await before.stop()
        try await broker.kill()
        try await gateway.logged("uplink down")
        let again = try await Mosquitto.start(.init(), ports: broker.ports)
        _ = try await gateway.log.lines(count: 2) { $0.contains("uplink connected") }
        try await eventually {
            let now = try await MosquittoSubscriber.start(.init(port: target.port), topics: [Self.uplink])
            return try await now.messages(1).first?.payload.contains("\"state\":\"connected\"") == true
        }
        let after = try await MosquittoSubscriber.start(target, topics: ["other"])
        _ = try await MosquittoPublisher.publish(.init(port: target.port), topic: "other", payload: "end")
        try await after.message(payload: "end")
        let states = after.received.filter { $0.topic == Self.uplink }
        #expect(!states.isEmpty)
        #expect(states.allSatisfy { $0.payload.contains("\"state\":\"connected\"") }, "\(states)")
        #expect(try await gateway.stop() == .status(0))
        try await again.stop()
    }

    @Test("no device speaks for the gateway")
    func reserved() async throws {
        let broker = try await Mosquitto.start()
        let gateway = try await self.home(.plain(port: broker.port)).start()
        let target = MosquittoTarget(port: try self.guestPort(gateway))
        let listener = try await MosquittoSubscriber.start(target, topics: ["sealgate/#", "free"])
        for topic in [Self.outside, "sealgate/attic/anything"] {
            _ = try await MosquittoPublisher.publish(target, topic: topic, payload: "forged", retain: true)
            try await gateway.logged("refused", topic)
        }
        _ = try await MosquittoPublisher.publish(target, topic: "free", payload: "end")
        try await listener.message(payload: "end")
        #expect(!listener.received.contains { $0.payload == "forged" })
        #expect(try await gateway.stop() == .status(0))
    }

    @Test("a broker that closes on the state topic keeps its uplink, without it", arguments: ["3.1.1", "5"])
    func closedOn(version: String) async throws {
        let broker = try ScriptedBroker(BrokerScript(.init(topic: "bridge/state", .close)))
        var configuration = SiteConfiguration.plain(port: broker.port)
        configuration.uplink.append("protocol = \"\(version)\"")
        let gateway = try await self.home(configuration).start()
        let node = MosquittoTarget(port: try gateway.port())
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: "on")
        try await gateway.logged("may forbid the gateway's state topic")
        #expect(try await broker.taken(1).map(\.topic) == ["sites/attic/lamp/state"])
        #expect(try await gateway.stop() == .status(0))
        #expect(!gateway.log.lines.contains { $0.contains("dead letters") })
    }

    @Test(
        "a broker that refuses connections with such a will is connected without it",
        arguments: [("3.1.1", 5), ("5", 0x9B)]
    )
    func refusedWill(version: String, code: UInt8) async throws {
        let broker = try ScriptedBroker()
        broker.change { $0.welcome = .refuse(code) }
        var configuration = SiteConfiguration.plain(port: broker.port)
        configuration.uplink.append("protocol = \"\(version)\"")
        let gateway = try await self.home(configuration).start()
        try await gateway.logged("may forbid the gateway's state topic")
        broker.change { $0.welcome = .accept }
        try await gateway.logged("uplink connected")
        let node = MosquittoTarget(port: try gateway.port())
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: "on")
        #expect(try await broker.taken(1).map(\.text) == ["on"])
        #expect(try await gateway.stop() == .status(0))
    }

    @Test("a broker that takes messages and acknowledges none is not called connected")
    func stalled() async throws {
        let broker = try ScriptedBroker()
        broker.change { $0.acknowledging = .never }
        let gateway = try await self.home(.plain(port: broker.port)).start()
        try await gateway.logged("uplink connected")
        try await eventually { try await self.status(gateway) == "stalled" }
        broker.change { $0.acknowledging = .atOnce }
        broker.cut()
        try await eventually { try await self.status(gateway) == "connected" }
        #expect(try await gateway.stop() == .status(0))
    }

    private func status(_ gateway: GatewayProcess) async throws -> String? {
        let target = MosquittoTarget(port: try self.guestPort(gateway))
        let listener = try await MosquittoSubscriber.start(target, topics: [Self.uplink])
        _ = try await listener.messages(1)
        return try listener.last(Self.uplink)?["state"] as? String
    }
}

extension MosquittoSubscriber {
    /// The last message of this topic, as JSON.
    fileprivate func last(_ topic: String) throws -> [String: Any]? {
        guard let message = self.received.last(where: { $0.topic == topic }) else { return nil }
        return try JSONSerialization.jsonObject(with: Data(message.payload.utf8)) as? [String: Any]
    }
}
