import Broker
import Logging
import MQTTCodec
import NIOCore
import NIOPosix
import OpenSSL
import TestSupport
import Testing

@testable import Transport

/// Clients that are still sending when their connection ends, on real sockets.
@Suite(.timeLimit(.minutes(1))) struct LastWordTests {
    enum Wire: CaseIterable, Sendable {
        case tcp, tls, webSocket, webSocketTLS

        var isTLS: Bool { self == .tls || self == .webSocketTLS }
        var isWebSocket: Bool { self == .webSocket || self == .webSocketTLS }
    }

    /// Lets everybody in.
    private final class Delegate: MQTTConnectionDelegate {
        let log: OutputLog
        var connection: MQTTConnection?
        let isCongested = false

        init(log: OutputLog) { self.log = log }

        func opened(_ connection: MQTTConnection, peer: TLSPeer?) { self.connection = connection }
        func received(_ connect: Connect) { self.connection?.accept(connect, Acceptance()) }
        func received(_ publish: Publish) {}
        func received(_ subscribe: Subscribe) {}
        func received(_ unsubscribe: Unsubscribe) {}
        func acknowledged(packetID: UInt16, code: ReasonCode) {}
        func recorded(packetID: UInt16, code: ReasonCode) {}
        func completed(packetID: UInt16, code: ReasonCode) {}
        func released(packetID: UInt16) {}
        func hasRoomAgain() {}
        func closed(_ connection: MQTTConnection, end: MQTTConnection.End, will: Will?) {
            self.connection = nil
            self.log.append("closed: \(end.kind)")
        }
    }

    /// Sends all it has as soon as it may, and keeps what comes until the end.
    private final class Flood: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let bytes: [UInt8]
        private let isTLS: Bool
        private let end: EventLoopPromise<[UInt8]>
        private var received: [UInt8] = []

        init(_ bytes: [UInt8], isTLS: Bool, end: EventLoopPromise<[UInt8]>) {
            self.bytes = bytes
            self.isTLS = isTLS
            self.end = end
        }

        func channelActive(context: ChannelHandlerContext) { if !self.isTLS { self.start(context) } }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is TLSHandshakeCompleted { self.start(context) }
        }

        private func start(_ context: ChannelHandlerContext) {
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: self.bytes)), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.received += Self.unwrapInboundIn(data).readableBytesView
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { self.end.fail(error) }
        func channelInactive(context: ChannelHandlerContext) { self.end.succeed(self.received) }
    }

    private static let request = """
        GET /mqtt HTTP/1.1\r
        Host: localhost\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
        Sec-WebSocket-Version: 13\r
        Sec-WebSocket-Protocol: mqtt\r
        \r

        """

    private static let key: [UInt8] = Array(1...16)

    /// A listener, and how many connections are counted.
    private struct Server {
        let listener: any Channel
        let limiter: NIOLoopBound<ConnectionLimiter>
        let log = OutputLog()

        var port: Int { self.listener.localAddress?.port ?? 0 }

        var count: Int {
            get async throws {
                try await self.listener.eventLoop.submit { self.limiter.value.count }.get()
            }
        }

        init(
            _ wire: Wire,
            limits: ConnectionLimiter.Limits = .init(),
            _ configure: (inout MQTTConnection.Configuration) -> Void = { _ in }
        ) async throws {
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            var configuration = MQTTListener.Configuration(host: "127.0.0.1", port: 0)
            configure(&configuration.connection)
            if wire.isWebSocket { configuration.webSocket = .init() }
            let settings = configuration
            let tls =
                try wire.isTLS
                ? TLSContextSource(.server(keyLookup: { $0 == Array("node".utf8) ? LastWordTests.key : nil })) : nil
            let log = self.log
            (self.limiter, self.listener) = try await loop.flatSubmit {
                let limiter = ConnectionLimiter(limits: limits)
                let bound = NIOLoopBound(limiter, eventLoop: loop)
                return MQTTListener(
                    configuration: settings,
                    tls: tls,
                    burst: WriteBurst(loop: loop),
                    limiter: limiter,
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                    makeDelegate: { Delegate(log: log) }
                ).start(on: loop).map { (bound, $0) }
            }.get()
        }
    }

    private func flood(_ wire: Wire, port: Int, _ bytes: [UInt8]) async throws -> [UInt8] {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let end = loop.makePromise(of: [UInt8].self)
        let context =
            try wire.isTLS
            ? TLSContext(.client(preSharedKey: TLSPreSharedKey(identity: Array("node".utf8), key: Self.key))) : nil
        let channel = try await ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let context { try pipeline.addHandler(TLSHandler(context: context)) }
                    try pipeline.addHandler(Flood(bytes, isTLS: context != nil, end: end))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        let received = try await end.futureResult.get()
        try? await channel.closeFuture.get()
        return received
    }

    @Test("hears why its connection ends, however much it has sent behind", arguments: Wire.allCases)
    func tooLarge(wire: Wire) async throws {
        let server = try await Server(wire) { $0.maxPacketBytes = 4096 }
        // A PUBLISH of 150,004 bytes.
        let mqtt = hexBytes(EmbeddedClient.v5) + hexBytes("30 f0 93 09") + [UInt8](repeating: 0, count: 150_000)
        let bytes =
            wire.isWebSocket ? Array(Self.request.utf8) + WebSocketFrames.frame(WebSocketFrames.binary, mqtt) : mqtt
        for _ in 0..<10 {
            let received = try await self.flood(wire, port: server.port, bytes)
            let goodbye = wire.isWebSocket ? WebSocketFrames.closed(1000) : []
            #expect(received.suffix(goodbye.count) == goodbye[...])
            #expect(Array(received.dropLast(goodbye.count).suffix(3)) == hexBytes("e0 01 95"))
        }
        try await eventually(within: .seconds(10)) { server.log.lines.count == 10 }
        #expect(Set(server.log.lines) == ["closed: misbehaved"])
        try await eventually(within: .seconds(10)) { try await server.count == 0 }
        try await server.listener.close()
    }

    @Test("hears what is wrong with its WebSocket", arguments: [Wire.webSocket, .webSocketTLS])
    func webSocket(wire: Wire) async throws {
        let server = try await Server(wire)
        let text = WebSocketFrames.frame(0x81, Array("hello".utf8))
        let bytes = Array(Self.request.utf8) + text + [UInt8](repeating: 0, count: 150_000)
        for _ in 0..<10 {
            let received = try await self.flood(wire, port: server.port, bytes)
            #expect(Array(received.suffix(4)) == WebSocketFrames.closed(1003))
        }
        try await eventually(within: .seconds(10)) { server.log.lines.count == 10 }
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
        try await eventually(within: .seconds(10)) { try await server.count == 0 }
        // Nobody is there any more.
        try await eventually(within: .seconds(10)) { (try? client.send("c000")) == nil }
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
        try await eventually(within: .seconds(10)) {
            (try? client.send([UInt8](repeating: 0, count: 10_000))) == nil
        }
        try await eventually(within: .seconds(10)) { try await server.count == 0 }
        try await server.listener.close()
    }
}
