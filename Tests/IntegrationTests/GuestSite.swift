import TestSupport
import Testing

/// A gateway whose clients may do what they like, but for topics below `denied/`: for tests that are about MQTT itself.
/// On `mqtt`, `mqtts` and `ws` they prove nothing; with the pre-shared key of the device `service`, that they are it.
final class GuestSite: Sendable {
    /// A topic that nobody may use.
    static let denied = "denied/topic"
    /// Seconds; a client that asks for more is held to it.
    static let maxKeepAlive = 60
    /// Of the device `service`.
    static let key = hexBytes("0f0e0d0c0b0a09080706050403020100")

    private static let configuration = """
        [gateway]
        name = "attic"
        state = "state"

        [limits]
        failure_rate = "100000/s"
        max_keep_alive = "\(maxKeepAlive)s"

        [[listener]]
        protocol = "mqtt"
        bind = "127.0.0.1:0"
        anonymous = "guest"

        [profile.guest]
        publish = ["#"]
        subscribe = ["#"]
        deny = ["denied/#"]
        max_payload = "200KiB"
        """

    private static let otherListeners = """


        [[listener]]
        protocol = "mqtts"
        bind = "127.0.0.1:0"
        anonymous = "guest"
        psk = true
        certificate = "certs/gateway.crt"
        key = "certs/gateway.key"

        [[listener]]
        protocol = "ws"
        bind = "127.0.0.1:0"
        anonymous = "guest"

        [profile.service]
        publish = ["#"]
        subscribe = ["#"]
        deny = ["denied/#"]
        max_payload = "200KiB"
        """

    let gateway: GatewayProcess
    /// File of the authority that signed the certificate of `mqtts`.
    let authority: String

    private init(gateway: GatewayProcess, authority: String) {
        self.gateway = gateway
        self.authority = authority
    }

    /// - Parameter plain: Only the listener `mqtt`.
    static func start(plain: Bool) async throws -> GuestSite {
        let home = try GatewayProcess.Home(configuration: self.configuration + (plain ? "" : self.otherListeners))
        if !plain {
            let made = try await home.run(["certs", "init"])
            try #require(made.exit == .status(0), "\(made.all)")
            try await home.importDevices(SiteDevices.keyed("service", key: self.key, profile: "service"))
        }
        return GuestSite(gateway: try await home.start(), authority: home.directory.file("certs/ca.crt"))
    }

    /// A trait of a suite: one site for all its tests, which starts before the first and ends after the last.
    struct Shared: SuiteTrait, TestScoping {
        @TaskLocal fileprivate static var site: GuestSite?

        /// Only the listener `mqtt`.
        var plain = false

        func provideScope(
            for test: Test,
            testCase: Test.Case?,
            performing function: @concurrent @Sendable () async throws -> Void
        ) async throws {
            let site = try await GuestSite.start(plain: self.plain)
            try await Self.$site.withValue(site) { try await function() }
            #expect(try await site.gateway.stop() == .status(0))
        }
    }

    /// Of the suite that runs.
    static var shared: GuestSite {
        get throws { try #require(Shared.site, "the suite has no trait GuestSite.Shared") }
    }
}
