import TestSupport
import Testing

/// A gateway whose clients prove nothing and may do what they like, but for topics below `denied/`: for tests that are about MQTT itself.
final class GuestSite: Sendable {
    /// Topics that the guests may not use.
    static let denied = "denied/topic"
    /// Seconds; a client that asks for more is held to it.
    static let maxKeepAlive = 60

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
        """

    private static let webSocket = """

        [[listener]]
        protocol = "ws"
        bind = "127.0.0.1:0"
        anonymous = "guest"
        """

    let gateway: GatewayProcess

    private init(gateway: GatewayProcess) {
        self.gateway = gateway
    }

    static func start(webSocket: Bool = false) async throws -> GuestSite {
        let home = try GatewayProcess.Home(configuration: self.configuration + (webSocket ? self.webSocket : ""))
        return GuestSite(gateway: try await home.start())
    }

    /// A trait of a suite: one site for all its tests, which starts before the first and ends after the last.
    struct Shared: SuiteTrait, TestScoping {
        @TaskLocal fileprivate static var site: GuestSite?

        var webSocket = false

        func provideScope(
            for test: Test,
            testCase: Test.Case?,
            performing function: @concurrent @Sendable () async throws -> Void
        ) async throws {
            let site = try await GuestSite.start(webSocket: self.webSocket)
            try await Self.$site.withValue(site) { try await function() }
            #expect(try await site.gateway.stop() == .status(0))
        }
    }

    /// Of the suite that runs.
    static var shared: GuestSite {
        get throws { try #require(Shared.site, "the suite has no trait GuestSite.Shared") }
    }
}
