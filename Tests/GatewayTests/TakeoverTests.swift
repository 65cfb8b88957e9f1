import Devices
import Gateway
import Logging
import Store
import TestSupport
import Testing

/// A device with as many connections as it may have, in this process and on real sockets.
@Suite("Taking over", .timeLimit(.minutes(5)))
struct TakeoverTests {
    private static let password = "correct horse battery"

    private func start(_ body: (Int) async throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        let configuration = try GatewayConfiguration.parse(
            """
            [gateway]
            name = "attic"
            [limits]
            max_connections_per_device = 1
            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            password = true
            [profile.plain]
            publish = ["nodes/%d/#"]
            """,
            directory: directory.path
        )
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let store = try Store.open(directory: directory.path + "/state", access: .gateway, logger: logger)
        var kitchen = Device(id: try DeviceID("kitchen"), profile: "plain")
        kitchen.password = try PasswordHash.make(of: Array(Self.password.utf8))
        try store.insert(kitchen)
        store.close()
        let gateway = Gateway(configuration: configuration, logger: logger)
        do {
            try await body(try await gateway.start()[0].port)
        } catch {
            await gateway.stop()
            throw error
        }
        await gateway.stop()
    }

    /// CONNECT of the kitchen with MQTT 3.1.1, answered with this code.
    private func connect(_ clientID: String, port: Int, answer: String = "00") throws -> RawMQTTClient {
        let client = try RawMQTTClient(port: port)
        let fields = [clientID, "kitchen", Self.password].flatMap { text -> [UInt8] in
            [0, UInt8(text.utf8.count)] + Array(text.utf8)
        }
        let body = hexBytes("0004 4d515454 04 c2 0000") + fields
        try client.send([0x10, UInt8(body.count)] + body)
        try client.expect("2002 00 \(answer)")
        return client
    }

    @Test("a device with one connection takes over its own, again and again, and has no second one")
    func one() async throws {
        try await self.start { port in
            var client = try self.connect("a", port: port)
            for _ in 0..<3 {
                let next = try self.connect("a", port: port)
                try client.expectClose()
                client = next
                // Server unavailable.
                try self.connect("b", port: port, answer: "03").expectClose()
            }
            try client.send("c000")
            try client.expect("d000")
            try client.send("e000")
            try client.expectClose()
            let other = try self.connect("b", port: port)
            try self.connect("a", port: port, answer: "03").expectClose()
            try other.send("c000")
            try other.expect("d000")
        }
    }
}
