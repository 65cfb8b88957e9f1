import TestSupport
import Testing

/// What no proper client sends, against the listener of a running gateway: it closes that connection and nothing else.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct HostileClientTests {
    private struct Site {
        let broker: Mosquitto
        let gateway: GatewayProcess
        let outside: MosquittoSubscriber
        let port: Int
    }

    private func site() async throws -> Site {
        let broker = try await Mosquitto.start()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["#"])
        let home = try GatewayProcess.Home(configuration: SiteConfiguration.plain(port: broker.port).text)
        try await home.importDevices(
            SiteDevices.plain("lamp") + SiteDevices.sealed("kitchen", nodeID: "1", secret: 3)
        )
        let gateway = try await home.start()
        return Site(broker: broker, gateway: gateway, outside: outside, port: try gateway.port())
    }

    /// A proper node is served as if nothing had happened.
    private func expectAlive(_ site: Site, _ payload: String) async throws {
        let node = MosquittoTarget(port: site.port)
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: payload)
        #expect(sent.exit == .status(0))
        try await site.outside.message(payload: payload)
    }

    @Test("before CONNECT nothing but CONNECT is taken")
    func beforeConnect() async throws {
        let site = try await self.site()
        let packets = [
            "30 04 0001 61 78", "32 06 0001 61 0001 78", "40 02 0001", "82 06 0001 0001 61 00", "c0 00", "e0 00",
            "20 02 0000",
            "00 00", "f0 00", "30 ffffff7f", "10 ffffffff7f", "10 ffffff7f", "474554202f20485454502f312e310d0a0d0a",
        ]
        for packet in packets {
            let client = try RawMQTTClient(port: site.port)
            try client.send(packet)
            try client.expectClose()
        }
        try await self.expectAlive(site, "after")
    }

    @Test("a crafted CONNECT is refused")
    func connects() async throws {
        let site = try await self.site()
        let packets = [
            "10 0d 0004 4d515454 03 02 003c 0001 61",  // level 3 under the name of 4
            "10 0d 0004 4d515454 04 03 003c 0001 61",  // reserved flag [MQTT-3.1.2-3]
            "10 0d 0004 4d515458 04 02 003c 0001 61",  // another protocol
            "10 0c 0004 4d515454 04 02 003c 0001",  // identifier ends beyond the packet
            "10 0d 0004 4d515454 04 c2 003c 0001 61",  // flags of user name and password without them
            "10 0d 0004 4d515454 04 42 003c 0001 61",  // password without user name
            "10 0d 0004 4d515454 04 1e 003c 0001 61",  // will with QoS 3
            "10 0d 0004 4d515454 04 02 003c 0001 00",  // NUL in the identifier
            "10 0d 0004 4d515454 04 02 003c 0001 ff",  // ill-formed UTF-8
            "10 0c 0004 4d515454 04 00 003c 0000",  // no identifier, but a session
        ]
        for packet in packets {
            let client = try RawMQTTClient(port: site.port)
            try client.send(packet)
            let answer = try client.receive(4)
            #expect(
                answer.isEmpty || (answer.count == 4 && answer[0] == 0x20 && answer[3] != 0),
                "\(packet): \(answer)"
            )
            if !answer.isEmpty { try client.expectClose() }
        }
        try await self.expectAlive(site, "after")
    }

    @Test("a connected client that breaks the protocol is cut off, and the others are not")
    func packets() async throws {
        let site = try await self.site()
        let bystander = try RawMQTTClient(port: site.port, clientID: "bystander")
        let packets = [
            "10 0d 0004 4d515454 04 02 003c 0001 61",  // a second CONNECT [MQTT-3.1.0-2]
            "20 02 0000", "90 03 0001 00", "b0 02 0001", "d0 00",  // what only a server sends
            "36 05 0001 61 0001",  // QoS 3
            "38 03 0001 61",  // DUP with QoS 0
            "32 05 0001 61 0000",  // packet identifier 0
            "30 04 00ff 61 78",  // a topic that ends beyond the packet
            "30 04 0001 23 78", "30 04 0001 2b 78",  // wildcards in a name
            "30 04 0001 00 78", "30 04 0001 ff 78", "30 05 0002 c080 78",  // NUL, ill-formed, overlong
            "82 02 0001", "82 06 0001 0001 61 03", "80 06 0001 0001 61 00", "82 08 0001 0003 612f23 04",
            "82 08 0001 0003 612361 00",  // '#' in the middle
            "82 06 0000 0001 61 00",  // packet identifier 0
            "a2 02 0001", "c0 01 00", "f0 00", "00 00", "60 02 0001", "30 ffffffff7f",
        ]
        for packet in packets {
            let client = try RawMQTTClient(port: site.port, clientID: "hostile")
            try client.send(packet)
            do { try client.expectClose() } catch { Issue.record("\(packet): \(error)") }
        }
        try bystander.send("c0 00")
        try bystander.expect("d0 00")
        try await self.expectAlive(site, "after")
        #expect(site.outside.received.count == 1)
    }

    @Test("a packet over the limit is refused from its header, before its body comes")
    func tooLarge() async throws {
        let site = try await self.site()
        let client = try RawMQTTClient(port: site.port, clientID: "large")
        try client.send("30 ffff7f 0001 61")
        try client.expectClose()
        try await self.expectAlive(site, "after")
    }

    @Test("a silent connection is closed after some seconds, while others are served")
    func silent() async throws {
        let site = try await self.site()
        let silent = try (0..<50).map { _ in try RawMQTTClient(port: site.port) }
        let slow = try RawMQTTClient(port: site.port)
        try slow.send("10 0d 0004")
        try await self.expectAlive(site, "meanwhile")
        for client in silent { try client.expectClose() }
        try slow.expectClose()
    }

    @Test("a new connection with the same client id takes over from the old one")
    func takeover() async throws {
        let site = try await self.site()
        let first = try RawMQTTClient(port: site.port, clientID: "same")
        let second = try RawMQTTClient(port: site.port, clientID: "same")
        try first.expectClose()
        try second.send("c0 00")
        try second.expect("d0 00")
    }

    @Test("a mixed SUBSCRIBE gets its return codes in order")
    func mixedSubscribe() async throws {
        let site = try await self.site()
        let client = try RawMQTTClient(port: site.port, clientID: "lamp")
        let allowed = hexText("nodes/kitchen/sessionID".utf8)
        try client.send("82 3a 0001 0017 \(allowed) 01 0001 23 00 0017 \(allowed) 00")
        let suback = try client.receive(7)
        #expect(suback.count == 7 && suback[..<4] == [0x90, 5, 0, 1])
        #expect(suback.count == 7 && suback[5] == 0x80)
    }

    @Test("garbage sealed payloads of every length are refused in bounded time")
    func garbagePayloads() async throws {
        let site = try await self.site()
        let client = try RawMQTTClient(port: site.port, clientID: "garbage")
        let topic = Array("nodes/kitchen/data".utf8)
        for length in [0, 1, 15, 16, 17, 39, 40, 41, 100, 1000, 4000] {
            for fill in [UInt8(ascii: ","), UInt8(ascii: "0"), 0, 0xFF] {
                let body = [0, UInt8(topic.count)] + topic + [UInt8](repeating: fill, count: length)
                var header: [UInt8] = [0x30]
                var rest = body.count
                repeat {
                    header.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
                    rest >>= 7
                } while rest > 0
                try client.send(header + body)
            }
        }
        try client.send("c0 00")
        try client.expect("d0 00")
        try await self.expectAlive(site, "after")
        #expect(site.outside.received.count == 1)
    }
}
