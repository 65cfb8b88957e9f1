import TestSupport
import Testing

/// A sealed message from a node to the outside broker, and those that must not arrive.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct SealedMessageTests {
    /// An outside broker, a gateway with a plain uplink and two sealed devices, and somebody who listens outside.
    private struct Site {
        let broker: Mosquitto
        let gateway: GatewayProcess
        let outside: MosquittoSubscriber
        let target: MosquittoTarget
    }

    private func site(sensor: [String] = []) async throws -> Site {
        let broker = try await Mosquitto.start()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        var configuration = SiteConfiguration.plain(port: broker.port)
        configuration.sensor = sensor
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(
            SiteDevices.sealed("kitchen", nodeID: "11242238", secret: 1)
                + SiteDevices.sealed("cellar", nodeID: "777", secret: 2)
        )
        let gateway = try await home.start()
        return Site(
            broker: broker,
            gateway: gateway,
            outside: outside,
            target: MosquittoTarget(port: try gateway.port())
        )
    }

    private func kitchen(_ site: Site) async throws -> SealedNode {
        try await SealedNode(id: "kitchen", nodeID: "11242238", secret: 1, target: site.target)
    }

    @Test(
        "arrives opened and exactly once; the same bytes again are acknowledged and not forwarded; later they are a replay"
    )
    func onceOnly() async throws {
        let site = try await self.site()
        let node = try await self.kitchen(site)
        let first = try node.seal("adc=512", session: try await node.session(1))
        #expect(try await node.publish(first).exit == .status(0))
        let arrived = try await site.outside.message(payload: "adc=512")
        #expect(arrived.topic == "sites/attic/kitchen/data")

        // The node did not see the PUBACK, and says it again.
        #expect(try await node.publish(first).exit == .status(0))
        // Something else under the spent session.
        _ = try await node.publish(try node.seal("again", session: try await node.session(1)))
        try await site.gateway.logged("refused", "replay", "kitchen", "nodes/kitchen/data")
        // Nine later messages push the first out of the eight that are remembered.
        for number in 2...10 {
            let sealed = try node.seal("adc=\(number)", session: try await node.session(number))
            #expect(try await node.publish(sealed).exit == .status(0))
        }
        #expect(try await node.publish(first).exit != .status(0))
        let last = try node.seal("last", session: try await node.session(11))
        #expect(try await node.publish(last).exit == .status(0))
        try await site.outside.message(payload: "last")
        #expect(site.outside.received.map(\.payload) == ["adc=512"] + (2...10).map { "adc=\($0)" } + ["last"])
        #expect(Set(node.sessionIDs).count == node.sessionIDs.count)
    }

    @Test("a message that does not open is not delivered, is told to the operator, and leaves the session as it is")
    func forged() async throws {
        let site = try await self.site()
        let node = try await self.kitchen(site)
        let session = try await node.session(1)
        let genuine = try node.seal("genuine", session: session)
        let flipped = (genuine.last == "0" ? "1" : "0")
        let forgeries = [
            String(genuine.dropLast()) + flipped, String(genuine.dropLast()), "garbage", ",,,",
            try node.seal("stale", session: String(repeating: "0", count: 32)), try node.seal("none", session: ""),
        ]
        for forgery in forgeries { _ = try await node.publish(forgery) }
        try await site.gateway.logged("refused", "bad seal", "kitchen", "nodes/kitchen/data")
        #expect(try await node.publish(genuine).exit == .status(0))
        try await site.outside.message(payload: "genuine")
        #expect(site.outside.received.count == 1)
        let log = site.gateway.log.lines.joined()
        #expect(!log.contains(session), "session IDs are not for the log")
    }

    @Test("a node with another node's seal is refused")
    func othersSeal() async throws {
        let site = try await self.site()
        let kitchen = try await self.kitchen(site)
        // The cellar's keys and name, on the kitchen's topic and with the kitchen's session.
        let thief = try await SealedNode(id: "kitchen", nodeID: "777", secret: 2, target: site.target)
        _ = try await thief.publish(try thief.seal("stolen", session: try await kitchen.session(1)))
        // The kitchen's name inside, under the cellar's keys.
        let liar = try await SealedNode(id: "kitchen", nodeID: "11242238", secret: 2, target: site.target)
        _ = try await liar.publish(try liar.seal("lied", session: try await kitchen.session(1)))
        try await site.gateway.logged("refused", "kitchen")
        #expect(
            try await kitchen.publish(try kitchen.seal("own", session: try await kitchen.session(1))).exit == .status(0)
        )
        try await site.outside.message(payload: "own")
        #expect(site.outside.received.map(\.payload) == ["own"])
    }

    @Test("a message in the clear where a seal is asked for is not delivered")
    func unsealed() async throws {
        let site = try await self.site()
        _ = try await MosquittoPublisher.publish(site.target, topic: "nodes/kitchen/data", payload: "in the clear")
        try await site.gateway.logged("refused", "nodes/kitchen/data")
        let node = try await self.kitchen(site)
        _ = try await node.publish(try node.seal("sealed", session: try await node.session(1)))
        try await site.outside.message(payload: "sealed")
        #expect(site.outside.received.count == 1)
    }

    @Test("with a window of 4 a node sends four messages ahead")
    func window() async throws {
        let site = try await self.site(sensor: ["window = 4"])
        let node = try await self.kitchen(site)
        let newest = try await node.session(1)
        _ = try await node.publish(try node.seal("1", session: newest))
        let sessions = try await [node.session(1), node.session(2)]
        _ = try await node.publish(try node.seal("2", session: sessions[1]))
        try await site.outside.message(payload: "2")
        #expect(site.outside.received.map(\.payload) == ["1", "2"])
    }

    @Test("a restart makes new sessions: a recorded message is dead for good")
    func restart() async throws {
        let site = try await self.site()
        let node = try await self.kitchen(site)
        let recorded = try node.seal("recorded", session: try await node.session(1))
        try await node.stop()
        try await site.gateway.kill()
        let again = try await site.gateway.restart()
        let target = MosquittoTarget(port: try again.port())
        let fresh = try await SealedNode(id: "kitchen", nodeID: "11242238", secret: 1, target: target)
        _ = try await fresh.publish(recorded)
        try await again.logged("refused", "kitchen")
        _ = try await fresh.publish(try fresh.seal("fresh", session: try await fresh.session(1)))
        try await site.outside.message(payload: "fresh")
        #expect(site.outside.received.map(\.payload) == ["fresh"])
    }

    @Test("nobody but the gateway publishes on a session topic")
    func sessionTopic() async throws {
        let site = try await self.site()
        _ = try await MosquittoPublisher.publish(
            site.target,
            topic: "nodes/kitchen/sessionID",
            payload: String(repeating: "a", count: 32),
            retain: true
        )
        try await site.gateway.logged("refused", "nodes/kitchen/sessionID")
        let node = try await self.kitchen(site)
        #expect(try await node.session(1) != String(repeating: "a", count: 32))
    }
}
