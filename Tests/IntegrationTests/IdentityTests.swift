import Foundation
import OpenSSL
import TestSupport
import Testing

/// Who may connect, with real clients: user names and passwords, certificates and their revocation.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct IdentityTests {
    private struct Site {
        let broker: Mosquitto
        let home: GatewayProcess.Home
        let gateway: GatewayProcess
        let outside: MosquittoSubscriber
    }

    /// - Parameter prepare: Called before the gateway starts.
    private func site(
        secure: [String]? = nil,
        devices: String,
        prepare: (GatewayProcess.Home) async throws -> Void
    ) async throws -> Site {
        let broker = try await Mosquitto.start()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["#"])
        var configuration = SiteConfiguration.plain(port: broker.port)
        configuration.secureListener = secure
        // The one listener without TLS is for passwords alone.
        let text = configuration.text.replacingOccurrences(
            of: "anonymous = true",
            with: "password = true\nanonymous = false"
        )
        let home = try GatewayProcess.Home(configuration: text)
        try await home.importDevices(devices)
        try await prepare(home)
        return Site(broker: broker, home: home, gateway: try await home.start(), outside: outside)
    }

    private static func device(_ id: String) -> String { "[[device]]\nid = \"\(id)\"\nprofile = \"strict\"\n\n" }

    private func setPassword(_ password: String, of id: String, _ home: GatewayProcess.Home) async throws {
        let finished = try await home.run(["device", "password", id], input: password)
        #expect(finished.exit == .status(0), "\(finished.all)")
    }

    private func user(_ name: String, _ password: String?, port: Int) -> MosquittoTarget {
        var target = MosquittoTarget(port: port)
        target.options = ["-u", name] + (password.map { ["-P", $0] } ?? [])
        return target
    }

    @Test("mosquitto_pub with user name and password is the device; with any other pair it is nobody")
    func passwords() async throws {
        let site = try await self.site(devices: Self.device("hass") + Self.device("bare")) { home in
            try await self.setPassword("a long secret", of: "hass", home)
        }
        let port = try site.gateway.port()
        let right = self.user("hass", "a long secret", port: port)
        let sent = try await MosquittoPublisher.publish(right, topic: "nodes/hass/data", payload: "on")
        #expect(sent.exit == .status(0), "\(sent.all)")
        #expect(try await site.outside.message(payload: "on").topic == "sites/attic/hass/data")

        for (name, password) in [
            ("hass", "a long secreT"), ("HASS", "a long secret"), ("nobody", "a long secret"), ("hass", nil),
            ("bare", "a long secret"), ("hass/#", "a long secret"),
        ] as [(String, String?)] {
            let target = self.user(name, password, port: port)
            let refused = try await MosquittoPublisher.publish(target, topic: "nodes/hass/data", payload: "no")
            #expect(refused.exit != .status(0))
            #expect(
                refused.all.lowercased().contains("bad user name or password"),
                "\(name): \(refused.all)"
            )
        }
        try await site.gateway.logged("refused", "wrong password for the user name hass")
        try await site.gateway.logged("refused", "the user name nobody is no device's")
        try await site.gateway.logged("refused", "device bare has no password")
        let anonymous = try await MosquittoPublisher.publish(
            .init(port: port),
            topic: "nodes/hass/data",
            payload: "no"
        )
        #expect(anonymous.exit != .status(0))
        _ = try await MosquittoPublisher.publish(right, topic: "nodes/hass/data", payload: "off")
        try await site.outside.message(payload: "off")
        #expect(!site.outside.received.contains { $0.payload == "no" })
        #expect(!site.gateway.log.lines.contains { $0.contains("a long secre") })
    }

    @Test("a new password closes the device's connections, and the old one is worth nothing")
    func changed() async throws {
        let site = try await self.site(devices: Self.device("hass")) { home in
            try await self.setPassword("a long secret", of: "hass", home)
        }
        let old = self.user("hass", "a long secret", port: try site.gateway.port())
        let listener = try await MosquittoSubscriber.start(old, topics: ["nodes/hass/cmd/#"])
        try await self.setPassword("another secret", of: "hass", site.home)
        try await site.gateway.logged("devices changed")
        try await listener.disconnected()
        let refused = try await MosquittoPublisher.publish(old, topic: "nodes/hass/data", payload: "no")
        #expect(refused.all.lowercased().contains("bad user name or password"), "\(refused.all)")
        let new = self.user("hass", "another secret", port: try site.gateway.port())
        #expect(try await MosquittoPublisher.publish(new, topic: "nodes/hass/data", payload: "yes").exit == .status(0))
        try await site.outside.message(payload: "yes")
    }

    @Test("mosquitto_pub with a certificate is the device that it names, until the certificate is revoked")
    func certificates() async throws {
        let validity = CertificateAuthority.Validity.days(2, from: Int64(Date().timeIntervalSince1970))
        let authority = try CertificateAuthority(commonName: "Home CA", validity: validity)
        let gateway = try authority.issueServer(names: ["localhost"], validity: validity)
        var nodes: [String: CertificateAuthority.Issued] = [:]
        for name in ["phone", "tablet"] {
            nodes[name] = try authority.issueClient(
                commonName: "Somebody's \(name)",
                alternatives: "URI:urn:sealgate:\(name)",
                validity: validity
            )
        }
        nodes["unnamed"] = try authority.issueClient(commonName: "phone", validity: validity)
        let phone = try #require(nodes["phone"])
        let issued = nodes
        let site = try await self.site(
            secure: [
                "certificate = \"gw.crt\"", "key = \"gw.key\"", "client_ca = \"ca.crt\"", "client_crl = \"ca.crl\"",
                "client_name = \"san\"",
            ],
            devices: Self.device("phone") + Self.device("tablet")
        ) { home in
            for (file, text) in [
                ("ca.crt", authority.authority.certificate), ("gw.crt", gateway.certificate),
                ("gw.key", gateway.privateKey), ("ca.crl", try authority.revocationList(of: [], validity: validity)),
            ] { try home.directory.write(file, text) }
            for (name, node) in issued {
                try home.directory.write("\(name).crt", node.certificate)
                try home.directory.write("\(name).key", node.privateKey)
            }
        }
        let port = try site.gateway.port("mqtts")
        func publish(_ name: String, topic: String, _ payload: String, more: [String] = []) async throws -> Bool {
            var target = MosquittoTarget(
                port: port,
                certificateAuthority: site.home.directory.file("ca.crt"),
                certificate: site.home.directory.file("\(name).crt"),
                key: site.home.directory.file("\(name).key")
            )
            target.options += more
            let sent = try await MosquittoPublisher.publish(target, topic: topic, payload: payload)
            return sent.exit == .status(0)
        }
        #expect(try await publish("phone", topic: "nodes/phone/data", "one"))
        #expect(try await site.outside.message(payload: "one").topic == "sites/attic/phone/data")
        #expect(try await publish("tablet", topic: "nodes/tablet/data", "two", more: ["-u", "tablet"]))
        try await site.outside.message(payload: "two")
        // Another user name than the certificate's, and a certificate whose name is in the wrong place.
        #expect(try await !publish("tablet", topic: "nodes/tablet/data", "no", more: ["-u", "phone"]))
        try await site.gateway.logged("refused", "device tablet gave the user name phone")
        #expect(try await !publish("unnamed", topic: "nodes/phone/data", "no"))
        try await site.gateway.logged("refused", "proves no device")

        let lists = try authority.revocationList(of: [phone.certificate], validity: validity)
        try site.home.directory.write("ca.crl", lists)
        try await site.gateway.logged("files of TLS are read again")
        #expect(try await !publish("phone", topic: "nodes/phone/data", "no"))
        try await site.gateway.logged("refused", "was revoked")
        #expect(try await publish("tablet", topic: "nodes/tablet/data", "three"))
        try await site.outside.message(payload: "three")

        try site.home.directory.write("ca.crl", "nonsense")
        try await site.gateway.logged("those from before stay in force")
        #expect(try await !publish("phone", topic: "nodes/phone/data", "no"))
        #expect(try await publish("tablet", topic: "nodes/tablet/data", "four"))
        try await site.outside.message(payload: "four")
        #expect(!site.outside.received.contains { $0.payload == "no" })
    }
}
