import MQTTCodec
import NIOCore
import NIOPosix
import OpenSSL
import TestSupport

@testable import Transport

/// An ``UplinkConnector`` on a loop, and outside brokers as the test scripts them. What happens is written to ``log``, one
/// line an event.
final class UplinkPeer: Sendable {
    let loop: any EventLoop
    let log = OutputLog()
    private let connector: NIOLoopBoundBox<UplinkConnector?>
    private let delegate: NIOLoopBoundBox<Delegate?>

    init() {
        self.loop = MultiThreadedEventLoopGroup.singleton.next()
        self.connector = .makeEmptyBox(valueType: UplinkConnector.self, eventLoop: self.loop)
        self.delegate = .makeEmptyBox(valueType: Delegate.self, eventLoop: self.loop)
    }

    /// Writes down what it hears.
    final class Delegate: UplinkChannelDelegate {
        let log: OutputLog
        var channel: UplinkChannel?
        var onFrame: ((UplinkChannel, MQTTFrame) -> Void)?
        var onSkipped: ((UplinkChannel) -> Void)?

        init(log: OutputLog) { self.log = log }

        func uplinkConnected(_ channel: UplinkChannel) {
            self.channel = channel
            self.log.append("connected \(channel.address) \(channel.peer?.version.rawValue ?? "plain")")
        }

        func uplink(_ channel: UplinkChannel, received frame: MQTTFrame) {
            self.log.append("frame \(hexText([frame.firstByte])) \(hexText(frame.body.readableBytesView))")
            self.onFrame?(channel, frame)
        }

        func uplink(_ channel: UplinkChannel, skipped firstByte: UInt8, packetID: UInt16, size: Int) {
            self.log.append("skipped \(hexText([firstByte])) \(packetID) of \(size)")
            self.onSkipped?(channel)
        }

        func uplinkReadCompleted(_ channel: UplinkChannel) {}

        func uplinkBecameWritable(_ channel: UplinkChannel) { self.log.append("writable") }

        func uplinkCanChangeOver(to address: String) { self.log.append("better \(address)") }

        func uplinkDisconnected(reason: String) {
            self.channel = nil
            self.log.append("disconnected: \(reason)")
        }
    }

    /// Makes the connector.
    func use(
        _ addresses: [UplinkAddress],
        timeout: Duration = .patience,
        maxPacketBytes: Int = 1000,
        proxy: HTTPProxy? = nil,
        localAddress: String? = nil,
        returnAfter: Duration? = nil,
        configure: @escaping @Sendable (inout UplinkChannel.Configuration) -> Void = { _ in }
    ) async throws {
        try await self.onLoop { peer in
            var configuration = UplinkChannel.Configuration()
            configuration.connectTimeout = timeout
            configuration.maxPacketBytes = maxPacketBytes
            configure(&configuration)
            peer.delegate.value = Delegate(log: peer.log)
            peer.connector.value = UplinkConnector(
                addresses: addresses,
                configuration: configuration,
                proxy: proxy,
                localAddress: localAddress,
                returnAfter: returnAfter,
                loop: peer.loop,
                burst: WriteBurst(loop: peer.loop)
            )
        }
    }

    /// Begins an attempt, and waits for the line that ends it.
    func connect() async throws -> String {
        let start = self.log.lines.count
        try await self.with { connector, delegate in connector.connect(delegate: delegate) }
        return try await self.log.line("outcome", from: start) {
            $0.hasPrefix("connected") || $0.hasPrefix("disconnected")
        }
    }

    func with<Result: Sendable>(
        _ body: @escaping @Sendable (UplinkConnector, Delegate) throws -> Result
    ) async throws -> Result {
        try await self.onLoop { peer in
            guard let connector = peer.connector.value, let delegate = peer.delegate.value else {
                preconditionFailure("use() comes first")
            }
            return try body(connector, delegate)
        }
    }

    private func onLoop<Result: Sendable>(_ body: @escaping @Sendable (UplinkPeer) throws -> Result) async throws
        -> Result
    {
        try await self.loop.submit { try body(self) }.get()
    }

    /// The socket of the connection. On the loop.
    func channel() -> (any Channel)? { self.delegate.value?.channel?.context?.channel }

    // MARK: Outside brokers

    /// A server on a free port of 127.0.0.1, unless one is named, that sends `greeting` and writes down what it gets.
    ///
    /// - Parameter answer: What it sends when something came for the first time. If that ends with "close" in ASCII, the
    ///   connection is closed in place of this word.
    func serve(
        _ name: String = "server",
        port: Int = 0,
        tls: TLSContext? = nil,
        greeting: String = "",
        answer: String = ""
    ) async throws -> Server {
        let log = self.log
        let channels = NIOLoopBoundBox<[any Channel]>.makeBoxSendingValue([], eventLoop: self.loop)
        let listener = try await ServerBootstrap(group: self.loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    channels.value.append(channel)
                    if let tls { try channel.pipeline.syncOperations.addHandler(try TLSHandler(context: tls)) }
                    try channel.pipeline.syncOperations.addHandler(Scripted(name, log, greeting, answer))
                }
            }
            .bind(host: "127.0.0.1", port: port)
            .get()
        return Server(listener: listener, channels: channels, port: listener.localAddress?.port ?? 0)
    }

    struct Server: Sendable {
        let listener: any Channel
        let channels: NIOLoopBoundBox<[any Channel]>
        /// Also known after ``stop()``, when the listener has no address any more.
        let port: Int

        /// Sends bytes to the last client that came.
        func send(_ hex: String) async throws {
            try await self.listener.eventLoop.flatSubmit {
                guard let channel = self.channels.value.last else { preconditionFailure("nobody came") }
                return channel.writeAndFlush(ByteBuffer(bytes: hexBytes(hex)))
            }.get()
        }

        /// Closes the connection of the last client.
        func hangUp() async throws {
            try await self.listener.eventLoop.submit { self.channels.value.last?.close(promise: nil) }.get()
        }

        /// Where the last client came from.
        func remoteAddress() async throws -> String? {
            try await self.listener.eventLoop.submit { self.channels.value.last?.remoteAddress?.ipAddress }.get()
        }

        func stop() async throws { try await self.listener.close() }
    }

    private final class Scripted: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        let name: String
        let log: OutputLog
        let greeting: String
        var answer: String

        init(_ name: String, _ log: OutputLog, _ greeting: String, _ answer: String) {
            self.name = name
            self.log = log
            self.greeting = greeting
            self.answer = answer
        }

        func channelActive(context: ChannelHandlerContext) {
            self.log.append("\(self.name) accepted")
            guard !self.greeting.isEmpty else { return }
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: hexBytes(self.greeting))), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.log.append("\(self.name) got \(hexText(Self.unwrapInboundIn(data).readableBytesView))")
            guard !self.answer.isEmpty else { return }
            var bytes = hexBytes(self.answer)
            self.answer = ""
            let closes = bytes.suffix(5).elementsEqual("close".utf8)
            if closes { bytes.removeLast(5) }
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
            if closes { context.close(promise: nil) }
        }

        func channelInactive(context: ChannelHandlerContext) { self.log.append("\(self.name) lost") }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
