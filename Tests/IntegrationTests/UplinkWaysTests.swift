import Foundation
import OpenSSL
import TestSupport
import Testing

/// Ways to a Mosquitto outside: keys that are encrypted or pinned, WebSockets, a proxy, addresses that come back.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct UplinkWaysTests {
    private static let now = Int64(Date().timeIntervalSince1970)

    private let files: TemporaryDirectory
    private let authority: CertificateAuthority
    private let server: CertificateAuthority.Issued

    init() throws {
        self.files = try TemporaryDirectory()
        let valid = CertificateAuthority.Validity.days(30, from: Self.now)
        self.authority = try CertificateAuthority(commonName: "Test authority", validity: valid)
        self.server = try self.authority.issueServer(names: ["localhost"], validity: valid)
        try self.files.write("server.crt", self.server.certificate)
        try self.files.write("server.key", self.server.privateKey)
        try self.files.write("ca.crt", self.authority.authority.certificate)
        try self.writeClient(.days(30, from: Self.now))
    }

    /// A certificate of the gateway's, and its key.
    private func writeClient(_ validity: CertificateAuthority.Validity) throws {
        let client = try self.authority.issueClient(commonName: "attic", validity: validity)
        try self.files.write("attic.crt", client.certificate)
        try self.files.write("attic.key", client.privateKey)
    }

    /// A plain listener, one with certificates of both sides, a WebSocket, and one over TLS.
    private func broker() async throws -> Mosquitto {
        var configuration = Mosquitto.Configuration()
        let (certificate, key) = (self.files.file("server.crt"), self.files.file("server.key"))
        configuration.listeners = [
            .plain, .certificate(certificate: certificate, key: key, clientCA: self.files.file("ca.crt")), .webSocket(),
            .webSocket(certificate: certificate, key: key),
        ]
        return try await Mosquitto.start(configuration)
    }

    private var identity: [String] {
        ["certificate = \"\(self.files.file("attic.crt"))\"", "key = \"\(self.files.file("attic.key"))\""]
    }

    private var authorityLine: String { "ca = \"\(self.files.file("ca.crt"))\"" }

    /// The pin of a certificate, as docs/configuration.md has it computed.
    private func pin(_ certificate: String) async throws -> String {
        let file = try self.files.write("pinned.crt", certificate)
        let script =
            "openssl x509 -in \(file) -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64"
        return "pin = \"sha256:\(try await ChildProcess.run("sh", ["-c", script]).text)\""
    }

    private func gateway(_ uplink: [String]) async throws -> GatewayProcess {
        var site = SiteConfiguration.plain(port: 0)
        site.uplink = uplink
        let home = try GatewayProcess.Home(configuration: site.text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        return try await home.start()
    }

    /// Sends a message and sees it arrive.
    private func expectDelivery(_ gateway: GatewayProcess, _ broker: Mosquitto) async throws {
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let node = MosquittoTarget(port: try gateway.port())
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: "on")
        #expect(sent.exit == .status(0))
        #expect(try await outside.message(payload: "on").topic == "sites/attic/lamp/state")
    }

    // MARK: Certificates

    @Test("an encrypted key, authorities in a directory, and the pin of the broker's key")
    func everythingAtOnce() async throws {
        let broker = try await self.broker()
        let arguments = ["pkcs8", "-topk8", "-in", self.files.file("attic.key"), "-passout", "pass:open sesame"]
        try self.files.write("attic.key", try await ChildProcess.run("openssl", arguments).text + "\n")
        try self.files.write("attic.pass", "utf8:open sesame\n")
        try self.files.write("authorities/mine.pem", self.authority.authority.certificate)
        let gateway = try await self.gateway(
            self.identity + [
                "address = \"mqtts://localhost:\(broker.ports[1])\"", try await self.pin(self.server.certificate),
                "key_passphrase_file = \"\(self.files.file("attic.pass"))\"",
                "ca = \"\(self.files.file("authorities"))\"", "alpn = \"mqtt\"",
            ]
        )
        try await self.expectDelivery(gateway, broker)
        #expect(!gateway.log.lines.joined().contains("sesame"))
    }

    @Test("a pin alone is enough, whatever the certificate says, and another key is refused and explained")
    func pins() async throws {
        let broker = try await self.broker()
        let address = "address = \"mqtts://127.0.0.1:\(broker.ports[1])\""
        let right = try await self.gateway(self.identity + [address, try await self.pin(self.server.certificate)])
        try await self.expectDelivery(right, broker)
        let other = try self.authority.issueServer(names: ["localhost"], validity: .days(1, from: Self.now))
        let wrong = try await self.gateway(self.identity + [address, try await self.pin(other.certificate)])
        try await wrong.logged("uplink down", "has another key than the pinned ones")
    }

    // MARK: Ways

    @Test("MQTT in WebSockets, and over TLS", arguments: [2, 3])
    func webSockets(listener: Int) async throws {
        let broker = try await self.broker()
        let scheme = listener == 3 ? "wss" : "ws"
        let address = "\(scheme)://localhost:\(broker.ports[listener])/mqtt"
        let more = listener == 3 ? [self.authorityLine] : []
        let gateway = try await self.gateway(["address = \"\(address)\""] + more)
        try await gateway.logged("uplink connected", address)
        try await self.expectDelivery(gateway, broker)
        // A long message goes in one frame with a length of eight bytes.
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let long = String(repeating: "x", count: 65_000) + String(repeating: "y", count: 536)
        let node = MosquittoTarget(port: try gateway.port())
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: long)
        #expect(sent.exit == .status(0))
        try await outside.message(payload: long)
        let inside = try await MosquittoSubscriber.start(node, topics: ["nodes/lamp/cmd/#"])
        _ = try await MosquittoPublisher.publish(
            .init(port: broker.port),
            topic: "sites/attic/lamp/cmd/a",
            payload: long
        )
        try await inside.message(payload: long)
    }

    @Test(
        "through an HTTP proxy, with a user name and password; without them it is explained",
        arguments: ["mqtts", "wss"]
    )
    func proxy(scheme: String) async throws {
        let broker = try await self.broker()
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Clients/http_proxy.py"
        let proxy = try ChildProcess("python3", [script, "attic:open sesame"])
        let port = try await proxy.output.line(containing: "port ").dropFirst(5)
        try self.files.write("proxy.password", "utf8:open sesame\n")
        let target = "localhost:\(broker.ports[scheme == "wss" ? 3 : 1])"
        let lines =
            self.identity + [
                "address = \"\(scheme)://\(target)\"", self.authorityLine, "proxy = \"http://127.0.0.1:\(port)\"",
            ]
        let unknown = try await self.gateway(lines)
        try await unknown.logged("uplink down", "asks for a user name and a password (407)")
        let gateway = try await self.gateway(
            lines + [
                "proxy_username = \"attic\"", "proxy_password_file = \"\(self.files.file("proxy.password"))\"",
            ]
        )
        try await self.expectDelivery(gateway, broker)
        #expect(proxy.output.lines.contains("\(target) 407") && proxy.output.lines.contains("\(target) 200"))
        #expect(!gateway.log.lines.joined().contains("sesame"))
    }

    @Test("the connection comes from the address that is named")
    func localAddress() async throws {
        let broker = try await Mosquitto.start()
        let gateway = try await self.gateway(
            ["address = \"mqtt://127.0.0.1:\(broker.port)\"", "bind = \"127.0.0.2\""]
        )
        try await gateway.logged("uplink connected")
        try await broker.log.line(containing: "New connection from 127.0.0.2:")
    }

    // MARK: Changes under traffic

    /// Publishes 2,000 messages at QoS 1, does something meanwhile, and sees that they arrive, in order, at one of the brokers.
    private func expectNoLoss(
        _ gateway: GatewayProcess,
        _ brokers: [Mosquitto],
        _ change: () async throws -> Void
    ) async throws {
        var outside: [MosquittoSubscriber] = []
        for broker in brokers {
            outside.append(try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"]))
        }
        let readers = outside
        let node = MosquittoTarget(port: try gateway.port())
        let lines = (0..<2000).map { "\($0)" }
        // At a pace at which the change falls into the traffic.
        let parts = stride(from: 0, to: 2000, by: 100).map { Array(lines[$0..<$0 + 100]) }
        async let sent: Void = {
            for part in parts {
                let finished = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", lines: part)
                #expect(finished.exit == .status(0))
            }
        }()
        try await change()
        try await sent
        try await eventually {
            Set(readers.flatMap(\.received).map(\.payload)).isSuperset(of: lines)
        }
        var seen: Set<String> = []
        let first = readers.flatMap(\.received).map(\.payload).filter { seen.insert($0).inserted }
        #expect(first == lines)
    }

    @Test("a certificate that is about to expire is replaced under traffic, and nothing is lost")
    func renewal() async throws {
        let broker = try await self.broker()
        try self.writeClient(.init(notBefore: Self.now - 86_400, notAfter: Self.now + 3600))
        let address = "address = \"mqtts://localhost:\(broker.ports[1])\""
        let gateway = try await self.gateway(self.identity + [address, self.authorityLine])
        try await gateway.logged("uplink connected")
        try await self.expectNoLoss(gateway, [broker]) {
            // Half of the pair first: it is not taken.
            let next = try self.authority.issueClient(commonName: "attic", validity: .days(30, from: Self.now))
            try self.files.write("attic.crt", next.certificate)
            try await gateway.logged("those from before stay in force", "attic.key is not the key")
            try self.files.write("attic.key", next.privateKey)
            try await gateway.logged("files of TLS are read again")
            try await gateway.logged("uplink changes over")
            _ = try await gateway.log.lines(count: 2) { $0.contains("uplink connected") }
        }
        #expect(!gateway.log.lines.contains { $0.contains("uplink down") })
    }

    @Test("when the first broker is there again the gateway goes back to it, and nothing is lost")
    func returns() async throws {
        let port = try FreePort.next()
        let second = try await Mosquitto.start()
        let gateway = try await self.gateway([
            "address = [\"mqtt://127.0.0.1:\(port)\", \"mqtt://127.0.0.1:\(second.port)\"]", "return_after = \"500ms\"",
        ])
        try await gateway.logged("uplink connected", "127.0.0.1:\(second.port)")
        let first = try await Mosquitto.start(.init(), ports: [port])
        try await self.expectNoLoss(gateway, [second, first]) {
            try await gateway.logged("uplink connected", "127.0.0.1:\(port)")
        }
        #expect(!gateway.log.lines.contains { $0.contains("uplink down") })
    }

    @Test("a listener shows its new certificate to the next client")
    func listener() async throws {
        var site = SiteConfiguration.plain(port: 1)
        site.secureListener = [
            "certificate = \"\(self.files.file("server.crt"))\"", "key = \"\(self.files.file("server.key"))\"",
            "anonymous = true",
        ]
        let gateway = try await GatewayProcess.Home(configuration: site.text).start()
        let next = try self.authority.issueServer(names: ["localhost"], validity: .days(3, from: Self.now))
        try self.files.write("server.key", next.privateKey)
        try self.files.write("server.crt", next.certificate)
        try await gateway.logged("files of TLS are read again")
        let script = "openssl s_client -connect 127.0.0.1:\(try gateway.port("mqtts")) </dev/null | openssl x509"
        let shown = try await ChildProcess.run("sh", ["-c", script])
        #expect(shown.text.contains(next.certificate.trimmingCharacters(in: .whitespacesAndNewlines)))
    }
}
