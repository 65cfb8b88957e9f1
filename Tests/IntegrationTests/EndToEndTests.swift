import Foundation
import TestSupport
import Testing

/// `acknowledge = "end-to-end"`: the node's acknowledgement waits for the outside broker's, and the disk is for the bad days.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct EndToEndTests {
    private struct Stage {
        let broker: ScriptedBroker
        let home: GatewayProcess.Home
        let control: FaultControl
        let gateway: GatewayProcess

        init(_ script: BrokerScript = .init(), patience: String) async throws {
            self.broker = try ScriptedBroker(script)
            var configuration = SiteConfiguration.plain(port: self.broker.port)
            configuration.uplink += [
                "acknowledge = \"end-to-end\"", "patience = \"\(patience)\"", "keep_alive = \"1s\"",
            ]
            self.home = try GatewayProcess.Home(configuration: configuration.text)
            try await self.home.importDevices(SiteDevices.plain("lamp"))
            // It counts what goes to the disk.
            self.control = try await FaultControl(in: self.home.directory)
            self.gateway = try await self.home.start(environment: self.control.environment)
            try await self.broker.connected(1)
            try await self.gateway.logged("uplink subscribed")
        }
    }

    @Test("on a healthy link nothing is written: no write and no sync for 500 messages")
    func nothingWritten() async throws {
        let stage = try await Stage(patience: "10s")
        var node = PatientNode()
        try node.publish(1...1, to: stage.gateway)
        let before = stage.control.calls
        try node.publish(2...500, to: stage.gateway)
        #expect(stage.control.calls == before)
        #expect(stage.broker.taken.map(\.text) == (1...500).map(String.init))
        #expect(try await stage.gateway.stop() == .status(0))
    }

    @Test("the node's acknowledgement waits for the broker's, and for no longer than the patience")
    func waits() async throws {
        var script = BrokerScript()
        script.acknowledging = .held
        let stage = try await Stage(script, patience: "2s")
        let node = try MQTTPeer(port: try stage.gateway.port(), .init(id: "node", level: 4))
        try node.publish("nodes/lamp/data", "1", id: 1)
        try await stage.broker.taken(payload: "1")
        try node.expectNothing()
        let before = stage.control.calls
        stage.broker.release()
        try node.expect(.puback, 1)
        #expect(stage.control.calls == before)
        // Nobody acknowledges this one in time: it is on disk then.
        try node.publish("nodes/lamp/data", "2", id: 2)
        try node.expect(.puback, 2)
        #expect(stage.control.calls > before)
        try await stage.gateway.kill()
        stage.broker.change { $0.acknowledging = .atOnce }
        let again = try await stage.home.start()
        try await stage.broker.log.line(containing: "PUBLISH #2 ")
        #expect(stage.broker.messages.filter { $0.connection == 2 }.map(\.text) == ["2"])
        #expect(try await again.stop() == .status(0))
    }

    @Test("a link that ends has what is under way written down, and it goes out once more in order")
    func linkEnds() async throws {
        var script = BrokerScript()
        script.acknowledging = .never
        let stage = try await Stage(script, patience: "60s")
        let node = try MQTTPeer(port: try stage.gateway.port(), .init(id: "node", level: 4))
        for number in UInt16(1)...20 { try node.publish("nodes/lamp/data", "\(number)", id: number) }
        _ = try await stage.broker.taken(20)
        try node.expectNothing()
        stage.broker.stop()
        for number in UInt16(1)...20 { try node.expect(.puback, number) }
        try await stage.gateway.kill()
        stage.broker.change { $0.acknowledging = .atOnce }
        try stage.broker.start()
        let again = try await stage.home.start()
        let came = try await stage.broker.taken(40).suffix(20)
        #expect(came.map(\.text) == (1...20).map(String.init))
        #expect(try await again.stop() == .status(0))
    }
}
