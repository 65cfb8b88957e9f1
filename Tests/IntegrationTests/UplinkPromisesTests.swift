import TestSupport
import Testing

/// Acknowledgements, connections and commands of an outside broker that does not what a good one would, one by one.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct UplinkPromisesTests {
    @Test("acknowledgements that come late hold up no more than the window, and nothing is sent twice")
    func late() async throws {
        var script = BrokerScript()
        script.acknowledging = .held
        let stage = try await UplinkStage(script, uplink: ["in_flight = 20"])
        try await stage.broker.connected(1)
        try await stage.publish(1...100)
        #expect(try await stage.broker.taken(20).count == 20)
        for count in stride(from: 40, through: 100, by: 20) {
            stage.broker.release()
            #expect(try await stage.broker.taken(count).count == count)
        }
        stage.broker.release()
        try await stage.expectAll(1...100)
        #expect(stage.broker.taken.count == 100)
        #expect(try await stage.gateway.stop() == .status(0))
    }

    @Test("acknowledgements in another order are each taken for the message that they name")
    func reversed() async throws {
        var script = BrokerScript()
        script.acknowledging = .reversed(10)
        let stage = try await UplinkStage(script, uplink: ["in_flight = 10"])
        try await stage.broker.connected(1)
        try await stage.publish(1...100)
        try await stage.expectAll(1...100)
        #expect(stage.broker.taken.count == 100)
        #expect(try await stage.gateway.stop() == .status(0))
    }

    @Test("what was taken before SIGKILL and never acknowledged comes again after it, in order")
    func neverAcknowledged() async throws {
        var script = BrokerScript()
        script.acknowledging = .never
        let stage = try await UplinkStage(script, uplink: ["in_flight = 50"])
        try await stage.broker.connected(1)
        try await stage.publish(1...100)
        _ = try await stage.broker.taken(50)
        stage.broker.change { $0.acknowledging = .atOnce }
        let again = try await stage.killed()
        try await again.expectAll(1...100)
        #expect(stage.broker.taken.count == 150)
    }

    @Test("no message is blamed for connections that never came about")
    func away() async throws {
        var script = BrokerScript()
        script.acknowledging = .never
        let stage = try await UplinkStage(script, uplink: ["dead_after = 1"])
        try await stage.broker.connected(1)
        try await stage.publish(1...3)
        _ = try await stage.broker.taken(3)
        stage.broker.change { $0.acknowledging = .atOnce }
        stage.broker.stop()
        _ = try await stage.gateway.log.lines(count: 4) { $0.contains("uplink down") }
        try stage.broker.start()
        _ = try await stage.broker.taken(6)
        try await stage.expectAll(1...3)
        #expect(!stage.gateway.log.lines.contains { $0.contains("dead letters") })
    }

    @Test("a message that the broker closes on, each time, goes to the dead letters, and the others arrive")
    func closesOnOne() async throws {
        let stage = try await UplinkStage(.init(.init(payload: "7", .close)), uplink: ["dead_after = 2"])
        try await stage.broker.connected(1)
        try await stage.publish(1...20)
        try await stage.gateway.logged("dead letters", "connections in a row ended on it")
        try await stage.broker.taken(payload: "20")
        #expect(Set(stage.broker.taken.map(\.text)) == Set((1...20).filter { $0 != 7 }.map(String.init)))
        #expect(stage.broker.violations.isEmpty)
    }

    @Test("a command that comes twice, or over two connections, reaches the node and is acknowledged each time")
    func commands() async throws {
        let stage = try await UplinkStage()
        try await stage.broker.log.line(containing: "SUBSCRIBE #1 ")
        let node = try await MosquittoSubscriber.start(
            .init(port: try stage.gateway.port(), clientID: "lamp"),
            topics: ["nodes/lamp/cmd/#"]
        )
        stage.broker.send("sites/attic/lamp/cmd/on", "once", qos: 0, to: "attic")
        stage.broker.send("sites/attic/lamp/cmd/on", "twice", to: "attic", copies: 2)
        _ = try await stage.broker.log.lines(count: 2) { $0.hasPrefix("PUBACK #1 id=1 ") }
        stage.broker.stop()
        stage.broker.send("sites/attic/lamp/cmd/on", "later", to: "attic")
        try stage.broker.start()
        try await stage.broker.log.line(containing: "PUBACK #2 id=2 ")
        let came = try await node.messages(4)
        #expect(came.map(\.payload) == ["once", "twice", "twice", "later"])
        #expect(came.allSatisfy { $0.topic == "nodes/lamp/cmd/on" })
        #expect(stage.broker.violations.isEmpty)
    }
}
