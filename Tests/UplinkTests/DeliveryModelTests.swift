import MQTTCodec
import NIOCore
import Testing
import Uplink

/// The whole of it against a broker that keeps to the standard, under cuts and crashes at any moment.
@Suite("Delivery, whatever happens") struct DeliveryModelTests {
    struct Run: CustomTestStringConvertible {
        let seed: UInt64
        let version: MQTTVersion
        /// Whether the broker loses its sessions, too.
        var losesSessions = false
        var testDescription: String { "\(self.version) seed \(self.seed)\(self.losesSessions ? " sessions lost" : "")" }
    }

    static let runs = (1...6).flatMap { seed in
        [Run(seed: seed, version: .v311), Run(seed: seed, version: .v5)]
    }
    static let lossyRuns = (1...4).flatMap { seed in
        [Run(seed: seed, version: .v311, losesSessions: true), Run(seed: seed, version: .v5, losesSessions: true)]
    }

    /// The conversation, with bytes on the way in both directions that a cut loses.
    private final class World {
        let gateway: Gateway
        var outside: Outside
        var generator: JitterGenerator
        var toGateway: [MQTTPacket] = []
        var isConnected = false
        let run: Run

        init(_ run: Run) {
            var configuration = UplinkClient.Configuration(clientID: "attic")
            configuration.version = run.version
            configuration.inFlight = 8
            self.run = run
            self.gateway = Gateway(configuration, seed: run.seed)
            self.outside = Outside(version: run.version)
            self.generator = JitterGenerator(seed: run.seed)
        }

        func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self.generator) < percent }

        func cut() {
            self.isConnected = false
            self.toGateway = []
            self.outside.connectionEnded()
        }

        /// A few steps of either side.
        func step(isRough: Bool) throws {
            if !self.isConnected {
                self.gateway.now = self.gateway.now + .seconds(130)
                self.gateway.tick()
                if self.gateway.wantsConnection {
                    self.outside.receiveMaximum = self.chance(50) ? .random(in: 1...9, using: &self.generator) : 0
                    self.gateway.connected()
                    self.isConnected = true
                }
            }
            self.gateway.pump()
            for _ in 0..<Int.random(in: 0...6, using: &self.generator) {
                if self.isConnected, let packet = try self.gateway.nextPacket(self.run.version) {
                    self.toGateway += self.outside.receive(packet)
                }
            }
            for _ in 0..<Int.random(in: 0...6, using: &self.generator) where !self.toGateway.isEmpty {
                try self.gateway.receive(self.toGateway.removeFirst(), self.run.version)
            }
            self.gateway.commit(.random(in: 0...4, using: &self.generator))
            guard isRough else { return }
            if self.chance(4), self.isConnected {
                self.cut()
                self.gateway.disconnected()
            }
            if self.chance(2) {
                self.cut()
                self.gateway.boot()
            }
            if self.chance(2) {
                self.gateway.failCommit()
                if self.isConnected {
                    self.cut()
                    self.gateway.disconnected()
                }
            }
            if self.run.losesSessions, !self.isConnected, self.chance(20) { self.outside.forgetSession() }
        }
    }

    private func play(_ run: Run, qos: [QoS]) throws -> (world: World, sent: [String], sentDown: [String]) {
        let world = World(run)
        var sent: [String] = []
        var sentDown: [String] = []
        for round in 0..<600 {
            if world.chance(40) {
                // Identifiers of QoS 2 come again soon, as they do after 32,766 messages.
                let sequence = Int64(round) * 0x7FFE + Int64(round % 20)
                sent.append("up \(round)")
                let qos = qos.randomElement(using: &world.generator) ?? .atLeastOnce
                world.gateway.spool(sequence, "up \(round)", qos)
            }
            if world.chance(30) {
                let qos = qos.randomElement(using: &world.generator) ?? .atLeastOnce
                world.toGateway += world.outside.send("down \(round)", qos)
                sentDown.append("down \(round)")
            }
            try world.step(isRough: true)
        }
        var calm = 0
        while !(world.gateway.isDrained && world.outside.isDone), calm < 5000 {
            try world.step(isRough: false)
            calm += 1
        }
        #expect(world.gateway.isDrained && world.outside.isDone, "something is left")
        #expect(world.outside.complaints == [])
        #expect(world.gateway.failures == [])
        return (world, sent, sentDown)
    }

    @Test("QoS 2 is exactly once both ways, and in order", arguments: runs)
    func exactlyOnce(run: Run) throws {
        let (world, sent, sentDown) = try self.play(run, qos: [.exactlyOnce])
        #expect(world.outside.taken == sent)
        // The broker skips a message while it has no identifier for it.
        let taken = world.gateway.taken
        #expect(taken.count > 50)
        #expect(taken == sentDown.filter(Set(taken).contains))
    }

    @Test("QoS 1 is at least once both ways, first copies in order", arguments: runs)
    func atLeastOnce(run: Run) throws {
        let (world, sent, sentDown) = try self.play(run, qos: [.atLeastOnce])
        #expect(self.firsts(world.outside.taken) == sent)
        #expect(world.outside.taken.count > sent.count, "the test never repeats a message")
        let taken = self.firsts(world.gateway.taken)
        #expect(taken == sentDown.filter(Set(taken).contains))
    }

    @Test("mixed, nothing is lost, and QoS 2 never comes twice", arguments: runs)
    func mixed(run: Run) throws {
        let (world, sent, _) = try self.play(run, qos: [.atLeastOnce, .exactlyOnce])
        #expect(Set(world.outside.taken) == Set(sent))
    }

    @Test("a broker that loses sessions still gets everything, and nobody is stuck", arguments: lossyRuns)
    func lostSessions(run: Run) throws {
        let (world, sent, _) = try self.play(run, qos: [.atLeastOnce, .exactlyOnce])
        #expect(Set(world.outside.taken) == Set(sent))
    }

    private func firsts(_ texts: [String]) -> [String] {
        var seen: Set<String> = []
        return texts.filter { seen.insert($0).inserted }
    }
}
