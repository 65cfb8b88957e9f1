package import Logging
package import NIOCore
import NIOPosix
package import OpenSSL

/// One `mqtt`, `mqtts`, `ws` or `wss` listener on TCP `[MQTT-4.2.0-1]`: accepts connections within the limits and gives each its handlers.
package struct MQTTListener {
    /// What a listener needs to know.
    package struct Configuration: Sendable {
        /// Name or address to bind; `0.0.0.0` and `::` for all.
        package var host: String
        /// 0 lets the system choose.
        package var port: Int
        package var connection = MQTTConnection.Configuration()
        /// MQTT in WebSocket frames; nil: on the TCP or TLS connection itself.
        package var webSocket: WebSocket?

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// What a `ws` or `wss` listener needs to know.
    package struct WebSocket: Sendable {
        /// The path of the request, without query.
        package var path = "/mqtt"
        /// Values of Origin from which browsers may come; nil: all.
        package var origins: [String]?
        /// Longest payload of a frame. Frames are not collected, and one may carry many packets: what is kept is bounded by the
        /// largest packet.
        package var maxFrameBytes = 1 << 31

        package init() {}
    }

    /// How often a connection is read before others have their turn.
    private static let readsAtOnce = 4
    /// 16 KiB hold fifty messages and more.
    private static let maxReadBytes = 16 << 10

    private let configuration: Configuration
    private let tls: TLSContextSource?
    private let logger: Logger
    private let burst: WriteBurst
    private let limiter: ConnectionLimiter
    private let handshakes: HandshakeQueue
    private let makeDelegate: () -> any MQTTConnectionDelegate

    /// - Parameters:
    ///   - tls: The server's context of an `mqtts` or `wss` listener, asked for at each connection; nil for plain TCP.
    ///   - handshakes: Shared by the listeners of a loop.
    ///   - makeDelegate: Called on the loop for each accepted connection.
    package init(
        configuration: Configuration,
        tls: TLSContextSource?,
        burst: WriteBurst,
        limiter: ConnectionLimiter,
        handshakes: HandshakeQueue,
        logger: Logger,
        makeDelegate: @escaping () -> any MQTTConnectionDelegate
    ) {
        self.configuration = configuration
        self.tls = tls
        self.burst = burst
        self.limiter = limiter
        self.handshakes = handshakes
        self.logger = logger
        self.makeDelegate = makeDelegate
    }

    /// Binds and begins to accept. Call on the loop; all connections live on it.
    ///
    /// - Returns: The server channel; closing it ends the listener and leaves its connections open.
    package func start(on loop: any EventLoop) -> EventLoopFuture<any Channel> {
        let own = NIOLoopBound(self, eventLoop: loop)
        let logger = self.logger
        let address = "\(self.configuration.host):\(self.configuration.port)"
        return ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ListenerWatch {
                            logger.error(
                                "a listener has closed by itself: nobody can connect there until a restart",
                                metadata: ["address": "\(channel.localAddress?.description ?? address)"]
                            )
                        }
                    )
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptBackoffHandler { error in
                            logger.error(
                                "accept failed, trying again in a second",
                                metadata: [
                                    "error": "\(error)",
                                    "cure": "raise the limit of open files (ulimit -n, LimitNOFILE)",
                                ]
                            )
                        }
                    )
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            // So that what a client sent before it closed can wait for the decision about its CONNECT.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: UInt(Self.readsAtOnce))
            .childChannelOption(
                .recvAllocator,
                value: ReadBufferAllocator(maximum: Self.maxReadBytes, kept: Self.readsAtOnce)
            )
            .childChannelOption(
                .writeBufferWaterMark,
                value: Self.waterMark(self.configuration.connection.maxQueuedBytes)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try own.value.initialize(channel) }
            }
            .bind(host: self.configuration.host, port: self.configuration.port)
    }

    /// The low mark may not be over the high one.
    private static func waterMark(_ high: Int) -> ChannelOptions.Types.WriteBufferWaterMark {
        .init(low: min(32 << 10, high / 2), high: high)
    }

    private func initialize(_ channel: any Channel) throws {
        guard let place = self.limiter.acquire(PeerAddress(channel.remoteAddress)) else { throw TooManyConnections() }
        let connection = MQTTConnection(
            configuration: self.configuration.connection,
            delegate: self.makeDelegate(),
            burst: self.burst,
            expectsTLS: self.tls != nil
        )
        place.displace = { [weak connection] in connection?.displace() }
        connection.place = place
        let held = NIOLoopBound((limiter: self.limiter, place: place), eventLoop: channel.eventLoop)
        channel.closeFuture.whenComplete { _ in held.value.limiter.release(held.value.place) }
        let pipeline = channel.pipeline.syncOperations
        if let tls = self.tls {
            try pipeline.addHandler(try TLSHandler(context: tls.current, queue: self.handshakes))
        }
        if let webSocket = self.configuration.webSocket {
            try WebSocketGate.add(
                to: pipeline,
                request: WebSocketRequest(path: webSocket.path, origins: webSocket.origins),
                maxFrameBytes: webSocket.maxFrameBytes
            )
        }
        try pipeline.addHandler(connection)
    }

    private struct TooManyConnections: Error {}
}
