internal import NIOCore
internal import NIOHTTP1
internal import NIOWebSocket

/// Stands between the HTTP handlers of a new `ws` or `wss` connection and ``MQTTConnection`` until the connection is a
/// WebSocket, then makes room for ``WebSocketHandler``.
///
/// Requests that are no such thing get a short answer in text, and the connection ends. ``MQTTConnection``'s deadline for
/// CONNECT runs from `accept`, so that it holds for the request as well.
final class WebSocketGate: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = HTTPServerResponsePart

    /// Bytes of the request line and all header lines together.
    static let maxHeadBytes = 8 << 10

    private var isAnswered = false
    /// The request asks for the head of an answer only.
    private var isHead = false

    /// Adds the handlers of a connection that has yet to ask for a WebSocket.
    static func add(
        to pipeline: ChannelPipeline.SynchronousOperations,
        request: WebSocketRequest,
        maxFrameBytes: Int
    ) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = Self.maxHeadBytes
        limits.maxHeaderListSize = Self.maxHeadBytes
        limits.maxHeaderFieldCount = 64
        let encoder = HTTPResponseEncoder()
        let decoder = ByteToMessageHandler(
            HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)
        )
        let gate = WebSocketGate()
        let judge = Judge(request: request, gate: gate)
        let upgrade = HTTPServerUpgradeHandler(
            upgraders: [Upgrader(gate: gate, judge: judge, maxFrameBytes: maxFrameBytes)],
            httpEncoder: encoder,
            extraHTTPHandlers: [judge, decoder],
            upgradeCompletionHandler: { _ in }
        )
        try pipeline.addHandlers(encoder, decoder, judge, upgrade, gate)
    }

    // MARK: Inbound

    /// Only a request that is not upgraded comes here, though ``Judge`` found nothing in it.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.refuse(.refused(400, "a request that can't be upgraded"), context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case let error as WebSocketError: self.refuse(error, context)
        case HTTPParserError.headerOverflow:
            self.refuse(.refused(431, "the request is longer than \(Self.maxHeadBytes) bytes"), context)
        case is HTTPParserError, is NIOHTTPDecoderError, is NIOWebSocketUpgradeError, is HTTPServerUpgradeErrors:
            self.refuse(.refused(400, "this is no HTTP request"), context)
        default: context.fireErrorCaught(error)
        }
    }

    /// Answers with nothing that the client sent.
    private func refuse(_ error: WebSocketError, _ context: ChannelHandlerContext) {
        guard !self.isAnswered else { return }
        self.isAnswered = true
        if case .response(let status, let more) = error.answer {
            let body = ByteBuffer(string: error.description + "\n")
            var headers = HTTPHeaders(more.map { ($0.name, $0.value) })
            headers.add(name: "Content-Type", value: "text/plain; charset=utf-8")
            headers.add(name: "Content-Length", value: "\(body.readableBytes)")
            headers.add(name: "Connection", value: "close")
            let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: status), headers: headers)
            context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
            if !self.isHead { context.write(Self.wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        }
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    // MARK: Outbound

    /// MQTT has nowhere to go yet.
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    /// Looks at the request before swift-nio does, which tries each protocol that `Upgrade` names with all its work, and goes
    /// on after the answer is out: it sees only what will be upgraded, and few names.
    private final class Judge: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = HTTPServerRequestPart

        private let request: WebSocketRequest
        private let gate: WebSocketGate
        private var isRefused = false
        /// What the request is answered with; nil before it came.
        private(set) var subprotocol: String?

        init(request: WebSocketRequest, gate: WebSocketGate) {
            self.request = request
            self.gate = gate
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !self.isRefused else { return }
            // What follows the head may be bytes as well.
            guard self.subprotocol == nil, case .head(let head) = Self.unwrapInboundIn(data) else {
                return context.fireChannelRead(data)
            }
            do throws(WebSocketError) {
                self.subprotocol = try self.request.accept(head)
                context.fireChannelRead(data)
            } catch {
                self.isRefused = true
                self.gate.isHead = head.method == .HEAD
                context.fireErrorCaught(error)
            }
        }
    }

    /// The upgrade as swift-nio does it, with one handler of our own behind it in place of a decoder that collects frames.
    private final class Upgrader: HTTPServerProtocolUpgrader {
        let supportedProtocol = "websocket"
        let requiredUpgradeHeaders: [String] = []

        private let gate: WebSocketGate
        private let judge: Judge
        private let maxFrameBytes: Int

        init(gate: WebSocketGate, judge: Judge, maxFrameBytes: Int) {
            self.gate = gate
            self.judge = judge
            self.maxFrameBytes = maxFrameBytes
        }

        func buildUpgradeResponse(
            channel: any Channel,
            upgradeRequest: HTTPRequestHead,
            initialResponseHeaders: HTTPHeaders
        ) -> EventLoopFuture<HTTPHeaders> {
            guard let subprotocol = self.judge.subprotocol, !self.gate.isAnswered else {
                return channel.eventLoop.makeFailedFuture(ChannelError.inappropriateOperationForState)
            }
            return NIOWebSocketServerUpgrader(
                shouldUpgrade: { channel, _ in
                    channel.eventLoop.makeSucceededFuture(["Sec-WebSocket-Protocol": subprotocol])
                },
                upgradePipelineHandler: { channel, _ in channel.eventLoop.makeSucceededVoidFuture() }
            ).buildUpgradeResponse(
                channel: channel,
                upgradeRequest: upgradeRequest,
                initialResponseHeaders: initialResponseHeaders
            )
        }

        func upgrade(context: ChannelHandlerContext, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<Void> {
            let pipeline = context.pipeline.syncOperations
            do {
                let handler = WebSocketHandler(maxFrameBytes: self.maxFrameBytes)
                try pipeline.addHandler(handler, position: .after(self.gate))
            } catch {
                return context.eventLoop.makeFailedFuture(error)
            }
            return pipeline.removeHandler(self.gate)
        }
    }
}
