import Foundation
import OpenSSL
import TestSupport
import Testing

/// A gateway on a machine without a battery for its clock: it starts in 1970.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct ClockTests {
    private static let early = "1970-01-01 00:00:10"

    /// A broker with certificates, and the lines of an uplink to it.
    private struct Certified {
        let broker: Mosquitto
        let uplink: [String]
        private let directory: TemporaryDirectory

        /// - Parameter validity: Of the broker's certificate.
        static func start(_ validity: CertificateAuthority.Validity? = nil) async throws -> Certified {
            let now = Int64(Date().timeIntervalSince1970)
            let long = CertificateAuthority.Validity(notBefore: now - 3_000 * 86_400, notAfter: now + 86_400)
            let authority = try CertificateAuthority(commonName: "Test authority", validity: long)
            let recent = CertificateAuthority.Validity(notBefore: now - 60, notAfter: now + 86_400)
            let server = try authority.issueServer(names: ["localhost"], validity: validity ?? recent)
            let client = try authority.issueClient(commonName: "attic", validity: long)
            let directory = try TemporaryDirectory()
            let trusted = try directory.write("authority.crt", authority.authority.certificate)
            var configuration = Mosquitto.Configuration()
            configuration.listeners = [
                .plain,
                .certificate(
                    certificate: try directory.write("server.crt", server.certificate),
                    key: try directory.write("server.key", server.privateKey),
                    clientCA: trusted
                ),
            ]
            configuration.allow("attic", branch: "sites/attic/#")
            let broker = try await Mosquitto.start(configuration)
            let uplink = [
                "address = \"mqtts://localhost:\(broker.ports[1])\"",
                "ca = \"\(trusted)\"",
                "certificate = \"\(try directory.write("attic.crt", client.certificate))\"",
                "key = \"\(try directory.write("attic.key", client.privateKey))\"",
            ]
            return Certified(broker: broker, uplink: uplink, directory: directory)
        }
    }

    private func home(uplink: [String], gateway: String = "") async throws -> GatewayProcess.Home {
        var configuration = SiteConfiguration.plain(port: 1)
        configuration.uplink = uplink
        let text = configuration.text.replacing("name = \"attic\"", with: "name = \"attic\"\n\(gateway)")
        let home = try GatewayProcess.Home(configuration: text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        return home
    }

    private func publish(_ gateway: GatewayProcess, _ payload: String) async throws {
        let node = MosquittoTarget(port: try gateway.port())
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: payload)
        #expect(sent.exit == .status(0))
    }

    private func status(_ home: GatewayProcess.Home) async throws -> [String: Any] {
        let finished = try await home.run(["status", "--json"])
        let json = try JSONSerialization.jsonObject(with: Data(finished.text.utf8)) as? [String: Any]
        return try #require(json, "\(finished.all)")
    }

    private func floor(_ home: GatewayProcess.Home) async throws -> String {
        try #require((try await self.status(home)["clock"] as? [String: Any])?["floor"] as? String)
    }

    private func uplinkState(_ home: GatewayProcess.Home) async throws -> String? {
        (try await self.status(home)["uplinks"] as? [[String: Any]])?.first?["state"] as? String
    }

    @Test("certificates wait until the clock is set, and messages don't")
    func waiting() async throws {
        let site = try await Certified.start()
        let outside = try await MosquittoSubscriber.start(.init(port: site.broker.port), topics: ["sites/#"])
        let clock = try FakeClock(Self.early)
        let home = try await self.home(uplink: site.uplink)
        let gateway = try await home.start(environment: clock.environment)
        try await gateway.logged("the clock is not set")
        try await gateway.logged("the uplink waits for the clock")
        try await self.publish(gateway, "early")
        #expect(try await self.uplinkState(home) == "clock")
        #expect((try await self.status(home)["clock"] as? [String: Any])?["set"] as? Bool == false)
        #expect(try await home.run(["status"]).text.contains("NOT SET"))
        try clock.set()
        try await gateway.logged("the clock is set")
        try await outside.message(payload: "early")
        #expect((try await self.status(home)["clock"] as? [String: Any])?["set"] as? Bool == true)
        #expect(try await gateway.stop() == .status(0))
        #expect(gateway.log.lines.count { $0.contains("the clock is not set:") } == 1)
        withExtendedLifetime(clock) {}
    }

    @Test(
        "where no clock comes, certificates are judged by the earliest time that it can be",
        arguments: ["floor", "wait"]
    )
    func floor(rule: String) async throws {
        let site = try await Certified.start()
        let outside = try await MosquittoSubscriber.start(.init(port: site.broker.port), topics: ["sites/#"])
        let rule = rule == "wait" ? "clock = \"wait\"\nclock_wait = \"1s\"" : "clock = \"\(rule)\""
        let home = try await self.home(uplink: site.uplink, gateway: rule)
        let clock = try FakeClock(Self.early)
        let gateway = try await home.start(environment: clock.environment)
        try await self.publish(gateway, "on")
        try await outside.message(payload: "on")
        #expect(try await gateway.stop() == .status(0))
        withExtendedLifetime(clock) {}
    }

    @Test("a certificate that has expired by then is refused, whatever the clock shows")
    func expired() async throws {
        let old = CertificateAuthority.Validity(notBefore: 1_700_000_000, notAfter: 1_750_000_000)
        let site = try await Certified.start(old)
        let home = try await self.home(uplink: site.uplink, gateway: "clock = \"floor\"")
        // The machine's clock is in the middle of its validity.
        let clock = try FakeClock("2024-12-01 00:00:00")
        let gateway = try await home.start(environment: clock.environment)
        #expect(try await gateway.logged("uplink down").localizedCaseInsensitiveContains("expired"))
        #expect(try await gateway.stop() == .status(0))
        withExtendedLifetime(clock) {}
    }

    @Test("with trust the machine's clock is believed")
    func trust() async throws {
        let old = CertificateAuthority.Validity(notBefore: 1_700_000_000, notAfter: 1_750_000_000)
        let site = try await Certified.start(old)
        let home = try await self.home(uplink: site.uplink, gateway: "clock = \"trust\"")
        let clock = try FakeClock("2024-12-01 00:00:00")
        let gateway = try await home.start(environment: clock.environment)
        // The broker takes the gateway's certificate by a clock of its own.
        try await gateway.logged("uplink connected")
        #expect(try await gateway.stop() == .status(0))
        withExtendedLifetime(clock) {}
    }

    @Test("without certificates nothing waits; over MQTT 5.0 a message says that it was taken without a clock")
    func marks() async throws {
        let broker = try ScriptedBroker()
        let clock = try FakeClock(Self.early)
        let uplink = ["address = \"mqtt://127.0.0.1:\(broker.port)\"", "protocol = \"5\""]
        let gateway = try await self.home(uplink: uplink).start(environment: clock.environment)
        try await self.publish(gateway, "early")
        let early = try #require(try await broker.taken(payload: "early"))
        try clock.set()
        try await gateway.logged("the clock is set")
        try await self.publish(gateway, "late")
        let late = try #require(try await broker.taken(payload: "late"))
        #expect(early.properties.contains(.user("sealgate-clock", "unset")))
        #expect(late.properties.isEmpty)
        #expect(try await gateway.stop() == .status(0))
        withExtendedLifetime(clock) {}
    }

    @Test("what the clock has shown is the least that the next run believes")
    func kept() async throws {
        let home = try await self.home(uplink: ["address = \"mqtt://127.0.0.1:1\""])
        let first = try FakeClock("2026-03-01 00:00:00", speed: 60)
        var gateway = try await home.start(environment: first.environment)
        try await eventually { try await self.floor(home) >= "2026-01-02" }
        #expect(try await gateway.stop() == .status(0))
        withExtendedLifetime(first) {}
        // Later than the release's date, by a day for each hour that it took.
        let clock = try FakeClock("2026-01-01 12:00:00")
        gateway = try await home.start(environment: clock.environment)
        try await gateway.logged("the clock is not set")
        let floor = try await self.floor(home)
        #expect(floor >= "2026-01-02" && floor < "2026-02", "\(floor)")
        #expect(try await gateway.stop() == .status(0))
        withExtendedLifetime(clock) {}
    }

    @Test("what was taken without a clock does not grow too old by the next run's")
    func ages() async throws {
        let port = try FreePort.next()
        let uplink = ["address = \"mqtt://127.0.0.1:\(port)\"", "spool = { max_age = \"1s\" }"]
        let home = try await self.home(uplink: uplink)
        let clock = try FakeClock(Self.early)
        var gateway = try await home.start(environment: clock.environment)
        try await self.publish(gateway, "early")
        #expect(try await gateway.stop() == .status(0))
        gateway = try await home.start()
        try await self.publish(gateway, "dated")
        try await gateway.logged("spool full or too old: dropped")
        let broker = try await Mosquitto.start(.init(), ports: [port])
        let outside = try await MosquittoSubscriber.start(.init(port: port), topics: ["sites/#"])
        try await outside.message(payload: "early")
        #expect(!outside.received.contains { $0.payload == "dated" })
        #expect(try await gateway.stop() == .status(0))
        try await broker.stop()
        withExtendedLifetime(clock) {}
    }
}
