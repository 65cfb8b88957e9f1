import Gateway
import Logging
import Store
import Synchronization
import TestSupport
import Testing

/// A gateway in this process whose disk fails on command, and nodes on real sockets.
@Suite("Failed commits", .serialized)
struct FailedCommitTests {
    /// What every step of the store answers from now on.
    private final class Disk: Sendable {
        private static let full: Int32 = 13
        private let isFull = Atomic(false)

        func fill() { self.isFull.store(true, ordering: .relaxed) }
        func free() { self.isFull.store(false, ordering: .relaxed) }
        var answer: Int32 { self.isFull.load(ordering: .relaxed) ? Self.full : 0 }
    }

    private func start(
        spool: String = "",
        _ body: (Int, Disk, Gateway) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        let configuration = try GatewayConfiguration.parse(
            """
            [gateway]
            name = "attic"
            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            anonymous = "guest"
            [profile.guest]
            publish = ["nodes/#"]
            [uplink.cloud]
            address = "mqtt://127.0.0.1:1"
            \(spool)
            [[route]]
            direction = "out"
            from = "nodes/#"
            to = "out/#"
            uplink = "cloud"
            """,
            directory: directory.path
        )
        let disk = Disk()
        var options = StoreOptions()
        options.fault = { _ in disk.answer }
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let gateway = Gateway(configuration: configuration, storeOptions: options, logger: logger)
        do {
            let port = try await gateway.start()[0].port
            try await body(port, disk, gateway)
        } catch {
            await gateway.stop()
            throw error
        }
        await gateway.stop()
    }

    /// PUBLISH of "x" on nodes/a, QoS 1 unless said otherwise.
    private func publish(_ packetID: String, firstByte: String = "32") -> String {
        "\(firstByte) 0d 0007 6e6f6465732f61 \(packetID) 7878"
    }

    // [MQTT-4.8.0-2 of 3.1.1]
    @Test("a full disk closes the connection without an acknowledgement, and when there is room again all goes on")
    func fullDisk() async throws {
        try await self.start { port, disk, gateway in
            let first = try RawMQTTClient(port: port, clientID: "n")
            try first.send(self.publish("0001"))
            try first.expect("40 02 0001")
            disk.fill()
            try first.send(self.publish("0002"))
            try first.expectClose()
            let during = try RawMQTTClient(port: port, clientID: "n")
            try during.send(self.publish("0002", firstByte: "3a"))
            try during.expectClose()
            disk.free()
            let after = try RawMQTTClient(port: port, clientID: "n")
            try after.send(self.publish("0002", firstByte: "3a"))
            try after.expect("40 02 0002")
            let counters = try #require(await gateway.counters())
            #expect(counters.failedCommits >= 2)
        }
    }

    @Test("what a failed commit did not keep does not fill the spool")
    func accounting() async throws {
        try await self.start(spool: "spool = { max_messages = 3, when_full = \"reject\" }") { port, disk, _ in
            disk.fill()
            for _ in 0..<6 {
                let node = try RawMQTTClient(port: port, clientID: "n")
                try node.send(self.publish("0001"))
                try node.expectClose()
            }
            disk.free()
            let node = try RawMQTTClient(port: port, clientID: "n")
            for number in 1...3 {
                try node.send(self.publish("000\(number)"))
                try node.expect("40 02 000\(number)")
            }
            try node.send(self.publish("0004"))
            try node.expectClose()
        }
    }

    @Test("a spool that drops its oldest drops no more than it must")
    func dropOldest() async throws {
        try await self.start(spool: "spool = { max_messages = 5, when_full = \"drop-oldest\" }") { port, _, gateway in
            let node = try RawMQTTClient(port: port, clientID: "n")
            for number in 1...9 {
                try node.send(self.publish("000\(number)"))
                try node.expect("40 02 000\(number)")
            }
            let counters = try #require(await gateway.counters())
            #expect(counters.droppedBySpool == 4)
        }
    }

    @Test("a QoS 2 message is recorded once, and its PUBREC comes again for a repetition")
    func exactlyOnce() async throws {
        try await self.start { port, _, gateway in
            let node = try RawMQTTClient(port: port, clientID: "n")
            try node.send(self.publish("0001", firstByte: "34"))
            try node.expect("50 02 0001")
            try node.send(self.publish("0001", firstByte: "3c"))
            try node.expect("50 02 0001")
            try node.send("62 02 0001")
            try node.expect("70 02 0001")
            let counters = try #require(await gateway.counters())
            #expect(counters.spooled == 1)
        }
    }
}
