import TestSupport
import Testing

/// A gateway with one plain device, `lamp`, between a node and a scripted broker.
struct UplinkStage {
    let broker: ScriptedBroker
    let home: GatewayProcess.Home
    let gateway: GatewayProcess

    /// - Parameters:
    ///   - uplink: Lines of `[uplink.cloud]` besides the address.
    ///   - qos: Of the route out.
    ///   - firstRoute: A table before that route.
    ///   - extra: Further tables.
    init(
        _ script: BrokerScript = .init(),
        uplink: [String] = ["keep_alive = \"1s\""],
        qos: Int = 1,
        firstRoute: String = "",
        extra: String = ""
    ) async throws {
        let broker = try ScriptedBroker(script)
        var configuration = SiteConfiguration.plain(port: broker.port)
        configuration.uplink += uplink
        configuration.qos = qos
        configuration.firstRoute = firstRoute
        configuration.extra = extra
        configuration.qos = qos
        self.broker = broker
        self.home = try GatewayProcess.Home(configuration: configuration.text)
        try await self.home.importDevices(SiteDevices.plain("lamp"))
        self.gateway = try await self.home.start()
    }

    /// The same stage with the gateway that runs there now.
    private init(_ old: Self, gateway: GatewayProcess) {
        (self.broker, self.home, self.gateway) = (old.broker, old.home, gateway)
    }

    /// SIGKILL, and a new start.
    func killed() async throws -> Self {
        try await self.gateway.kill()
        return try await self.restarted()
    }

    /// A new start, when the gateway is gone.
    func restarted() async throws -> Self {
        Self(self, gateway: try await self.home.start())
    }

    /// The node publishes numbers at QoS 1, and is acknowledged all.
    func publish(_ numbers: ClosedRange<Int>, topic: String = "nodes/lamp/data") async throws {
        let node = MosquittoTarget(port: try self.gateway.port())
        let sent = try await MosquittoPublisher.publish(node, topic: topic, lines: numbers.map(String.init))
        #expect(sent.exit == .status(0), "\(sent.all)")
    }

    /// The broker took every number, and they came for the first time in this order; and the gateway kept to the standard.
    func expectAll(_ numbers: ClosedRange<Int>, within limit: Duration = .patience) async throws {
        let last = "\(numbers.upperBound)"
        try await self.broker.taken(payload: last, within: limit)
        // One that was dropped or refused comes again behind the last.
        let broker = self.broker
        try await eventually(within: limit) {
            Set(broker.taken.compactMap { Int($0.text) }).isSuperset(of: numbers)
        }
        var seen: Set<Int> = []
        let came = self.broker.messages.compactMap { Int($0.text) }.filter { seen.insert($0).inserted }
        #expect(came == Array(numbers))
        #expect(self.broker.violations.isEmpty)
    }
}
