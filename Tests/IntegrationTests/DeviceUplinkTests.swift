import Foundation
import OpenSSL
import TestSupport
import Testing

/// `connect_as = "device"`: the outside broker sees each device, and gives it its own branch only.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct DeviceUplinkTests {
    private static let names = ["attic-1", "kitchen", "lamp", "porch", "shed"]

    private static func key(_ name: String) -> [UInt8] { Array((name + "-0123456789abcdef").utf8.prefix(16)) }

    /// A broker with a plain listener, open to the test, and one where a key's identity has its own branch.
    private func broker(
        keys names: [String] = names,
        forbidden: [String] = [],
        ports: [Int]? = nil
    ) async throws -> Mosquitto {
        var configuration = Mosquitto.Configuration()
        configuration.listeners = [.plain, .preSharedKey()]
        configuration.keys = Dictionary(uniqueKeysWithValues: names.map { ($0, Self.key($0)) })
        let users = names.filter { !forbidden.contains($0) }
            .map { "user \($0)\ntopic readwrite sites/attic/\($0)/#\n" }
        configuration.acl = "topic readwrite #\n\n" + users.joined(separator: "\n")
        return try await Mosquitto.start(configuration, ports: ports)
    }

    private func configuration(_ port: Int, _ more: [String] = []) -> SiteConfiguration {
        var configuration = SiteConfiguration(
            uplink: [
                "connect_as = \"device\"", "address = [\"mqtts://localhost:\(port)\"]", "psk = { identity = \"%d\" }",
            ] + more
        )
        configuration.secureListener = ["psk = true"]
        return configuration
    }

    /// Devices that may send in the clear, and prove themselves outside with their own keys.
    private func home(
        _ configuration: SiteConfiguration,
        devices: [String] = names,
        profile: String = "plain"
    ) async throws -> GatewayProcess.Home {
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(
            devices.map { SiteDevices.keyed($0, key: Self.key($0), profile: profile) }.joined()
        )
        return home
    }

    private func publish(_ gateway: GatewayProcess, _ device: String, _ lines: [String]) async throws {
        let node = MosquittoTarget(port: try gateway.port())
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/\(device)/data", lines: lines)
        #expect(sent.exit == .status(0), "\(sent.all)")
    }

    /// The broker saw the device come as itself.
    private func expectIdentity(_ broker: Mosquitto, _ device: String) async throws {
        try await broker.log.line("\(device) as itself") {
            $0.contains("as \(device) (") && $0.contains("u'\(device)'")
        }
    }

    @Test("each device's message comes under its own identity")
    func identities() async throws {
        let broker = try await self.broker()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let gateway = try await self.home(self.configuration(broker.ports[1])).start()
        for name in Self.names {
            try await self.publish(gateway, name, ["from \(name)"])
            #expect(try await outside.message(payload: "from \(name)").topic == "sites/attic/\(name)/data")
            try await self.expectIdentity(broker, name)
        }
        #expect(try await gateway.stop() == .status(0))
    }

    @Test("a device that the broker does not know, or forbids its branch, stops nobody else")
    func forbidden() async throws {
        let known = Self.names.filter { $0 != "shed" }
        let broker = try await self.broker(keys: known, forbidden: ["porch"])
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let configuration = self.configuration(broker.ports[1], ["protocol = \"5\"", "dead_after = 1"])
        let gateway = try await self.home(configuration).start()
        for name in Self.names.reversed() { try await self.publish(gateway, name, ["from \(name)"]) }
        for name in ["attic-1", "kitchen", "lamp"] { try await outside.message(payload: "from \(name)") }
        try await gateway.logged("uplink down", "device=shed")
        try await gateway.logged("dead letters", "device=porch")
        #expect(!outside.received.contains { $0.payload.hasSuffix("porch") || $0.payload.hasSuffix("shed") })
        #expect(!gateway.log.lines.joined().contains(hexText(Self.key("shed"))))
    }

    @Test("a command comes to its device, on the device's own connection")
    func commands() async throws {
        let broker = try await self.broker()
        let gateway = try await self.home(self.configuration(broker.ports[1]), profile: "strict").start()
        var nodes: [String: MosquittoSubscriber] = [:]
        for name in ["kitchen", "lamp"] {
            let node = MosquittoTarget(port: try gateway.port("mqtts"), identity: name, key: Self.key(name))
            nodes[name] = try await MosquittoSubscriber.start(node, topics: ["nodes/\(name)/cmd/#"])
            try await self.expectIdentity(broker, name)
            try await broker.log.line("subscription of \(name)") { $0.contains("Received SUBSCRIBE from \(name)") }
        }
        for name in ["lamp", "kitchen"] {
            _ = try await MosquittoPublisher.publish(
                .init(port: broker.port),
                topic: "sites/attic/\(name)/cmd/set",
                payload: "for \(name)"
            )
            #expect(try await nodes[name]?.message(payload: "for \(name)").topic == "nodes/\(name)/cmd/set")
        }
        #expect(nodes["kitchen"]?.received.count == 1)
        #expect(nodes["lamp"]?.received.count == 1)
    }

    @Test(
        "two connections at a time deliver the messages of five devices",
        arguments: ["acknowledge = \"spooled\"", "acknowledge = \"end-to-end\""]
    )
    func cap(acknowledge: String) async throws {
        let broker = try await self.broker()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let configuration = self.configuration(broker.ports[1], ["max_device_connections = 2", acknowledge])
        let gateway = try await self.home(configuration).start()
        for name in Self.names { try await self.publish(gateway, name, (1...10).map { "\(name) \($0)" }) }
        let received = try await outside.messages(50)
        for name in Self.names {
            let own = received.filter { $0.payload.hasPrefix("\(name) ") }
            #expect(own.map(\.payload) == (1...10).map { "\(name) \($0)" })
        }
        var open: Set<Substring> = []
        var most = 0
        for line in broker.log.lines {
            guard let name = Self.names.first(where: { line.contains(" as \($0) (") || line.contains("Client \($0) ") })
            else { continue }
            if line.contains("New client connected") { open.insert(name[...]) }
            if line.contains("disconnected") || line.contains("closed") { open.remove(name[...]) }
            most = max(most, open.count)
        }
        #expect(most == 2)
    }

    @Test("an idle connection is closed, and made again for the next message")
    func idle() async throws {
        let broker = try await self.broker()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let gateway = try await self.home(self.configuration(broker.ports[1], ["idle_timeout = \"1s\""])).start()
        for number in 1...2 {
            try await self.publish(gateway, "lamp", ["\(number)"])
            try await outside.message(payload: "\(number)")
            _ = try await broker.log.lines(count: number) {
                $0.contains("Client lamp") && $0.contains("disconnected")
            }
        }
    }

    @Test("what waits for several devices outlives the gateway, and goes out as theirs")
    func restart() async throws {
        let ports = [try FreePort.next(), try FreePort.next()]
        let home = try await self.home(self.configuration(ports[1]))
        let first = try await home.start()
        for name in Self.names { try await self.publish(first, name, (1...3).map { "\(name) \($0)" }) }
        try await first.kill()
        let broker = try await self.broker(ports: ports)
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let second = try await home.start()
        let received = try await outside.messages(15)
        #expect(Set(received.map(\.payload)).count == 15)
        for name in Self.names { try await self.expectIdentity(broker, name) }
        #expect(try await second.stop() == .status(0))
    }

    @Test("a device that is added while the gateway runs has its connection")
    func added() async throws {
        let broker = try await self.broker()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let home = try await self.home(self.configuration(broker.ports[1]), devices: ["lamp"])
        let gateway = try await home.start()
        try await home.importDevices(SiteDevices.keyed("porch", key: Self.key("porch"), profile: "plain"))
        try await gateway.logged("devices changed")
        try await self.publish(gateway, "porch", ["new"])
        try await outside.message(payload: "new")
        try await self.expectIdentity(broker, "porch")
    }

    @Test("a revoked device is disconnected outside; what it had sent waits until it is restored")
    func revoked() async throws {
        let broker = try await self.broker()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let home = try await self.home(self.configuration(broker.ports[1]))
        let gateway = try await home.start()
        try await self.publish(gateway, "lamp", ["before"])
        try await outside.message(payload: "before")
        let ports = broker.ports
        try await broker.stop()
        try await gateway.logged("uplink down", "device=lamp")
        try await self.publish(gateway, "lamp", ["waits"])
        #expect(try await home.run(["device", "revoke", "lamp"]).exit == .status(0))
        try await gateway.logged("messages of a device that is revoked", "device=lamp", "messages=1")
        let next = try await self.broker(ports: ports)
        let listener = try await MosquittoSubscriber.start(.init(port: next.port), topics: ["sites/#"])
        try await self.publish(gateway, "kitchen", ["of another"])
        try await listener.message(payload: "of another")
        #expect(!next.log.lines.contains { $0.contains(" as lamp (") })
        #expect(try await home.run(["device", "restore", "lamp"]).exit == .status(0))
        try await listener.message(payload: "waits")
        #expect(try await home.run(["device", "revoke", "lamp"]).exit == .status(0))
        try await next.log.line("the end of lamp") { $0.contains("Client lamp") && $0.contains("disconnected") }
    }

    /// How many of so many messages a client of 5.0 is told that there is no room for.
    private func refusals(_ gateway: GatewayProcess, _ device: String, of count: Int) async throws -> Int {
        let sent = try await ChildProcess.run(
            "mosquitto_pub",
            [
                "-h", "localhost", "-p", "\(try gateway.port())", "-V", "mqttv5", "-t", "nodes/\(device)/data", "-q",
                "1",
                "-l",
            ],
            input: (1...count).map { "\(device) \($0)\n" }.joined()
        )
        return sent.all.split(separator: "\n").count { $0.contains("failed") && $0.contains("Quota") }
    }

    @Test("a device that fills the spool leaves room for the others", arguments: ["reject", "drop-oldest"])
    func share(whenFull: String) async throws {
        let ports = [try FreePort.next(), try FreePort.next()]
        let spool = "spool = { max_messages = 10, when_full = \"\(whenFull)\" }"
        let home = try await self.home(self.configuration(ports[1], [spool]))
        let gateway = try await home.start()
        let isRejecting = whenFull == "reject"
        #expect(try await self.refusals(gateway, "lamp", of: 20) == (isRejecting ? 15 : 0))
        #expect(try await self.refusals(gateway, "porch", of: 2) == 0)
        try await self.publish(gateway, "porch", ["last of porch"])
        let broker = try await self.broker(ports: ports)
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        try await outside.message(payload: "last of porch")
        _ = try await outside.messages(isRejecting ? 8 : 4)
        let porch = outside.received.map(\.payload).filter { $0.contains("porch") }
        #expect(porch == ["porch 1", "porch 2", "last of porch"])
        let lamp = outside.received.map(\.payload).filter { $0.hasPrefix("lamp") }
        #expect(isRejecting ? lamp == (1...5).map { "lamp \($0)" } : !lamp.contains("lamp 1"))
    }

    @Test("devices prove themselves with certificates of their own")
    func certificates() async throws {
        let valid = CertificateAuthority.Validity.days(30, from: Int64(Date().timeIntervalSince1970))
        let authority = try CertificateAuthority(commonName: "Test authority", validity: valid)
        let server = try authority.issueServer(names: ["localhost"], validity: valid)
        let files = try TemporaryDirectory()
        var configuration = Mosquitto.Configuration()
        configuration.listeners = [
            .plain,
            .certificate(
                certificate: try files.write("broker.crt", server.certificate),
                key: try files.write("broker.key", server.privateKey),
                clientCA: try files.write("ca.crt", authority.authority.certificate)
            ),
        ]
        configuration.acl =
            "topic readwrite #\n\n" + "user lamp\ntopic readwrite sites/attic/lamp/#\n\n"
            + "user kitchen\ntopic readwrite sites/attic/kitchen/#\n"
        let broker = try await Mosquitto.start(configuration)
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let home = try GatewayProcess.Home(
            configuration: SiteConfiguration(
                uplink: [
                    "connect_as = \"device\"", "address = [\"mqtts://localhost:\(broker.ports[1])\"]",
                    "ca = \"\(files.file("ca.crt"))\"", "certificate = \"\(files.path)/%d.crt\"",
                    "key = \"\(files.path)/%d.key\"",
                ]
            ).text
        )
        try await home.importDevices(["lamp", "kitchen", "porch"].map(SiteDevices.plain).joined())
        for name in ["lamp", "kitchen"] {
            let client = try authority.issueClient(commonName: name, validity: valid)
            try files.write("\(name).crt", client.certificate)
            try files.write("\(name).key", client.privateKey)
        }
        let gateway = try await home.start()
        for name in ["porch", "lamp", "kitchen"] { try await self.publish(gateway, name, ["from \(name)"]) }
        for name in ["lamp", "kitchen"] {
            try await outside.message(payload: "from \(name)")
            try await self.expectIdentity(broker, name)
        }
        try await gateway.logged("uplink down", "porch.crt", "device=porch")
        // The missing ones are found when they are there.
        let client = try authority.issueClient(commonName: "porch", validity: valid)
        try files.write("porch.key", client.privateKey)
        try files.write("porch.crt", client.certificate)
        try await self.expectIdentity(broker, "porch")
    }

    @Test("a stamp says who sent a message, and can't be forged")
    func stamp() async throws {
        let broker = try ScriptedBroker()
        var configuration = SiteConfiguration.plain(port: broker.port)
        configuration.uplink += ["protocol = \"5\"", "stamp = true"]
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        let gateway = try await home.start()
        let port = "\(try gateway.port())"
        let forged = ["-D", "publish", "user-property", "sealgate-device", "porch"]
        let honest = ["-D", "publish", "user-property", "unit", "lux"]
        let sent = try await ChildProcess.run(
            "mosquitto_pub",
            ["-h", "localhost", "-p", port, "-V", "mqttv5", "-t", "nodes/lamp/data", "-q", "1", "-m", "5"]
                + forged + honest
        )
        #expect(sent.exit == .status(0), "\(sent.all)")
        let message = try await broker.taken(payload: "5")
        #expect(
            message?.properties == [
                .user("unit", "lux"), .user("sealgate-device", "lamp"), .user("sealgate-gateway", "attic"),
            ]
        )
    }
}
