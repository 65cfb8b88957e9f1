import Devices
import Gateway
import Logging
import MQTTCodec
import NIOCore
import NIOPosix
import OpenSSL

/// Gateway and outside broker at work, and the loop of the demo's clients.
struct DemoStage: Sendable {
    let plan: DemoPlan
    let cast: DemoCast
    let topics: DemoTopics
    let outside: OutsideBroker
    let gateway: Gateway
    /// The gateway's ports: without TLS, and with pre-shared keys.
    let plainPort: Int
    let tlsPort: Int
    private let group: MultiThreadedEventLoopGroup

    /// Starts everything, and says where it listens.
    ///
    /// - Throws: What kept it from starting; nothing is left running then.
    static func start(
        _ plan: DemoPlan,
        in directory: DemoDirectory,
        logger: Logger,
        screen: DemoScreen
    ) async throws -> DemoStage {
        var plan = plan
        let cast = try DemoCast(plan)
        let topics = try DemoTopics(plan, cast)
        let outside = try await OutsideBroker.start(for: plan, in: directory, logger: logger)
        plan.connectUplink(toPort: outside.port)
        do {
            let key = outside.gatewayKey.key.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            try directory.write(DemoPlan.keyFileName, "hex:\(key)\n")
            let devices = [cast.garden, cast.kitchen, cast.cellar, cast.porch]
            try DemoCast.enroll(devices, in: plan.configuration.stateDirectory, logger: logger)
            let (gateway, ports) = try await Self.startGateway(plan.configuration, logger: logger, screen: screen)
            let stage = DemoStage(
                plan: plan,
                cast: cast,
                topics: topics,
                outside: outside,
                gateway: gateway,
                plainPort: ports[plan.plainListener],
                tlsPort: ports[plan.tlsListener],
                group: MultiThreadedEventLoopGroup(numberOfThreads: 1)
            )
            stage.introduce(on: screen)
            return stage
        } catch {
            await outside.broker.stop()
            throw error
        }
    }

    /// Starts the gateway on the ports of gateway.conf, and on a free one where that can't be had.
    private static func startGateway(
        _ configuration: GatewayConfiguration,
        logger: Logger,
        screen: DemoScreen
    ) async throws -> (gateway: Gateway, ports: [Int]) {
        var configuration = configuration
        while true {
            let gateway = Gateway(configuration: configuration, logger: logger)
            do {
                return (gateway, try await gateway.start().map(\.port))
            } catch GatewayStartError.listener(_, let line, let reason) {
                await gateway.stop()
                let taken = configuration.listeners.firstIndex { $0.line == line && $0.bind.port != 0 }
                guard let taken else { throw DemoFailure("the gateway can't listen on this machine: \(reason)") }
                screen.say("Port \(configuration.listeners[taken].bind.port) (\(reason)): a free one instead.")
                configuration.listeners[taken].bind.port = 0
            } catch {
                await gateway.stop()
                throw error
            }
        }
    }

    private func introduce(on screen: DemoScreen) {
        let configuration = self.plan.configuration
        let branch = self.plan.published.map(\.description).joined(separator: ", ")
        screen.say("Gateway \"\(configuration.name)\", as \(configuration.file) has it.")
        screen.say("For this machine only: mqtt on port \(self.plainPort), mqtts on port \(self.tlsPort).")
        screen.say("Outside broker: mqtts with pre-shared keys, on port \(self.outside.port).")
        screen.say("The gateway's key may publish \(branch) there, and nothing else.")
    }

    // MARK: Clients

    /// A client of the gateway that proves nothing.
    func connect(_ name: String) async throws -> DemoClient {
        try await DemoClient.connect(name, port: self.plainPort, on: self.group.next())
    }

    /// A client of the gateway that proves a device.
    func connect(_ device: Device) async throws -> DemoClient {
        try await DemoClient.connect(
            device.id.text,
            port: self.tlsPort,
            key: device.preSharedKey,
            on: self.group.next()
        )
    }

    /// A client of the outside broker.
    func connectOutside(_ name: String, key: TLSPreSharedKey) async throws -> DemoClient {
        try await DemoClient.connect(name, port: self.outside.port, key: key, on: self.group.next())
    }

    /// What the gateway has counted.
    func counters() async throws -> Counters {
        guard let counters = await self.gateway.counters() else { throw DemoFailure("the gateway has stopped") }
        return counters
    }

    /// What the outside broker has counted.
    func outsideCounters() async throws -> Counters {
        guard let counters = await self.outside.broker.counters() else {
            throw DemoFailure("the outside broker has stopped")
        }
        return counters
    }

    /// Ends everything, clients first.
    func stop() async {
        try? await self.group.shutdownGracefully()
        await self.gateway.stop()
        await self.outside.broker.stop()
    }
}
