import TestSupport
import Testing

/// The disk fills up, and is freed again.
@Suite(.inTurn, .timeLimit(.minutes(5)), .ownThread) struct DiskFullTests {
    @Test("a full disk takes nothing new and says so; what is stored still leaves; a freed one takes again")
    func full() async throws {
        let broker = try ScriptedBroker()
        let home = try GatewayProcess.Home(configuration: SiteConfiguration.plain(port: broker.port).text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        let control = try await FaultControl(in: home.directory)
        let gateway = try await home.start(environment: control.environment)
        try await broker.connected(1)
        broker.stop()
        var node = PatientNode()
        try node.publish(1...5, to: gateway)
        try control.leaveRoom(200_000)
        var stored = 5
        // Each of a kilobyte; the file grows by whole pages.
        while stored < 1_000, (try? node.publish(stored + 1, to: gateway, padding: 1_000, for: .zero)) != nil {
            stored += 1
        }
        #expect(stored < 1_000)
        #expect(control.failed > 0)
        try await gateway.logged("could not store messages", "sealgate.db", "Free some space")

        try broker.start()
        try await broker.taken(payload: "5")
        _ = try await broker.taken(stored)
        try control.leaveRoom(nil)
        try node.publish(stored + 1...stored + 5, to: gateway)
        try await broker.taken(payload: "\(stored + 5)")
        var seen: Set<String> = []
        let came = broker.taken.map { $0.text.trimming(" ") }.filter { seen.insert($0).inserted }
        #expect(came == (1...stored + 5).map(String.init))
        #expect(try await gateway.stop() == .status(0))
    }
}

extension String {
    /// Without these characters at its end.
    fileprivate func trimming(_ character: Character) -> String {
        String(self.reversed().drop { $0 == character }.reversed())
    }
}
