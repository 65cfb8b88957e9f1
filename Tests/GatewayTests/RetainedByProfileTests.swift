import Gateway
import Logging
import TestSupport
import Testing

/// A gateway in this process whose guests may have nothing retained, and clients on real sockets.
@Suite("A profile without retained messages")
struct RetainedByProfileTests {
    private func start(_ body: (Int) throws -> Void) async throws {
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
            subscribe = ["nodes/#"]
            retain = false
            """,
            directory: directory.path
        )
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let gateway = Gateway(configuration: configuration, logger: logger)
        do {
            try body(try await gateway.start()[0].port)
        } catch {
            await gateway.stop()
            throw error
        }
        await gateway.stop()
    }

    @Test("a client of 5.0 is told so, and a will or a message that is to be retained is refused [MQTT-3.2.2-13]")
    func v5() async throws {
        try await self.start { port in
            let will = try RawMQTTClient(port: port)
            try will.send("10 1b 0004 4d515454 05 26 003c 00 0001 77 00 0007 6e6f6465732f77 0001 78")
            try will.expect("20 03 00 9a 00")
            try will.expectClose()
            let message = try RawMQTTClient(port: port)
            try message.send("10 0e 0004 4d515454 05 02 003c 00 0001 6d")
            let (first, body) = try message.receivePacket()
            #expect(first == 0x20 && zip(body, body.dropFirst()).contains { $0 == (0x25, 0) })  // Retain Available
            try message.send("31 0b 0007 6e6f6465732f61 00 78")  // [MQTT-3.2.2-14]
            try message.expect("e0 01 9a")
            try message.expectClose()
        }
    }

    @Test("a client of 3.1.1 can't be told: its message goes on, and is not retained")
    func v311() async throws {
        try await self.start { port in
            let client = try RawMQTTClient(port: port, clientID: "n")
            try client.send("82 0c 0001 0007 6e6f6465732f61 00")
            try client.expect("90 03 0001 00")
            try client.send("31 0a 0007 6e6f6465732f61 78")
            try client.expect("30 0a 0007 6e6f6465732f61 78")
            try client.send("82 0c 0002 0007 6e6f6465732f61 00  c0 00")
            try client.expect("90 03 0002 00  d0 00")
        }
    }
}
