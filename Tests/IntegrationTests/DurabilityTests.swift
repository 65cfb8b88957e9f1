import Foundation
import TestSupport
import Testing

/// Nothing acknowledged is lost, and an end is an orderly one.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct DurabilityTests {
    /// A gateway with one plain device, `lamp`, whose outside broker is to listen on `port`.
    private func home(port: Int) async throws -> GatewayProcess.Home {
        let home = try GatewayProcess.Home(configuration: SiteConfiguration.plain(port: port).text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        return home
    }

    @Test("10,000 messages accepted while the uplink is down survive SIGKILL and arrive in order, none missing")
    func tenThousand() async throws {
        let port = try FreePort.next()
        let home = try await self.home(port: port)
        let first = try await home.start()
        let messages = (1...10_000).map { "message \($0)" }
        let node = MosquittoTarget(port: try first.port())
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", lines: messages)
        #expect(sent.exit == .status(0), "\(sent.all)")
        try await first.kill()

        let broker = try await Mosquitto.start(.init(), ports: [port])
        let outside = try await MosquittoSubscriber.start(.init(port: port), topics: ["sites/#"])
        let second = try await home.start()
        let received = try await outside.messages(10_000)
        #expect(received.map(\.payload) == messages)
        #expect(received.allSatisfy { $0.topic == "sites/attic/lamp/data" && $0.qos == 1 })
        #expect(try await second.stop() == .status(0))
        try await broker.stop()
    }

    @Test("SIGKILL in the middle loses nothing that was acknowledged, and the order holds")
    func killedWhileSending() async throws {
        let broker = try await Mosquitto.start()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let home = try await self.home(port: broker.port)
        let first = try await home.start()
        // One message at a time, so that the test knows which were acknowledged.
        let client = try RawMQTTClient(port: try first.port(), clientID: "lamp")
        var acknowledged = 0
        for number in 1...500 {
            let text = Array("\(number)".utf8)
            let topic = Array("nodes/lamp/data".utf8)
            let id = [UInt8(number >> 8), UInt8(number & 0xFF)]
            let body = [0, UInt8(topic.count)] + topic + id + text
            try client.send([0x32, UInt8(body.count)] + body)
            if number <= 400 {
                try client.expect("40 02" + hexText(id))
                acknowledged = number
            }
        }
        try await first.kill()
        let second = try await home.start()
        let node = MosquittoTarget(port: try second.port())
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: "end")
        try await outside.message(payload: "end")
        // At least once: a message may come twice, but its first arrivals are in order and without a gap.
        var firstArrivals: [Int] = []
        for number in outside.received.compactMap({ Int($0.payload) }) where !firstArrivals.contains(number) {
            firstArrivals.append(number)
        }
        #expect(firstArrivals.count >= acknowledged)
        #expect(firstArrivals == Array(1...max(1, firstArrivals.count)))
        #expect(try await second.stop() == .status(0))
    }

    @Test("an outside broker that goes away and comes back gets everything, in order")
    func brokerRestarts() async throws {
        let broker = try await Mosquitto.start()
        let home = try await self.home(port: broker.port)
        let gateway = try await home.start()
        let node = MosquittoTarget(port: try gateway.port())
        let before = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        let lines = (1...100).map(String.init)
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", lines: lines)
        _ = try await before.messages(100)
        try await broker.kill()
        try await gateway.logged("uplink down")
        let sent = try await MosquittoPublisher.publish(
            node,
            topic: "nodes/lamp/data",
            lines: (101...300).map(String.init)
        )
        #expect(sent.exit == .status(0))
        let again = try await Mosquitto.start(.init(), ports: broker.ports)
        let after = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        // The gateway may be back before the subscriber, which then misses the beginning, or all but one more message.
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: "301")
        try await after.message(payload: "301")
        let numbers = after.received.compactMap { Int($0.payload) }
        #expect(numbers == Array((numbers.first ?? 0)...301))
        try await again.stop()
    }

    @Test("a retained message outside that is over the limit is dropped and told, and holds nothing up")
    func oversizedOutside() async throws {
        let broker = try await Mosquitto.start()
        let target = MosquittoTarget(port: broker.port)
        let topic = "sites/attic/lamp/cmd/firmware"
        let firmware = String(repeating: "x", count: 300_000)
        let retained = try await MosquittoPublisher.publish(target, topic: topic, payload: firmware, retain: true)
        #expect(retained.exit == .status(0), "\(retained.errors)")
        let outside = try await MosquittoSubscriber.start(target, topics: ["sites/attic/lamp/data"])
        let gateway = try await self.home(port: broker.port).start()
        try await gateway.logged("over the limit and was dropped", "cloud")
        let node = MosquittoTarget(port: try gateway.port())
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", payload: "21.5")
        try await outside.message(payload: "21.5")
        #expect(try await gateway.stop() == .status(0))
    }

    @Test("SIGTERM drains and ends with 0", arguments: [true, false])
    func sigterm(isUp: Bool) async throws {
        let port = try FreePort.next()
        let broker = isUp ? try await Mosquitto.start(.init(), ports: [port]) : nil
        let home = try await self.home(port: port)
        let gateway = try await home.start()
        let node = MosquittoTarget(port: try gateway.port())
        let idle = try RawMQTTClient(port: try gateway.port(), clientID: "idle")
        let lines = (1...200).map(String.init)
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", lines: lines)
        #expect(try await gateway.stop() == .status(0))
        try idle.expectClose()
        for (path, mode) in [("state", 0o700), ("state/sealgate.db", 0o600)] {
            let attributes = try FileManager.default.attributesOfItem(atPath: home.directory.file(path))
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == mode, "\(path)")
        }
        withExtendedLifetime(broker) {}
    }

    @Test("SIGKILL while the spool drains loses nothing, and the order holds")
    func killedWhileDraining() async throws {
        let port = try FreePort.next()
        let home = try await self.home(port: port)
        let first = try await home.start()
        let node = MosquittoTarget(port: try first.port())
        let messages = (1...5_000).map(String.init)
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", lines: messages)
        #expect(sent.exit == .status(0))
        try await first.kill()
        let broker = try await Mosquitto.start(.init(), ports: [port])
        let outside = try await MosquittoSubscriber.start(.init(port: port), topics: ["sites/#"])
        let second = try await home.start()
        _ = try await outside.messages(500)
        try await second.kill()
        let third = try await home.start()
        try await outside.message(payload: "5000")
        var seen: Set<Int> = []
        let firstArrivals = outside.received.compactMap { Int($0.payload) }.filter { seen.insert($0).inserted }
        #expect(firstArrivals == Array(1...5_000))
        #expect(try await third.stop() == .status(0))
        try await broker.stop()
    }

    @Test("a damaged database is set aside and told, and the gateway starts with a new one")
    func damagedDatabase() async throws {
        let broker = try await Mosquitto.start()
        let home = try await self.home(port: broker.port)
        try home.directory.write("state/sealgate.db", String(repeating: "this is no database. ", count: 1000))
        let gateway = try await home.start()
        try await gateway.logged("error", "sealgate.db")
        let names = try FileManager.default.contentsOfDirectory(atPath: home.directory.file("state"))
        #expect(names.contains { $0.hasPrefix("sealgate.db") && $0.contains("damaged") }, "\(names)")
        try await home.importDevices(SiteDevices.plain("fan"))
        #expect(try await gateway.stop() == .status(0))
    }

    @Test("one uplink that is down keeps nothing from the other")
    func twoUplinks() async throws {
        let broker = try await Mosquitto.start()
        var configuration = SiteConfiguration.plain(port: 1)
        configuration.extra = """
            [uplink.second]
            address = ["mqtt://127.0.0.1:1", "mqtt://127.0.0.1:\(broker.port)"]
            client_id = "attic-second"
            state_topic = false

            [[route]]
            direction = "out"
            from = "nodes/%d/#"
            to = "copies/%d/#"
            uplink = "second"
            qos = 1
            """
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        let gateway = try await home.start()
        let outside = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["#"])
        let node = MosquittoTarget(port: try gateway.port())
        let lines = (1...500).map(String.init)
        let sent = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/data", lines: lines)
        #expect(sent.exit == .status(0))
        let received = try await outside.messages(500)
        #expect(received.map(\.payload) == lines)
        #expect(received.allSatisfy { $0.topic == "copies/lamp/data" })
    }
}
