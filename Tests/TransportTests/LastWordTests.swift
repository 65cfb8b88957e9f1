import NIOCore
import TestSupport
import Testing

@testable import Transport

/// Clients that are still sending when their connection ends, on real sockets.
@Suite(.timeLimit(.minutes(5))) struct LastWordTests {
    private typealias Server = SocketSite.Server

    @Test("hears why its connection ends, however much it has sent behind", arguments: SocketSite.Wire.allCases)
    func tooLarge(wire: SocketSite.Wire) async throws {
        let server = try await Server(wire) { $0.maxPacketBytes = 4096 }
        // A PUBLISH of 150,004 bytes.
        let mqtt = hexBytes(EmbeddedClient.v5) + hexBytes("30 f0 93 09") + [UInt8](repeating: 0, count: 150_000)
        let bytes =
            wire.isWebSocket
            ? Array(SocketSite.request.utf8) + WebSocketFrames.frame(WebSocketFrames.binary, mqtt) : mqtt
        for _ in 0..<10 {
            let received = try await SocketSite.flood(wire, port: server.port, bytes)
            let goodbye = wire.isWebSocket ? WebSocketFrames.closed(1000) : []
            #expect(received.suffix(goodbye.count) == goodbye[...])
            #expect(Array(received.dropLast(goodbye.count).suffix(3)) == hexBytes("e0 01 95"))
        }
        try await eventually { server.log.lines.count == 10 }
        #expect(Set(server.log.lines) == ["closed: misbehaved"])
        try await eventually { try await server.count == 0 }
        try await server.listener.close()
    }

    @Test("hears what is wrong with its WebSocket", arguments: [SocketSite.Wire.webSocket, .webSocketTLS])
    func webSocket(wire: SocketSite.Wire) async throws {
        let server = try await Server(wire)
        let text = WebSocketFrames.frame(0x81, Array("hello".utf8))
        let bytes = Array(SocketSite.request.utf8) + text + [UInt8](repeating: 0, count: 150_000)
        for _ in 0..<10 {
            let received = try await SocketSite.flood(wire, port: server.port, bytes)
            #expect(Array(received.suffix(4)) == WebSocketFrames.closed(1003))
        }
        try await eventually { server.log.lines.count == 10 }
        #expect(Set(server.log.lines) == ["closed: misbehaved"])
        try await server.listener.close()
    }

    @Test("holds its place while it does not close, for a bounded time")
    func silent() async throws {
        let server = try await Server(.tcp) { $0.lingerTime = .milliseconds(200) }
        let client = try RawMQTTClient(port: server.port)
        try client.send(hexBytes(EmbeddedClient.v5) + hexBytes("f7 00"))
        _ = try client.receivePacket()
        #expect(try client.receivePacket().firstByte == 0xE0)
        #expect(try client.receive(1) == [])
        _ = try await server.log.line(containing: "closed: misbehaved")
        try await eventually { try await server.count == 0 }
        // Nobody is there any more.
        try await eventually { (try? client.send("c000")) == nil }
        try await server.listener.close()
    }

    @Test("makes room at once for a client that wants its place")
    func displaced() async throws {
        let server = try await Server(.tcp, limits: .init(total: 1)) { $0.lingerTime = .minutes(10) }
        var over: [RawMQTTClient] = []
        for _ in 0..<3 {
            let client = try RawMQTTClient(port: server.port)
            try client.send(hexBytes(EmbeddedClient.v5) + hexBytes("f7 00"))
            _ = try client.receivePacket()
            #expect(try client.receivePacket().firstByte == 0xE0)
            #expect(try await server.count == 1)
            over.append(client)
        }
        let client = try RawMQTTClient(port: server.port, clientID: "node")
        try client.send("c000")
        try client.expect("d000")
        #expect(try await server.count == 1)
        try await server.listener.close()
        withExtendedLifetime(over) {}
    }

    @Test("is cut off when it sends on and on")
    func endless() async throws {
        let server = try await Server(.tcp) {
            $0.lingerTime = .minutes(10)
            $0.maxLingerBytes = 100_000
        }
        let client = try RawMQTTClient(port: server.port)
        try client.send(hexBytes(EmbeddedClient.v5) + hexBytes("f7 00"))
        _ = try client.receivePacket()
        _ = try client.receivePacket()
        try await eventually {
            (try? client.send([UInt8](repeating: 0, count: 10_000))) == nil
        }
        try await eventually { try await server.count == 0 }
        try await server.listener.close()
    }
}
