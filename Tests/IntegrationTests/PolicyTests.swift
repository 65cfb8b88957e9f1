import TestSupport
import Testing

/// Who may say and hear what, with real clients on real listeners.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct PolicyTests {
    private static let heaterKey = hexBytes("0102030405060708090a0b0c0d0e0f10")
    private static let pumpKey = hexBytes("101112131415161718191a1b1c1d1e1f")

    private struct Site {
        let broker: Mosquitto
        let gateway: GatewayProcess
        let home: GatewayProcess.Home
        let outside: MosquittoSubscriber
        let plain: MosquittoTarget
        let secure: Int

        func heater(key: [UInt8] = PolicyTests.heaterKey, version: String? = nil) -> MosquittoTarget {
            MosquittoTarget(port: self.secure, identity: "heater", key: key, version: version)
        }
    }

    /// - Parameter prepare: Called with the outside broker before the gateway starts.
    private func site(prepare: (MosquittoTarget) async throws -> Void = { _ in }) async throws -> Site {
        let broker = try await Mosquitto.start()
        try await prepare(MosquittoTarget(port: broker.port))
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["#"])
        var configuration = SiteConfiguration.plain(port: broker.port)
        configuration.secureListener = ["psk = true"]
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(
            SiteDevices.plain("lamp") + SiteDevices.keyed("heater", key: Self.heaterKey)
                + SiteDevices.keyed("pump", key: Self.pumpKey)
        )
        let gateway = try await home.start()
        return Site(
            broker: broker,
            gateway: gateway,
            home: home,
            outside: outside,
            plain: MosquittoTarget(port: try gateway.port()),
            secure: try gateway.port("mqtts")
        )
    }

    @Test("a topic outside the profile does not arrive, and the log says which device and which topic")
    func offLimits() async throws {
        let site = try await self.site()
        for topic in ["nodes/pump/data", "nodes/heater", "elsewhere", "nodes/heater/private/x", "$SYS/x"] {
            _ = try await MosquittoPublisher.publish(site.heater(), topic: topic, payload: topic)
            if topic != "nodes/heater" { try await site.gateway.logged("refused", "heater", topic) }
        }
        _ = try await MosquittoPublisher.publish(site.heater(), topic: "nodes/heater/data", payload: "warm")
        try await site.outside.message(payload: "warm")
        #expect(site.outside.received.map(\.topic).allSatisfy { $0.hasPrefix("sites/attic/heater") })
        #expect(!site.outside.received.contains { $0.payload.contains("private") || $0.payload.contains("pump") })
    }

    @Test("a device proves itself with its key on the mqtts listener", arguments: ["tlsv1.2", "tlsv1.3"])
    func keyedDevice(version: String) async throws {
        let site = try await self.site()
        let sent = try await MosquittoPublisher.publish(
            site.heater(version: version),
            topic: "nodes/heater/data",
            payload: version
        )
        #expect(sent.exit == .status(0))
        try await site.outside.message(payload: version)
    }

    @Test(
        "a wrong key and an unknown identity look the same from outside, and are told apart in the log",
        arguments: ["tls1_2", "tls1_3"]
    )
    func wrongKey(version: String) async throws {
        let site = try await self.site()
        var answers: [[String]] = []
        let wrong = ["nobody", "heate", "heaterr", "Heater", "#", "heater/#", String(repeating: "h", count: 65)]
        for identity in ["heater"] + wrong {
            let client = try await ChildProcess.run(
                "openssl",
                ["s_client", "-connect", "127.0.0.1:\(site.secure)", "-\(version)", "-msg"]
                    + ["-psk_identity", identity, "-psk", hexText(Self.pumpKey)]
            )
            // Everything that the gateway sent, by kind and length.
            answers.append((client.output + client.errors).filter { $0.hasPrefix("<<<") })
        }
        #expect(Set(answers).count == 1 && answers[0].contains { $0.contains("Alert") }, "\(answers)")
        try await site.gateway.logged("\"heater\" is not the device's key")
        try await site.gateway.logged("no device has the pre-shared key identity \"nobody\"")
    }

    @Test("an anonymous connection may not speak for a device that has to prove itself")
    func unproven() async throws {
        let site = try await self.site()
        _ = try await MosquittoPublisher.publish(site.plain, topic: "nodes/heater/data", payload: "forged")
        try await site.gateway.logged("refused", "nodes/heater/data")
        _ = try await MosquittoPublisher.publish(site.plain, topic: "nodes/lamp/data", payload: "on")
        try await site.outside.message(payload: "on")
        #expect(site.outside.received.count == 1)
    }

    @Test("a subscription must be covered as a whole")
    func subscriptions() async throws {
        let site = try await self.site()
        for filter in ["#", "nodes/#", "nodes/+/cmd/#", "nodes/pump/cmd/#"] {
            let denied = try await ChildProcess.run(
                "mosquitto_sub",
                ["-h", "localhost", "-p", "\(site.secure)", "-t", filter, "-E"]
                    + ["--psk-identity", "heater", "--psk", hexText(Self.heaterKey)]
            )
            #expect(denied.all.contains("denied") || denied.exit != .status(0), "\(filter): \(denied.all)")
        }
        _ = try await MosquittoSubscriber.start(site.heater(), topics: ["nodes/heater/cmd/#"])
    }

    @Test("a revoked device is cut off, and may come back when restored")
    func revoked() async throws {
        let site = try await self.site()
        let listening = try await MosquittoSubscriber.start(site.heater(), topics: ["nodes/heater/cmd/#"])
        let revoked = try await site.home.run(["device", "revoke", "heater"])
        #expect(revoked.exit == .status(0), "\(revoked.all)")
        try await listening.disconnected()
        let refused = try await MosquittoPublisher.publish(
            site.heater(),
            topic: "nodes/heater/data",
            payload: "revoked"
        )
        #expect(refused.exit != .status(0))
        #expect(try await site.home.run(["device", "restore", "heater"]).exit == .status(0))
        try await eventually {
            try await MosquittoPublisher.publish(site.heater(), topic: "nodes/heater/data", payload: "back").exit
                == .status(0)
        }
        try await site.outside.message(payload: "back")
        #expect(!site.outside.received.contains { $0.payload == "revoked" })
    }

    @Test("a device that is added while the gateway runs may speak")
    func added() async throws {
        let site = try await self.site()
        try await site.home.importDevices(SiteDevices.plain("fan"))
        try await eventually {
            _ = try await MosquittoPublisher.publish(site.plain, topic: "nodes/fan/data", payload: "spin")
            return site.outside.received.contains { $0.payload == "spin" }
        }
        #expect(site.outside.received.last?.topic == "sites/attic/fan/data")
    }

    // MARK: Commands

    @Test("a command travels down to the node that subscribed, and to no other")
    func commands() async throws {
        let site = try await self.site()
        let heater = try await MosquittoSubscriber.start(site.heater(), topics: ["nodes/heater/cmd/#"])
        let pump = try await MosquittoSubscriber.start(
            MosquittoTarget(port: site.secure, identity: "pump", key: Self.pumpKey),
            topics: ["nodes/pump/cmd/#"]
        )
        try await site.gateway.logged("uplink subscribed")
        let outside = MosquittoTarget(port: site.broker.port)
        for number in 1...20 {
            _ = try await MosquittoPublisher.publish(
                outside,
                topic: "sites/attic/heater/cmd/set",
                payload: "\(number)",
                qos: number % 2
            )
        }
        _ = try await MosquittoPublisher.publish(outside, topic: "sites/attic/pump/cmd/set", payload: "stop")
        let received = try await heater.messages(20)
        #expect(received.map(\.payload) == (1...20).map(String.init))
        #expect(received.allSatisfy { $0.topic == "nodes/heater/cmd/set" })
        try await pump.message(payload: "stop")
        #expect(pump.received.count == 1)
        // Somewhere else outside is not routed at all.
        _ = try await MosquittoPublisher.publish(outside, topic: "sites/attic/heater/other", payload: "astray")
        _ = try await MosquittoPublisher.publish(outside, topic: "sites/attic/heater/cmd/set", payload: "end")
        try await heater.message(payload: "end")
        #expect(heater.received.count == 21)
    }

    @Test("a command that is retained outside is there for a node that comes later")
    func retained() async throws {
        let site = try await self.site { outside in
            _ = try await MosquittoPublisher.publish(
                outside,
                topic: "sites/attic/heater/cmd/mode",
                payload: "night",
                retain: true
            )
        }
        try await eventually {
            let heater = try await MosquittoSubscriber.start(site.heater(), topics: ["nodes/heater/cmd/#"])
            return (try? await heater.message(payload: "night", within: .milliseconds(500))) != nil
        }
    }
}
