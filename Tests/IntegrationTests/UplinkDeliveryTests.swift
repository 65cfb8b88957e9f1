import Foundation
import TestSupport
import Testing

/// How an uplink hands messages over: when it acknowledges, in what order it sends, and what it gives up.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct UplinkDeliveryTests {
    private static let endToEnd = ["acknowledge = \"end-to-end\"", "keep_alive = \"5s\""]

    /// Bytes that the process has had written to a disk.
    private func bytesWritten(_ stage: UplinkStage) throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(stage.gateway.pid)/io", encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("write_bytes: ") })
        return try #require(Int(line.dropFirst("write_bytes: ".count)))
    }

    // MARK: End to end

    @Test("end to end: nothing is written while the outside broker acknowledges")
    func nothingWritten() async throws {
        let stage = try await UplinkStage(uplink: Self.endToEnd)
        try await stage.gateway.logged("uplink connected")
        let before = try self.bytesWritten(stage)
        try await stage.publish(1...500)
        try await stage.expectAll(1...500)
        #expect(try self.bytesWritten(stage) == before)
    }

    @Test("end to end: a node waits for the outside broker, and for the disk when that takes too long")
    func patience() async throws {
        var script = BrokerScript()
        script.acknowledging = .never
        let stage = try await UplinkStage(script, uplink: Self.endToEnd + ["patience = \"200ms\""])
        try await stage.gateway.logged("uplink connected")
        // Acknowledged by the disk; the outside broker never does.
        try await stage.publish(1...20)
        stage.broker.change { $0.acknowledging = .atOnce }
        let again = try await stage.killed()
        try await again.publish(21...21)
        try await again.expectAll(1...21)
    }

    @Test("end to end: what was not acknowledged to the node when the link ended is acknowledged from the disk")
    func linkEnds() async throws {
        var script = BrokerScript()
        script.acknowledging = .held
        let stage = try await UplinkStage(script, uplink: Self.endToEnd + ["patience = \"60s\""])
        try await stage.gateway.logged("uplink connected")
        async let publishing: Void = stage.publish(1...50)
        _ = try await stage.broker.log.line(containing: "= 10")
        stage.broker.change { $0.acknowledging = .atOnce }
        stage.broker.stop()
        try await publishing
        let again = try await stage.killed()
        try again.broker.start()
        try await again.expectAll(1...50)
    }

    @Test("end to end: a message of a client leaves the queue of acknowledgements in the order in which it came")
    func order() async throws {
        var script = BrokerScript()
        script.acknowledging = .reversed(10)
        let stage = try await UplinkStage(script, uplink: Self.endToEnd)
        try await stage.gateway.logged("uplink connected")
        let node = try RawMQTTClient(port: try stage.gateway.port(), clientID: "node")
        // PUBLISH at QoS 1 on nodes/lamp/data.
        for number in 1...10 as ClosedRange<UInt8> {
            try node.send([0x32, 0x14, 0x00, 0x0F] + Array("nodes/lamp/data".utf8) + [0x00, number, 0x31])
        }
        for number in 1...10 as ClosedRange<UInt8> { #expect(try node.receive(4) == [0x40, 2, 0, number]) }
    }

    @Test("end to end: what is written at once does not displace what waits in memory, nor is displaced by it")
    func writtenBehindUnwritten() async throws {
        var script = BrokerScript()
        script.acknowledging = .held
        let always = """
            [[route]]
            direction = "out"
            from = "nodes/%d/sure"
            to = "sites/%g/%d/sure"
            uplink = "cloud"
            qos = 2
            """
        let uplink = Self.endToEnd + ["patience = \"60s\"", "in_flight = 2"]
        let stage = try await UplinkStage(script, uplink: uplink, firstRoute: always)
        try await stage.gateway.logged("uplink connected")
        async let waiting: Void = stage.publish(1...5)
        try await stage.broker.log.line(containing: "= 2")
        // Committed while the others wait in memory, and acknowledged.
        try await stage.publish(6...6, topic: "nodes/lamp/sure")
        stage.broker.change { $0.acknowledging = .atOnce }
        stage.broker.release()
        try await waiting
        try await stage.broker.taken(payload: "6")
        #expect(Set(stage.broker.taken.compactMap { Int($0.text) }) == Set(1...6))
    }

    @Test("end to end: a message at QoS 2 is not answered for after a crash unless it is on disk")
    func exactlyOnceInMemory() async throws {
        var script = BrokerScript()
        script.acknowledging = .never
        let stage = try await UplinkStage(script, uplink: Self.endToEnd + ["patience = \"60s\""])
        try await stage.gateway.logged("uplink connected")
        let node = MosquittoTarget(port: try stage.gateway.port(), clientID: "lamp")
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: "1", qos: 2)
        #expect(sent.exit == .status(0), "\(sent.all)")
        let again = try await stage.killed()
        again.broker.change { $0.acknowledging = .atOnce }
        try await again.publish(2...2)
        try await again.broker.taken(payload: "2")
        #expect(Set(again.broker.taken.compactMap { Int($0.text) }) == [1, 2])
    }

    // MARK: Order

    @Test("newest first: what has waited comes from the newest to the oldest")
    func newestFirst() async throws {
        let stage = try await UplinkStage(uplink: ["order = \"newest-first\"", "in_flight = 5"])
        try await stage.gateway.logged("uplink connected")
        stage.broker.stop()
        try await stage.gateway.logged("uplink down")
        try await stage.publish(1...200)
        // After a restart nothing is in memory.
        let again = try await stage.killed()
        try again.broker.start()
        let came = try await again.broker.taken(200).compactMap { Int($0.text) }
        #expect(came == Array((1...200).reversed()))
        #expect(again.broker.violations.isEmpty)
        try await again.publish(201...210)
        let all = try await again.broker.taken(210).compactMap { Int($0.text) }
        #expect(all.suffix(10) == Array(201...210))
    }

    @Test(
        "newest first: in each outage the newest of a topic keeps its RETAIN flag, and no older one",
        arguments: [1, 2]
    )
    func newestFirstRetained(outages: Int) async throws {
        let stage = try await UplinkStage(uplink: ["order = \"newest-first\""])
        let node = MosquittoTarget(port: try stage.gateway.port())
        func publish(_ payload: String) async throws {
            let topic = "nodes/lamp/data"
            let sent = try await MosquittoPublisher.publish(node, topic: topic, payload: payload, retain: true)
            #expect(sent.exit == .status(0), "\(sent.all)")
        }
        try await stage.broker.connected(1)
        try await publish("live")
        #expect(try await stage.broker.taken(payload: "live")?.retain == true)
        for outage in 1...outages {
            stage.broker.stop()
            try await publish("\(outage) old")
            try await publish("\(outage) new")
            try stage.broker.start()
            #expect(try await stage.broker.taken(payload: "\(outage) old")?.retain == false)
            #expect(try await stage.broker.taken(payload: "\(outage) new")?.retain == true)
        }
    }

    @Test("what is urgent goes before what waits")
    func priority() async throws {
        var script = BrokerScript()
        script.acknowledging = .held
        let urgent = """
            [[route]]
            direction = "out"
            from = "nodes/%d/alarm"
            to = "alarms/%d"
            uplink = "cloud"
            priority = "high"
            """
        let stage = try await UplinkStage(script, uplink: ["in_flight = 2"], firstRoute: urgent)
        try await stage.gateway.logged("uplink connected")
        try await stage.publish(1...20)
        try await stage.publish(100...100, topic: "nodes/lamp/alarm")
        stage.broker.change { $0.acknowledging = .atOnce }
        stage.broker.release()
        try await stage.broker.taken(payload: "20")
        let came = stage.broker.taken.compactMap { Int($0.text) }
        #expect(came == [1, 2, 100] + Array(3...20))
    }

    // MARK: Dead letters

    @Test("a message over the provider's limits goes to the dead letters, and the link stays")
    func providerLimit() async throws {
        let stage = try await UplinkStage(uplink: ["max_payload = \"100B\"", "max_topic_levels = 4"])
        try await stage.gateway.logged("uplink connected")
        let node = MosquittoTarget(port: try stage.gateway.port())
        let long = String(repeating: "x", count: 101)
        #expect(try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: long).exit == .status(0))
        try await stage.gateway.logged("dead letters", "payload of 101 bytes")
        #expect(try await MosquittoPublisher.publish(node, topic: "nodes/lamp/a/b/c", payload: "x").exit == .status(0))
        try await stage.gateway.logged("dead letters", "levels")
        try await stage.publish(1...10)
        try await stage.expectAll(1...10)
        #expect(stage.broker.connections == 1)
    }

    @Test("a message that the outside broker refuses three times goes to the dead letters, and the rest arrives")
    func refused() async throws {
        let script = BrokerScript(.init(payload: "7", .refuse(0x99, reason: "no such payload")))
        let stage = try await UplinkStage(script, uplink: ["protocol = \"5\""])
        try await stage.publish(1...20)
        try await stage.gateway.logged("dead letters", "no such payload")
        try await stage.broker.taken(payload: "20")
        #expect(Set(stage.broker.taken.compactMap { Int($0.text) }) == Set(1...20).subtracting([7]))
        #expect(stage.broker.messages.count { $0.text == "7" } == 3)
        #expect(stage.broker.connections == 1)
        // Acknowledged, so the dead letter before it is on disk too; a restart does not bring it back.
        try await stage.publish(21...21)
        let again = try await stage.killed()
        try await again.publish(22...22)
        try await again.broker.taken(payload: "22")
        #expect(again.broker.messages.count { $0.text == "7" } == 3)
    }

    @Test("a message that the outside broker closes on goes to the dead letters, and the rest arrives")
    func closedOn() async throws {
        let script = BrokerScript(.init(payload: "7", .close))
        let stage = try await UplinkStage(script, uplink: ["keep_alive = \"5s\"", "dead_after = 2"])
        try await stage.publish(1...20)
        try await stage.gateway.logged("dead letters", "connections in a row")
        try await stage.broker.taken(payload: "20")
        #expect(Set(stage.broker.taken.compactMap { Int($0.text) }) == Set(1...20).subtracting([7]))
    }

    @Test("a packet over the outside broker's Maximum Packet Size goes to the dead letters")
    func maximumPacketSize() async throws {
        var script = BrokerScript()
        script.limits = [.number(WireProperty.maximumPacketSize, 200)]
        let stage = try await UplinkStage(script, uplink: ["protocol = \"5\""])
        try await stage.gateway.logged("uplink connected")
        let node = MosquittoTarget(port: try stage.gateway.port())
        let long = String(repeating: "x", count: 300)
        #expect(try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: long).exit == .status(0))
        try await stage.gateway.logged("dead letters", "200 bytes")
        try await stage.publish(1...5)
        try await stage.expectAll(1...5)
    }

    // MARK: Limits of the spool

    @Test("a disk that is nearly full counts as a full spool, and an MQTT 5.0 client is told")
    func nearlyFullDisk() async throws {
        let spool = "spool = { when_full = \"reject\", min_free = \"1000000GiB\" }"
        let stage = try await UplinkStage(uplink: [spool])
        try await stage.gateway.logged("the disk is nearly full")
        var node = MosquittoTarget(port: try stage.gateway.port())
        node.options = ["-V", "5", "-d"]
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: "1")
        #expect(sent.all.contains("Quota exceeded"), "\(sent.all)")
        #expect(stage.broker.messages.isEmpty)
    }

    @Test("a message that outlives its route's ttl while the link is down is not sent any more")
    func timeToLive() async throws {
        let shortLived = """
            [[route]]
            direction = "out"
            from = "nodes/%d/now"
            to = "sites/%g/%d/now"
            uplink = "cloud"
            ttl = "1s"

            [[route]]
            direction = "out"
            from = "nodes/%d/later"
            to = "sites/%g/%d/later"
            uplink = "cloud"
            ttl = "1h"
            """
        let stage = try await UplinkStage(uplink: ["protocol = \"5\""], firstRoute: shortLived)
        try await stage.gateway.logged("uplink connected")
        stage.broker.stop()
        try await stage.gateway.logged("uplink down")
        try await stage.publish(1...5, topic: "nodes/lamp/now")
        try await stage.publish(6...6)
        try await Task.sleep(for: .seconds(1.1))  // Their whole life.
        try stage.broker.start()
        try await stage.broker.taken(payload: "6")
        #expect(stage.broker.messages.compactMap { Int($0.text) } == [6])
        // One second may be too short for a live message on a busy machine.
        try await stage.publish(7...7, topic: "nodes/lamp/later")
        let live = try await stage.broker.taken(payload: "7")
        #expect(live?.properties.contains { $0.id == WireProperty.messageExpiry } == true)
    }

    // MARK: QoS 2

    @Test("QoS 2: exactly once, over cuts of the link and crashes of the gateway")
    func exactlyOnce() async throws {
        let stage = try await UplinkStage(uplink: ["protocol = \"5\"", "in_flight = 10"], qos: 2)
        try await stage.gateway.logged("uplink connected")
        try await stage.publish(1...100)
        stage.broker.cut()
        try await stage.publish(101...200)
        let again = try await stage.killed()
        try await again.publish(201...300)
        again.broker.cut()
        try await again.broker.taken(payload: "300")
        #expect(again.broker.taken.compactMap { Int($0.text) } == Array(1...300))
        #expect(again.broker.taken.allSatisfy { $0.qos == 2 })
        #expect(again.broker.violations.isEmpty)
    }
}
