import TestSupport
import Testing

/// Commands for a node whose messages are sealed: under the session IDs that it publishes, each used once.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct SealedCommandTests {
    private typealias Site = SealedCommandSite

    @Test("a command waits for a session ID of its node, is sealed under it, and the next one waits for the next")
    func sealed() async throws {
        let site = try await Site.start()
        let node = try site.node()
        try site.command("on")
        try site.command("off")
        try node.expectNothing()
        let first = try node.publishSession("first", command: 1)
        #expect(first.map(\.topic) == [Site.topic])
        #expect(try Site.open(first[0].payload, session: "first") == "on")
        // The node says it again, as after a lost acknowledgement: it is not used a second time.
        #expect(try node.publishSession("first").isEmpty)
        try await site.gateway.logged("command session ID", "kitchen", "sealed under it before")
        try node.expectNothing()
        let second = try node.publishSession("second", command: 1)
        #expect(try Site.open(second[0].payload, session: "second") == "off")
        // One that is there already when the command comes.
        #expect(try node.publishSession("third").isEmpty)
        try site.command("blink")
        let third = try node.takeMessages(1)
        #expect(try Site.open(third[0].payload, session: "third") == "blink")
        try node.expectNothing()
    }

    @Test(
        "of those who may listen, the node and whoever proves nothing get it sealed, others as it is; session IDs nobody"
    )
    func listeners() async throws {
        let site = try await Site.start()
        let node = try site.node()
        let stranger = try site.node(.init(id: "stranger", level: 4))
        let guest = try site.guest()
        #expect(try guest.subscribe("nodes/+/cmd/#", qos: 1) == [1])
        #expect(try node.publishSession("id-1", retain: true).isEmpty)
        try site.command("on")
        #expect(try guest.takeMessages(1).map(\.payload) == ["on"])
        for peer in [node, stranger] {
            let payload = try peer.takeMessages(1)[0].payload
            #expect(try Site.open(payload, session: "id-1") == "on")
            try peer.expectNothing()
        }
        try guest.expectNothing()
        let late = try site.guest("late")
        try late.subscribe("nodes/+/cmd/#", qos: 1)
        try late.expectNothing()
    }

    @Test("commands and session IDs outlive SIGKILL, and no session ID is used a second time after it")
    func killed() async throws {
        var site = try await Site.start()
        let node = try site.node(.kept("kitchen", level: 4))
        #expect(try node.publishSession("kept", retain: true).isEmpty)
        #expect(try node.publishSession("kept-2", retain: true).isEmpty)
        try node.disconnect()
        // Nothing is sealed while the node is away.
        for text in ["1", "2", "3"] { try site.command(text) }
        site = try await site.killed()
        let back = try site.node(.kept("kitchen", level: 4))
        #expect(back.isPresent)
        let first = try back.takeMessages(1)
        #expect(try Site.open(first[0].payload, session: "kept-2") == "1")
        try back.expectNothing()
        site = try await site.killed()
        let again = try site.node(.kept("kitchen", level: 4))
        // A command that went at QoS 1 may come again, the same bytes.
        #expect(try again.publishSession("kept-2").allSatisfy { $0.payload == first[0].payload })
        try await site.gateway.logged("command session ID", "sealed under it before")
        let second = try again.publishSession("new", command: 1)
        #expect(try Site.open(try #require(second.last).payload, session: "new") == "2")
        try again.disconnect()
        // Without RETAIN it is worth nothing once its connection is over.
        let third = try site.node(.kept("kitchen", level: 4))
        let passing = try third.publishSession("passing", command: 1)
        #expect(try Site.open(passing[0].payload, session: "passing") == "3")
        site = try await site.killed()
        let last = try site.node(.kept("kitchen", level: 4))
        try site.command("4")
        let fourth = try last.publishSession("of now", command: 0)  // With a blank it is none.
        #expect(fourth.allSatisfy { $0.payload == passing[0].payload })
        #expect(try Site.open(try last.publishSession("now", command: 1)[0].payload, session: "now") == "4")
    }

    @Test("nobody else publishes session IDs for the node, and none of the gateway's own is taken")
    func forged() async throws {
        var site = try await Site.start()
        let node = try site.node()
        try site.command("on")
        let lamp = try MQTTPeer(port: site.guestPort, .device("lamp", level: 5))
        for peer in [lamp, try site.guest()] {
            try peer.publish(Site.sessionTopic, "forged", id: 1)
            let answer = try peer.next()
            #expect(answer.first == 0x40 && answer.code == 0x87)
        }
        try await site.gateway.logged("refused", "policy", "session IDs for commands of kitchen")
        // Sealed under one of the gateway's own the command could be played back to it as the node's message.
        try node.subscribe("nodes/kitchen/sessionID", qos: 1)
        let own = try node.takeMessages(1)[0].payload
        for bad in [own, "with,comma", String(repeating: "x", count: 65)] {
            #expect(try node.publishSession(bad).isEmpty)
        }
        try await site.gateway.logged("command session ID", "gateway's own")
        try node.expectNothing()
        // Once the node has proved a session ID, one that proves nothing does not take its place.
        let proven = try MQTTPeer(port: site.guestPort, .device("kitchen", level: 5))
        let taken = try node.publishSession("unproven", command: 1)
        #expect(try Site.open(taken[0].payload, session: "unproven") == "on")
        try proven.publishSafely(Site.sessionTopic, "proven")
        #expect(try node.publishSession("forged").isEmpty)
        // Nor is whoever listens in its name taken for the node, which proves its connections.
        try site.command("off")
        try node.expectNothing()
        try proven.subscribe(Site.topic)
        #expect(try Site.open(try proven.takeMessages(1)[0].payload, session: "proven") == "off")
        // Nor after a restart.
        try proven.publishSafely(Site.sessionTopic, "kept", retain: true)
        site = try await site.killed()
        let stranger = try site.node()
        for bad in ["forged", ""] { #expect(try stranger.publishSession(bad, retain: true).isEmpty) }
        try await site.gateway.logged("command session ID", "not proven")
        try site.command("late")
        #expect(try Site.open(try stranger.takeMessages(1)[0].payload, session: "kept") == "late")
    }

    @Test("a session ID may come sealed, and is proven then")
    func sealedSession() async throws {
        let site = try await Site.start()
        let node = try site.node()
        try node.subscribe("nodes/kitchen/sessionID", qos: 1)
        let session = try node.takeMessages(1)[0].payload
        let sealer = try await SealedNode(
            id: "kitchen",
            nodeID: "11242238",
            secret: 7,
            target: MosquittoTarget(port: site.openPort)
        )
        let published = try await sealer.publish(
            try sealer.seal("of-the-node", session: session),
            topic: "cmd/light/sessionID"
        )
        #expect(published.exit == .status(0))
        _ = try node.takeMessages(1)  // The next session ID of the gateway's.
        #expect(try node.publishSession("forged").isEmpty)
        try await site.gateway.logged("command session ID", "not proven")
        // It came without RETAIN, and its connection is over.
        try site.command("on")
        try node.expectNothing()
    }

    @Test(
        "of commands that wait, ttl ends some, and keep = \"last\" leaves the last of each topic; sealed ones and others"
    )
    func waiting() async throws {
        let broker = try await Mosquitto.start()
        let extra = """
            [[route]]
            direction = "in"
            from = "last/%d/#"
            to = "nodes/%d/cmd/#"
            uplink = "cloud"
            keep = "last"

            [[route]]
            direction = "in"
            from = "short/%d/#"
            to = "nodes/%d/cmd/short/#"
            uplink = "cloud"
            ttl = "1s"

            [[route]]
            direction = "in"
            from = "plain/%d/#"
            to = "nodes/%d/cmd/#"
            uplink = "cloud"
            seal = false
            """
        let site = try await Site.start(uplink: broker.port, extra: extra)
        try await site.gateway.logged("uplink subscribed")
        let kitchen = try site.node(.kept("kitchen", level: 4))
        let lamp = try MQTTPeer(port: site.openPort, .kept("lamp", level: 4))
        try lamp.subscribe("nodes/lamp/cmd/#", qos: 1)
        let guest = try site.guest()
        try guest.subscribe("nodes/+/cmd/#", qos: 1)
        for peer in [kitchen, lamp] { try peer.disconnect() }
        let outside = MosquittoTarget(port: broker.port)
        for device in ["kitchen", "lamp"] {
            for (topic, text) in [("light", "1"), ("light", "2"), ("heat", "3"), ("light", "4")] {
                _ = try await MosquittoPublisher.publish(outside, topic: "last/\(device)/\(topic)", payload: text)
            }
            _ = try await MosquittoPublisher.publish(outside, topic: "short/\(device)/x", payload: "short")
            _ = try await MosquittoPublisher.publish(outside, topic: "plain/\(device)/light", payload: "plain")
        }
        #expect(try guest.takeMessages(12).count == 12)
        try await Task.sleep(for: .seconds(1.1))
        let lampBack = try MQTTPeer(port: site.openPort, .kept("lamp", level: 4))
        #expect(try lampBack.takeMessages(3).map(\.payload) == ["3", "4", "plain"])
        try lampBack.expectNothing()
        let back = try site.node(.kept("kitchen", level: 4))
        #expect(try back.takeMessages(1).map(\.payload) == ["plain"])
        let light = try back.publishSession("a", command: 1)
        #expect(try Site.open(light[0].payload, session: "a") == "4")
        #expect(try back.publishSession("b").isEmpty)
        try back.publish("nodes/kitchen/cmd/heat/sessionID", "c", id: 5)
        let heat = try back.takeAmong(1)
        #expect(try Site.open(heat[0].payload, session: "c") == "3")
        try back.publish("nodes/kitchen/cmd/short/x/sessionID", "d", id: 5)
        try back.expect(.puback, 5)
        try back.expectNothing()
    }

    @Test("sealed_commands = [] sends commands as they are")
    func unsealed() async throws {
        let site = try await Site.start(sensor: ["sealed_commands = []"])
        let node = try site.node()
        try site.command("on")
        #expect(try node.takeMessages(1).map(\.payload) == ["on"])
    }

    @Test("a retained command is sealed for each new subscription")
    func retained() async throws {
        let site = try await Site.start()
        let guest = try site.guest()
        try guest.publishSafely(Site.topic, "on", retain: true)
        for session in ["one", "two"] {
            let node = try site.node()
            try node.expectNothing()
            let messages = try node.publishSession(session, command: 1)
            #expect(try Site.open(messages[0].payload, session: session) == "on")
            #expect(messages[0].retain)
            try node.disconnect()
        }
    }
}

extension MQTTPeer {
    /// So many messages, acknowledged, among acknowledgements of its own.
    fileprivate func takeAmong(_ count: Int) throws -> [Message] {
        var messages: [Message] = []
        var isAcknowledged = false
        while messages.count < count || !isAcknowledged {
            let packet = try self.next()
            guard let message = self.message(packet) else {
                isAcknowledged = true
                continue
            }
            messages.append(message)
            if message.qos == 1 { try self.send(.puback, message.id) }
        }
        return messages
    }
}
