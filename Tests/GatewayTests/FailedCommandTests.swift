import Devices
import Gateway
import Logging
import NIOCore
import Sealing
import Store
import Synchronization
import TestSupport
import Testing

/// A sealed node and its commands, in this process and on real sockets, over a disk that fails on command.
@Suite("Failed commits of sealed commands", .serialized, .timeLimit(.minutes(5)))
struct FailedCommandTests {
    private final class Disk: Sendable {
        private static let full: Int32 = 13
        private let isFull = Atomic(false)

        func fill() { self.isFull.store(true, ordering: .relaxed) }
        func free() { self.isFull.store(false, ordering: .relaxed) }
        var answer: Int32 { self.isFull.load(ordering: .relaxed) ? Self.full : 0 }
    }

    private static let topic = "nodes/k/cmd/light"

    private func start(_ body: (_ node: Int, _ guest: Int, Disk, V1Keys, Gateway) async throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        let configuration = try GatewayConfiguration.parse(
            """
            [gateway]
            name = "attic"
            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            anonymous = true
            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            anonymous = "guest"
            [profile.guest]
            publish = ["nodes/+/cmd/#"]
            [profile.sensor]
            seal = "v1"
            publish = ["nodes/%d/#"]
            subscribe = ["nodes/%d/cmd/#"]
            """,
            directory: directory.path
        )
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let store = try Store.open(directory: directory.path + "/state", access: .gateway, logger: logger)
        var device = Device(id: try DeviceID("k"), profile: "sensor")
        let keys = V1Keys.random()
        device.v1Keys = keys
        try store.insert(device)
        store.close()
        let disk = Disk()
        var options = StoreOptions()
        options.fault = { _ in disk.answer }
        let gateway = Gateway(configuration: configuration, storeOptions: options, logger: logger)
        do {
            let listeners = try await gateway.start()
            try await body(listeners[0].port, listeners[1].port, disk, keys, gateway)
        } catch {
            await gateway.stop()
            throw error
        }
        await gateway.stop()
    }

    // MARK: MQTT 3.1.1

    private static func text(_ text: String) -> [UInt8] { [0, UInt8(text.utf8.count)] + text.utf8 }

    private static func publish(_ topic: String, _ payload: String, id: UInt8?) -> [UInt8] {
        let body = Self.text(topic) + (id.map { [0, $0] } ?? []) + payload.utf8
        return [id == nil ? 0x30 : 0x32, UInt8(body.count)] + body
    }

    private func node(port: Int, clean: Bool) throws -> RawMQTTClient {
        let client = try RawMQTTClient(port: port)
        let body = Self.text("MQTT") + [4, clean ? 2 : 0, 0, 0] + Self.text("k")
        try client.send([0x10, UInt8(body.count)] + body)
        try client.expect("20 02 00 00")
        let filter = [0, 1] + Self.text("nodes/k/cmd/#") + [1]
        try client.send([0x82, UInt8(filter.count)] + filter)
        try client.expect("90 03 0001 01")
        return client
    }

    private func send(_ command: String, port: Int) throws {
        let guest = try RawMQTTClient(port: port, clientID: "guest")
        try guest.send(Self.publish(Self.topic, command, id: 1))
        try guest.expect("40 02 0001")
    }

    /// The next PUBLISH, opened under `session`.
    private func command(_ node: RawMQTTClient, _ keys: V1Keys, session: String) throws -> String {
        let (first, body) = try node.receivePacket()
        #expect(first & 0xF7 == 0x32)
        let length = Int(body[1])
        try node.send([0x40, 2] + body[(2 + length)..<(4 + length)])
        let payload = ByteBuffer(bytes: body.dropFirst(4 + length))
        let opened = try V1Cipher(keys: keys).open(payload, nodeID: Array("k".utf8), sessionIDs: [Array(session.utf8)])
        return String(buffer: opened.data)
    }

    private func expectNothing(_ node: RawMQTTClient) throws {
        try node.send("c0 00")
        try node.expect("d0 00")
    }

    @Test(
        "nothing leaves before the use of its session ID is on disk; a session that ends with its connection needs another ID"
    )
    func clean() async throws {
        try await self.start { nodePort, guestPort, disk, keys, gateway in
            let node = try self.node(port: nodePort, clean: true)
            try self.send("on", port: guestPort)
            disk.fill()
            try node.send(Self.publish(Self.topic + "/sessionID", "first", id: nil))
            try await eventually { await gateway.counters()?.failedCommits ?? 0 > 0 }
            try self.expectNothing(node)
            disk.free()
            try node.send(Self.publish(Self.topic + "/sessionID", "second", id: nil))
            #expect(try self.command(node, keys, session: "second") == "on")
            // What failed to be written counts as used all the same.
            try self.send("off", port: guestPort)
            try node.send(Self.publish(Self.topic + "/sessionID", "first", id: nil))
            try self.expectNothing(node)
            try node.send(Self.publish(Self.topic + "/sessionID", "third", id: nil))
            #expect(try self.command(node, keys, session: "third") == "off")
        }
    }

    @Test("to a session that is kept the sealed command goes when there is room again, once")
    func kept() async throws {
        try await self.start { nodePort, guestPort, disk, keys, gateway in
            let node = try self.node(port: nodePort, clean: false)
            try self.send("on", port: guestPort)
            disk.fill()
            try node.send(Self.publish(Self.topic + "/sessionID", "first", id: nil))
            try await eventually { await gateway.counters()?.failedCommits ?? 0 > 0 }
            try self.expectNothing(node)
            disk.free()
            #expect(try self.command(node, keys, session: "first") == "on")
            try node.send(Self.publish(Self.topic + "/sessionID", "second", id: nil))
            try self.expectNothing(node)
            let counters = try #require(await gateway.counters())
            #expect(counters.commandsSealed == 1 && counters.commandsDropped == 0)
        }
    }

    @Test("a command that could not be written is not acknowledged, and is not sent either")
    func unwritten() async throws {
        try await self.start { nodePort, guestPort, disk, keys, _ in
            let node = try self.node(port: nodePort, clean: false)
            try node.send(Self.publish(Self.topic + "/sessionID", "first", id: 7))
            try node.expect("40 02 0007")
            disk.fill()
            let guest = try RawMQTTClient(port: guestPort, clientID: "guest")
            try guest.send(Self.publish(Self.topic, "on", id: 1))
            try guest.expectClose()
            try self.expectNothing(node)
            disk.free()
            try self.send("on", port: guestPort)
            #expect(try self.command(node, keys, session: "first") == "on")
            try self.expectNothing(node)
        }
    }
}
