import Broker
import Logging
import MQTTCodec
import NIOCore
import NIOPosix
import OpenSSL
import TestSupport

@testable import Transport

/// A listener and its clients on real sockets.
enum SocketSite {
    enum Wire: CaseIterable, Sendable {
        case tcp, tls, webSocket, webSocketTLS

        var isTLS: Bool { self == .tls || self == .webSocketTLS }
        var isWebSocket: Bool { self == .webSocket || self == .webSocketTLS }
    }

    /// Lets everybody in, at once or after a moment, and writes down what is published and how it ends.
    final class Delegate: MQTTConnectionDelegate {
        let log: OutputLog
        let decisionTime: TimeAmount?
        var connection: MQTTConnection?
        let isCongested = false

        init(log: OutputLog, decisionTime: TimeAmount?) {
            self.log = log
            self.decisionTime = decisionTime
        }

        func opened(_ connection: MQTTConnection, peer: TLSPeer?) { self.connection = connection }

        func received(_ connect: Connect) {
            guard let time = self.decisionTime, let loop = self.connection?.context?.eventLoop.assumeIsolated() else {
                self.connection?.accept(connect, Acceptance())
                return
            }
            loop.scheduleTask(in: time) { self.connection?.accept(connect, Acceptance()) }
        }

        func received(_ publish: Publish) { self.log.append("published: \(publish.topic)") }
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
    final class Flood: ChannelInboundHandler {
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

    /// Asks for a WebSocket.
    static let request = """
        GET /mqtt HTTP/1.1\r
        Host: localhost\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
        Sec-WebSocket-Version: 13\r
        Sec-WebSocket-Protocol: mqtt\r
        \r

        """

    /// Of the device `node`.
    static let key: [UInt8] = Array(1...16)

    /// A listener, and how many connections are counted.
    struct Server {
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
            stepsPerTurn: Int = 8,
            decisionTime: TimeAmount? = nil,
            _ configure: (inout MQTTConnection.Configuration) -> Void = { _ in }
        ) async throws {
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            var configuration = MQTTListener.Configuration(host: "127.0.0.1", port: 0)
            configuration.connection.connectTimeout = .minutes(5)  // A test may be kept waiting between two steps.
            configure(&configuration.connection)
            if wire.isWebSocket { configuration.webSocket = .init() }
            let settings = configuration
            let tls =
                try wire.isTLS
                ? TLSContextSource(.server(keyLookup: { $0 == Array("node".utf8) ? SocketSite.key : nil })) : nil
            let log = self.log
            (self.limiter, self.listener) = try await loop.flatSubmit {
                let limiter = ConnectionLimiter(limits: limits)
                let bound = NIOLoopBound(limiter, eventLoop: loop)
                return MQTTListener(
                    configuration: settings,
                    tls: tls,
                    burst: WriteBurst(loop: loop),
                    limiter: limiter,
                    handshakes: HandshakeQueue(loop: loop, stepsPerTurn: stepsPerTurn),
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                    makeDelegate: { Delegate(log: log, decisionTime: decisionTime) }
                ).start(on: loop).map { (bound, $0) }
            }.get()
        }
    }

    static func flood(_ wire: Wire, port: Int, _ bytes: [UInt8]) async throws -> [UInt8] {
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
}
