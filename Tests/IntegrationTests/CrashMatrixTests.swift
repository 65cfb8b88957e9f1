import Foundation
import TestSupport
import Testing

/// The gateway is killed again and again under load, while the upstream comes and goes: nothing that it acknowledged is lost.
///
/// `SEALGATE_CRASH_MOMENTS` says how often, `SEALGATE_CRASH_SEED` which moments and incidents; `scripts/crash-matrix.sh` is the
/// long run.
@Suite(.inTurn, .timeLimit(.minutes(20)), .serialized, .ownThread) struct CrashMatrixTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let moments = Self.environment["SEALGATE_CRASH_MOMENTS"].flatMap { Int($0) } ?? 10
    private static let seed =
        Self.environment["SEALGATE_CRASH_SEED"].flatMap { UInt64($0) } ?? .random(in: 1..<1_000_000)
    /// Messages a second.
    private static let rate = 2_000

    /// How messages go, and how they are kept.
    enum Way: String, CaseIterable, CustomTestStringConvertible {
        case spooled = "QoS 1, spooled"
        case endToEnd = "QoS 1, end-to-end"
        case exactlyOnce = "QoS 2"

        var testDescription: String { self.rawValue }
        var qos: UInt8 { self == .exactlyOnce ? 2 : 1 }
        var uplink: [String] {
            self == .endToEnd ? ["acknowledge = \"end-to-end\"", "patience = \"1s\""] : []
        }
    }

    @Test(
        "SIGKILL at random moments, 2,000 messages a second, an upstream that flaps: no loss, order kept",
        arguments: Way.allCases
    )
    func matrix(way: Way) async throws {
        let ledger = CrashLedger()
        var script = BrokerScript()
        script.keepsMessages = false
        let broker = try ScriptedBroker(script) { ledger.delivered($0) }
        var configuration = SiteConfiguration.plain(port: broker.port)
        configuration.uplink += ["keep_alive = \"1s\""] + way.uplink
        configuration.qos = Int(way.qos)
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        let publisher = CrashPublisher(ledger: ledger, qos: way.qos, rate: Self.rate)
        publisher.start()
        defer { publisher.end(atOnce: true) }

        var random = SeededGenerator(seed: Self.seed)
        let flapping = Task { [seed = random.next()] in try await Self.flap(broker, seed: seed) }
        defer { flapping.cancel() }
        var gateway = try await home.start()
        publisher.connect(to: try gateway.port())
        for _ in 0..<Self.moments {
            try await Task.sleep(for: .milliseconds(Int.random(in: 5...1500, using: &random)))
            try await gateway.kill()
            publisher.connect(to: nil)
            gateway = try await home.start()
            publisher.connect(to: try gateway.port())
        }
        flapping.cancel()
        let incidents = try await flapping.value
        publisher.end()
        try await Self.wait(for: "the node's last acknowledgement") { publisher.isFinished }
        try? await Self.wait(for: "the last delivery") { ledger.isSettled }
        let outcome = ledger.outcome
        print(
            "crash matrix: \(way.rawValue), seed \(Self.seed): \(Self.moments) kills, \(incidents) incidents; \(outcome)"
        )
        #expect(outcome.acknowledged == outcome.published)
        #expect(outcome.lost.isEmpty && outcome.disorder.isEmpty && outcome.unexplained == 0, "\(outcome)")
        if way.qos == 2 { #expect(outcome.duplicates == 0) }
        #expect(broker.violations.isEmpty)
        #expect(publisher.problem == nil)
        #expect(try await gateway.stop() == .status(0))
    }

    private static func wait(for what: String, _ condition: () -> Bool) async throws {
        for _ in 0..<1_200 {
            if condition() { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw MQTTPeer.Unexpected(description: "\(what) did not come within two minutes")
    }

    /// One incident after the other until the task is cancelled; then a good broker again.
    ///
    /// - Returns: How many there were.
    private static func flap(_ broker: ScriptedBroker, seed: UInt64) async throws -> Int {
        var random = SeededGenerator(seed: seed)
        var count = 0
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(Int.random(in: 100...1200, using: &random)))
            count += 1
            let pause = Duration.milliseconds(Int.random(in: 20...500, using: &random))
            switch Int.random(in: 0..<5, using: &random) {
            case 0: broker.cut()
            case 1: broker.freeze()
            case 2:
                broker.stop()
                try? await Task.sleep(for: pause)
                try broker.start()
            case 3:
                broker.change { $0.acknowledging = .held }
                try? await Task.sleep(for: pause)
                broker.change { $0.acknowledging = .atOnce }
                broker.release()
            default:
                broker.change { $0.acknowledging = .never }
                try? await Task.sleep(for: pause)
                broker.change { $0.acknowledging = .atOnce }
                broker.cut()
            }
        }
        return count
    }
}
