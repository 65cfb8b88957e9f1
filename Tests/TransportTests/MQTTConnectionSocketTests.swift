import Broker
import MQTTCodec
import NIOCore
import NIOPosix
import OpenSSL
import TestSupport
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(5))) struct MQTTConnectionSocketTests {
    /// Decides about CONNECT a while after it came.
    private final class Delegate: MQTTConnectionDelegate {
        var connection: MQTTConnection?
        let isCongested = false

        func opened(_ connection: MQTTConnection, peer: TLSPeer?) { self.connection = connection }

        func received(_ connect: Connect) {
            self.connection?.context?.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(200)) {
                self.connection?.accept(connect, Acceptance())
            }
        }

        func received(_ publish: Publish) {}
        func received(_ subscribe: Subscribe) {}
        func received(_ unsubscribe: Unsubscribe) {}
        func acknowledged(packetID: UInt16, code: ReasonCode) {}
        func recorded(packetID: UInt16, code: ReasonCode) {}
        func completed(packetID: UInt16, code: ReasonCode) {}
        func released(packetID: UInt16) {}
        func hasRoomAgain() {}
        func closed(_ connection: MQTTConnection, end: MQTTConnection.End, will: Will?) { self.connection = nil }
    }

    // [MQTT-4.2.0-1]
    @Test("what a client sends behind CONNECT stays in the socket until the decision, however much it is")
    func pipelined() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let listener = try await ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        MQTTConnection(
                            configuration: .init(),
                            delegate: Delegate(),
                            burst: WriteBurst(loop: channel.eventLoop),
                            expectsTLS: false
                        )
                    )
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try RawMQTTClient(port: try #require(listener.localAddress?.port))
        let pings = 100_000
        let ping: [UInt8] = [0xC0, 0]
        try client.send(hexBytes(EmbeddedClient.v311) + [[UInt8]](repeating: ping, count: pings).flatMap { $0 })
        try client.expect("20020000")
        let answers = try client.receive(2 * pings)
        #expect(answers == [[UInt8]](repeating: [0xD0, 0], count: pings).flatMap { $0 })
        try await listener.close()
    }

    @Test(
        "what a client sends behind CONNECT, and closes, is published when the decision is made",
        arguments: [SocketSite.Wire.tcp, .webSocket]
    )
    func closedEarly(wire: SocketSite.Wire) async throws {
        let server = try await SocketSite.Server(wire, decisionTime: .milliseconds(200))
        do {
            let client = try RawMQTTClient(port: server.port)
            let mqtt = hexBytes(EmbeddedClient.v311 + "30 04 0001 61 31  30 04 0001 62 32")
            if wire.isWebSocket {
                try client.send(Array(SocketSite.request.utf8))
                // Whoever closes with something unread sends a reset.
                var response: [UInt8] = []
                while response.suffix(4) != [13, 10, 13, 10] {
                    let next = try client.receive(1)
                    try #require(!next.isEmpty)
                    response += next
                }
            }
            try client.send(wire.isWebSocket ? WebSocketFrames.frame(WebSocketFrames.binary, mqtt) : mqtt)
        }
        _ = try await server.log.line(containing: "closed: normal")
        #expect(server.log.lines == ["published: a", "published: b", "closed: normal"])
        try await server.listener.close()
    }
}
