import Foundation
import OpenSSL
import TestSupport
import Testing

/// The ways to the outside broker, and what the log says when one is closed.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct UplinkTransportTests {
    private static let key = hexBytes("00112233445566778899aabbccddeeff")

    /// A broker that gives the identity `attic` one branch only, by TLS-PSK on its second listener.
    private func keyedBroker(only version: String? = nil) async throws -> Mosquitto {
        var configuration = Mosquitto.Configuration()
        configuration.maxTLS = version.map { "TLSv" + $0 }
        let version = version.map { "tlsv" + $0 }
        configuration.listeners = [.plain, .preSharedKey(version: version)]
        configuration.keys = ["attic": Self.key]
        configuration.allow("attic", branch: "sites/attic/#")
        return try await Mosquitto.start(configuration)
    }

    /// A gateway with one plain device, `lamp`, and the key file of its uplink.
    private func gateway(_ configuration: SiteConfiguration, key: [UInt8] = key) async throws -> GatewayProcess {
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try home.directory.write("cloud.psk", "hex:\(hexText(key))\n")
        try await home.importDevices(SiteDevices.plain("lamp"))
        return try await home.start()
    }

    /// Sends a message and sees it arrive at the plain listener of `broker`.
    private func expectDelivery(_ gateway: GatewayProcess, _ broker: Mosquitto) async throws {
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let node = MosquittoTarget(port: try gateway.port())
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: "on")
        #expect(sent.exit == .status(0))
        #expect(try await outside.message(payload: "on").topic == "sites/attic/lamp/state")
    }

    /// Sends a message, and sees that it waits in the spool while the log explains why.
    private func expectRefusal(_ gateway: GatewayProcess, _ words: String...) async throws {
        let line = try await gateway.logged("uplink down")
        for word in words { #expect(line.localizedCaseInsensitiveContains(word)) }
        let node = MosquittoTarget(port: try gateway.port())
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: "on")
        #expect(sent.exit == .status(0))
        #expect(!gateway.log.lines.joined().contains(hexText(Self.key)))
    }

    @Test("a plain uplink delivers")
    func plain() async throws {
        let broker = try await Mosquitto.start()
        try await self.expectDelivery(try await self.gateway(.plain(port: broker.port)), broker)
    }

    @Test("a TLS-PSK uplink delivers", arguments: ["1.2", "1.3"])
    func preSharedKey(version: String) async throws {
        let broker = try await self.keyedBroker()
        let more = ["tls_min = \"\(version)\"", "tls_max = \"\(version)\""]
        let gateway = try await self.gateway(.preSharedKey(port: broker.ports[1], more: more))
        try await self.expectDelivery(gateway, broker)
        try await gateway.logged("uplink connected", "TLS \(version)")
    }

    @Test("a broker that speaks one version only is met in it", arguments: ["1.2", "1.3"])
    func forcedByBroker(version: String) async throws {
        let broker = try await self.keyedBroker(only: version)
        let gateway = try await self.gateway(.preSharedKey(port: broker.ports[1]))
        try await self.expectDelivery(gateway, broker)
        try await gateway.logged("uplink connected", "TLS \(version)")
    }

    @Test("the outside broker's ACL holds the gateway's identity to its branch")
    func branch() async throws {
        let broker = try await self.keyedBroker()
        var configuration = SiteConfiguration.preSharedKey(port: broker.ports[1])
        configuration.extra = """
            [[route]]
            direction = "out"
            from = "nodes/%d/astray/#"
            to = "elsewhere/%d/#"
            uplink = "cloud"
            qos = 1
            """
        let gateway = try await self.gateway(configuration)
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["#"])
        let node = MosquittoTarget(port: try gateway.port())
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/astray/x", payload: "astray")
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: "on")
        try await outside.message(payload: "on")
        #expect(!outside.received.contains { $0.topic.hasPrefix("elsewhere") })
    }

    @Test("a wrong pre-shared key is refused and explained", arguments: ["1.2", "1.3"])
    func wrongKey(version: String) async throws {
        let broker = try await self.keyedBroker()
        let more = ["tls_min = \"\(version)\"", "tls_max = \"\(version)\""]
        let gateway = try await self.gateway(
            .preSharedKey(port: broker.ports[1], more: more),
            key: hexBytes("ffeeddccbbaa99887766554433221100")
        )
        try await self.expectRefusal(gateway, "key")
    }

    @Test("an identity that the broker does not know is refused and explained", arguments: ["1.2", "1.3"])
    func unknownIdentity(version: String) async throws {
        let broker = try await self.keyedBroker()
        let more = ["tls_min = \"\(version)\"", "tls_max = \"\(version)\""]
        let gateway = try await self.gateway(
            .preSharedKey(port: broker.ports[1], identity: "garage", more: more)
        )
        try await self.expectRefusal(gateway, "identity")
    }

    @Test("a broker that is not there is named, and reached when it comes")
    func comesLater() async throws {
        let port = try FreePort.next()
        let gateway = try await self.gateway(.plain(port: port))
        try await self.expectRefusal(gateway, "mqtt://127.0.0.1:\(port)", "connection refused")
        let broker = try await Mosquitto.start(.init(), ports: [port])
        let outside = try await MosquittoSubscriber.start(.init(port: port), topics: ["sites/#"])
        try await outside.message(payload: "on")
        try await broker.stop()
    }

    // MARK: Certificates

    private enum Flaw { case none, expired, notYetValid, wrongHost, unknownAuthority, unknownClient }

    /// Certificates on disk, a broker that shows them and asks for the client's, and a gateway that uses them.
    private func certified(_ flaw: Flaw, version: String? = nil) async throws -> (Mosquitto, GatewayProcess) {
        let now = Int64(Date().timeIntervalSince1970)
        let valid = CertificateAuthority.Validity.days(30, from: now)
        let validity: CertificateAuthority.Validity =
            switch flaw {
            case .expired: .init(notBefore: now - 30 * 86400, notAfter: now - 86400)
            case .notYetValid: .init(notBefore: now + 86400, notAfter: now + 30 * 86400)
            default: valid
            }
        let authority = try CertificateAuthority(commonName: "Test authority", validity: valid)
        let stranger = try CertificateAuthority(commonName: "Another authority", validity: valid)
        let names = flaw == .wrongHost ? ["broker.example.org"] : ["localhost"]
        let server = try authority.issueServer(names: names, validity: validity)
        let client = try (flaw == .unknownClient ? stranger : authority).issueClient(
            commonName: "attic",
            validity: valid
        )
        let directory = try TemporaryDirectory()
        let trusted = flaw == .unknownAuthority ? stranger : authority
        var configuration = Mosquitto.Configuration()
        configuration.listeners = [
            .plain,
            .certificate(
                certificate: try directory.write("server.crt", server.certificate),
                key: try directory.write("server.key", server.privateKey),
                clientCA: try directory.write("authority.crt", authority.authority.certificate),
                version: version
            ),
        ]
        configuration.allow("attic", branch: "sites/attic/#")
        let broker = try await Mosquitto.start(configuration)
        var site = SiteConfiguration.plain(port: broker.ports[1])
        site.uplink = [
            "address = [\"mqtts://localhost:\(broker.ports[1])\"]",
            "ca = \"\(try directory.write("trusted.crt", trusted.authority.certificate))\"",
            "certificate = \"\(try directory.write("attic.crt", client.certificate))\"",
            "key = \"\(try directory.write("attic.key", client.privateKey))\"",
        ]
        let gateway = try await self.gateway(site)
        // The files have been read by both.
        withExtendedLifetime(directory) {}
        return (broker, gateway)
    }

    @Test("a certificate uplink delivers", arguments: [nil, "tlsv1.2", "tlsv1.3"])
    func certificate(version: String?) async throws {
        let (broker, gateway) = try await self.certified(.none, version: version)
        try await self.expectDelivery(gateway, broker)
    }

    @Test("an expired certificate of the broker is refused and explained")
    func expired() async throws {
        let (broker, gateway) = try await self.certified(.expired)
        try await self.expectRefusal(gateway, "expired")
        withExtendedLifetime(broker) {}
    }

    @Test("a certificate of the broker from the future is refused and explained")
    func notYetValid() async throws {
        let (broker, gateway) = try await self.certified(.notYetValid)
        try await self.expectRefusal(gateway, "valid only from", "clock")
        withExtendedLifetime(broker) {}
    }

    @Test("a certificate of another host is refused and explained")
    func wrongHost() async throws {
        let (broker, gateway) = try await self.certified(.wrongHost)
        try await self.expectRefusal(gateway, "localhost", "broker.example.org")
        withExtendedLifetime(broker) {}
    }

    @Test("a certificate of an authority that is not trusted is refused and explained")
    func unknownAuthority() async throws {
        let (broker, gateway) = try await self.certified(.unknownAuthority)
        try await self.expectRefusal(gateway, "certificate")
        withExtendedLifetime(broker) {}
    }

    @Test("a broker that does not take the gateway's certificate is explained")
    func unknownClient() async throws {
        let (broker, gateway) = try await self.certified(.unknownClient)
        try await self.expectRefusal(gateway, "certificate")
        withExtendedLifetime(broker) {}
    }
}
