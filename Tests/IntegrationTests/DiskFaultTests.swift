import Foundation
import TestSupport
import Testing

/// The disk under the whole gateway fails: nothing acknowledged is lost, the gateway says what failed, and it goes on when it can.
///
/// `SEALGATE_FAULT_CALLS=all` lets each call of a run fail, one run after the other; otherwise some are drawn, from `SEALGATE_FAULT_SEED`.
@Suite(.inTurn, .timeLimit(.minutes(30)), .serialized, .ownThread) struct DiskFaultTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let isWhole = Self.environment["SEALGATE_FAULT_CALLS"] == "all"
    private static let seed =
        Self.environment["SEALGATE_FAULT_SEED"].flatMap { UInt64($0) } ?? .random(in: 1..<1_000_000)
    /// Calls that are drawn.
    private static let sample = 8

    /// How the disk fails.
    enum Fault: String, CaseIterable, CustomTestStringConvertible {
        case inputOutput = "one call fails with EIO"
        case full = "one call fails with ENOSPC"
        case lasting = "twenty calls fail with EIO"

        var testDescription: String { self.rawValue }
        var error: Int32 { self == .full ? ENOSPC : EIO }
        var count: Int { self == .lasting ? 20 : 1 }
    }

    /// A broker, a gateway's directory, and the way to let its calls fail.
    private struct Stage {
        let broker: ScriptedBroker
        let home: GatewayProcess.Home
        let control: FaultControl
        private static let key = hexBytes("00112233445566778899aabbccddeeff")

        init() async throws {
            self.broker = try ScriptedBroker()
            self.home = try GatewayProcess.Home(configuration: SiteConfiguration.plain(port: self.broker.port).text)
            // The second one so that there is a master key.
            try await self.home.importDevices(SiteDevices.plain("lamp") + SiteDevices.keyed("pump", key: Self.key))
            self.control = try await FaultControl(in: self.home.directory)
        }

        /// Starts the gateway; again if a fault kept it from it, which it has to explain.
        func start() async throws -> GatewayProcess {
            let failed = self.control.failed
            for _ in 0..<30 {
                do {
                    return try await self.home.start(environment: self.control.environment)
                } catch  where self.control.failed > failed {
                    #expect("\(error)".contains("state/") || "\(error)".contains("state:"), "\(error)")
                }
            }
            return try await self.home.start(environment: self.control.environment)
        }
    }

    /// Messages over a broker that is away, a death, a broker that is there, an orderly end; then what is left, without faults.
    ///
    /// - Returns: How many calls there were.
    private func run(failing first: Int, _ fault: Fault) async throws -> Int {
        let stage = try await Stage()
        try stage.control.fail(first: first, count: fault.count, error: fault.error)
        stage.broker.stop()
        var node = PatientNode()
        var gateway = try await stage.start()
        try node.publish(1...6, to: gateway)
        node.leave()
        try await self.expectTold(gateway, of: first)
        try await gateway.kill()
        try stage.broker.start()
        gateway = try await stage.start()
        try node.publish(7...12, to: gateway)
        try await stage.broker.taken(payload: "12")
        node.leave()
        // What fails in the shutdown is only the tidying up of what is safe already.
        try await self.expectTold(gateway, of: first)
        #expect(try await gateway.stop() == .status(0))
        gateway = try await stage.home.start()
        try node.publish(13...13, to: gateway)
        try await stage.broker.taken(payload: "13")
        var seen: Set<Int> = []
        let came = stage.broker.taken.compactMap { Int($0.text) }.filter { seen.insert($0).inserted }
        #expect(came == Array(1...13), "call \(first)")
        #expect(stage.broker.violations.isEmpty)
        return stage.control.calls
    }

    /// If calls have failed the gateway tells the operator, soon.
    private func expectTold(_ gateway: GatewayProcess, of number: Int) async throws {
        let failures = gateway.log.lines.filter { $0.hasPrefix("faults.c: ") }
        guard !failures.isEmpty else { return }
        try await gateway.log.line("word of call \(number), \(failures),") { line in
            [" error ", " warning ", " notice "].contains { line.contains($0) }
                && ["sealgate.db", "master.key"].contains { line.contains($0) }
        }
    }

    @Test("the n-th write, sync, open or truncation fails: nothing acknowledged is lost", arguments: Fault.allCases)
    func nth(fault: Fault) async throws {
        let calls = try await self.run(failing: 0, fault)
        var random = SeededGenerator(seed: Self.seed)
        let numbers = Self.isWhole ? Array(1...calls) : Array((1...calls).shuffled(using: &random).prefix(Self.sample))
        print(
            "disk faults: \(fault.rawValue): \(calls) calls, seed \(Self.seed): \(Self.isWhole ? "all" : "\(numbers)")"
        )
        for number in numbers {
            do {
                _ = try await self.run(failing: number, fault)
            } catch {
                Issue.record("call \(number): \(error)")
            }
        }
    }
}
