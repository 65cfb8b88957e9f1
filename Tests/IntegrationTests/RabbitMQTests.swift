import Foundation
import OpenSSL
import TestSupport
import Testing

/// RabbitMQ with its MQTT plugin as the outside broker.
@Suite(.inTurn, .timeLimit(.minutes(8)), .serialized) struct RabbitMQTests {
    private let certificates: TemporaryDirectory
    private let tls: RabbitMQ.TLS

    init() throws {
        self.certificates = try TemporaryDirectory()
        let valid = CertificateAuthority.Validity.days(30, from: Int64(Date().timeIntervalSince1970))
        let authority = try CertificateAuthority(commonName: "Test authority", validity: valid)
        let server = try authority.issueServer(names: ["localhost"], validity: valid)
        let client = try authority.issueClient(commonName: RabbitMQ.user, validity: valid)
        self.tls = RabbitMQ.TLS(
            certificate: try self.certificates.write("server.crt", server.certificate),
            key: try self.certificates.write("server.key", server.privateKey),
            clientCA: try self.certificates.write("ca.crt", authority.authority.certificate)
        )
        try self.certificates.write("attic.crt", client.certificate)
        try self.certificates.write("attic.key", client.privateKey)
        try self.certificates.write("attic.password", "utf8:\(RabbitMQ.password)\n")
    }

    private func gateway(_ uplink: [String]) async throws -> GatewayProcess {
        var site = SiteConfiguration.plain(port: 0)
        site.uplink = uplink
        let home = try GatewayProcess.Home(configuration: site.text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        return try await home.start()
    }

    private func certified(_ broker: RabbitMQ) -> [String] {
        [
            "address = \"mqtts://localhost:\(broker.securePort)\"", "ca = \"\(self.tls.clientCA)\"",
            "certificate = \"\(self.certificates.file("attic.crt"))\"",
            "key = \"\(self.certificates.file("attic.key"))\"",
        ]
    }

    @Test("messages arrive from a gateway that proves itself with its certificate, and commands come back")
    func certificate() async throws {
        let broker = try await RabbitMQ.start(tls: self.tls)
        let gateway = try await self.gateway(self.certified(broker))
        try await gateway.logged("uplink connected", "TLS 1.")
        let outside = try await MosquittoSubscriber.start(broker.target(), topics: ["sites/#"])
        let node = MosquittoTarget(port: try gateway.port())
        let lines = (0..<100).map { "reading \($0)" }
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", lines: lines)
        #expect(sent.exit == .status(0))
        let received = try await outside.messages(100)
        #expect(received.map(\.payload) == lines)
        #expect(received.allSatisfy { $0.topic == "sites/attic/lamp/state" && $0.qos == 1 })
        let inside = try await MosquittoSubscriber.start(node, topics: ["nodes/lamp/cmd/#"])
        _ = try await MosquittoPublisher.publish(broker.target(), topic: "sites/attic/lamp/cmd/light", payload: "off")
        #expect(try await inside.message(payload: "off").topic == "nodes/lamp/cmd/light")
        #expect(await gateway.stopped())
        try await broker.stop()
    }

    @Test("messages arrive from a gateway that has a user name and a password; with a wrong one they wait")
    func password() async throws {
        var tls = self.tls
        tls.requiresCertificate = false
        let broker = try await RabbitMQ.start(tls: tls)
        let file = try self.certificates.write("wrong.password", "utf8:wrong\n")
        let gateway = try await self.gateway([
            "address = \"mqtts://localhost:\(broker.securePort)\"", "ca = \"\(self.tls.clientCA)\"",
            "username = \"\(RabbitMQ.user)\"", "password_file = \"\(file)\"",
        ])
        try await gateway.logged("uplink down", "user name or password")
        let outside = try await MosquittoSubscriber.start(broker.target(), topics: ["sites/#"])
        let node = MosquittoTarget(port: try gateway.port())
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: "on")
        // The right one is taken without a restart.
        try self.certificates.write("wrong.password", "utf8:\(RabbitMQ.password)\n")
        #expect(try await outside.message(payload: "on").topic == "sites/attic/lamp/state")
        #expect(await gateway.stopped())
        try await broker.stop()
    }

    @Test("nothing that was acknowledged is lost when RabbitMQ is killed, and restarted, under traffic")
    func restarts() async throws {
        var broker = try await RabbitMQ.start(tls: self.tls)
        let gateway = try await self.gateway(self.certified(broker))
        try await gateway.logged("uplink connected")
        let options = ["-c"]
        let outside = try await MosquittoSubscriber.start(
            broker.target(clientID: "reader"),
            topics: ["sites/#"],
            options: options
        )
        let node = MosquittoTarget(port: try gateway.port())
        var lines: [String] = []
        for round in 0..<3 {
            let part = (0..<1000).map { "\(round) \($0)" }
            lines += part
            async let sent = MosquittoPublisher.publish(node, topic: "nodes/lamp/state", lines: part)
            if round == 0 {
                try await broker.kill()
                broker = try await broker.restart()
            } else if round == 1 {
                try await broker.stop()
                broker = try await broker.restart()
            }
            #expect(try await sent.exit == .status(0))
        }
        // QoS 1 may bring a message twice, and bring it again behind others after a new connection; it loses none.
        try await outside.message(payload: "2 999", within: .seconds(180))
        try await eventually { Set(outside.received.map(\.payload)).isSuperset(of: lines) }
        var seen: Set<String> = []
        let first = outside.received.map(\.payload).filter { seen.insert($0).inserted }
        #expect(first == lines)
        #expect(await gateway.stopped())
        try await broker.stop()
    }
}

extension GatewayProcess {
    /// Whether SIGTERM ends it as it should.
    fileprivate func stopped() async -> Bool {
        (try? await self.stop()) == .status(0)
    }
}
