internal import NIOCore
internal import NIOHTTP1

/// Fired up the pipeline when a WebSocket that this side asked for is open.
struct WebSocketOpened: Sendable {}

/// Asks for something by one HTTP request, and is out of the way when it is open: a tunnel through a proxy, or a WebSocket.
///
/// What is behind a tunnel hears of the connection (`channelActive`) when the tunnel is there; what is behind a WebSocket
/// gets ``WebSocketOpened``. Nothing of an answer is kept but its head, within bounds; the time is the connector's to bound.
final class HTTPOpening: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = HTTPClientRequestPart

    /// Bytes of all header lines of an answer together.
    static let maxHeadBytes = 8 << 10
    private static let maxHeaderLines = 64

    /// What is opened.
    enum Purpose {
        case tunnel(ProxyTunnel)
        /// - Parameter maxFrameBytes: Longest payload of a data frame of the broker's.
        case webSocket(WebSocketOffer, maxFrameBytes: Int)
    }

    private enum State {
        case idle
        case asked
        /// The answer is a yes; its end has yet to come.
        case granted
        /// The handlers of HTTP are being removed.
        case clearing
        case open
        case over
    }

    private let purpose: Purpose
    private let startsAfterTLS: Bool
    private let encoder = HTTPRequestEncoder()
    private let decoder: ByteToMessageHandler<HTTPResponseDecoder>
    private var state = State.idle

    private init(_ purpose: Purpose, startsAfterTLS: Bool) {
        self.purpose = purpose
        self.startsAfterTLS = startsAfterTLS
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = Self.maxHeadBytes
        limits.maxHeaderListSize = Self.maxHeadBytes
        limits.maxHeaderFieldCount = Self.maxHeaderLines
        self.decoder = ByteToMessageHandler(
            HTTPResponseDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)
        )
    }

    /// Adds the handlers that ask, at the end of a pipeline that is not active yet.
    ///
    /// - Parameter startsAfterTLS: Whether a TLS handler comes before them.
    static func add(
        _ purpose: Purpose,
        startsAfterTLS: Bool,
        to pipeline: ChannelPipeline.SynchronousOperations
    ) throws {
        let opening = HTTPOpening(purpose, startsAfterTLS: startsAfterTLS)
        try pipeline.addHandler(opening.encoder)
        try pipeline.addHandler(opening.decoder)
        try pipeline.addHandler(opening)
    }

    private var offer: any HTTPOffer {
        switch self.purpose {
        case .tunnel(let tunnel): tunnel
        case .webSocket(let offer, _): offer
        }
    }

    // MARK: Inbound

    func channelActive(context: ChannelHandlerContext) {
        switch self.purpose {
        case .tunnel: self.ask(context)
        case .webSocket:
            context.fireChannelActive()
            if !self.startsAfterTLS { self.ask(context) }
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
        if self.startsAfterTLS, event is TLSHandshakeCompleted { self.ask(context) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.state {
        case .asked, .granted: self.received(Self.unwrapInboundIn(data), context)
        // No longer parts of an answer but bytes that came behind it.
        case .clearing, .open: context.fireChannelRead(data)
        case .idle, .over: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case HTTPParserError.invalidEOFState: self.fail("closed the connection without an answer", context)
        case HTTPParserError.headerOverflow:
            self.fail("sent an answer of more than \(Self.maxHeadBytes) bytes", context)
        case is HTTPParserError, is NIOHTTPDecoderError: self.fail("sent what is no answer of HTTP", context)
        default:
            self.state = .over
            context.fireErrorCaught(error)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.fail("closed the connection without an answer", context)
        context.fireChannelInactive()
    }

    private func ask(_ context: ChannelHandlerContext) {
        guard self.state == .idle else { return }
        self.state = .asked
        context.write(Self.wrapOutboundOut(.head(self.offer.request())), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func received(_ part: HTTPClientResponsePart, _ context: ChannelHandlerContext) {
        switch (part, self.state) {
        case (.head(let head), .asked):
            do throws(HTTPOpeningError) {
                try self.offer.check(head)
                self.state = .granted
            } catch {
                self.fail(error, context)
            }
        case (.end, .granted): self.clear(context)
        default: self.fail("sent what is no answer of HTTP", context)
        }
    }

    /// Takes HTTP out of the pipeline. What came behind the answer goes on to the handlers that follow.
    private func clear(_ context: ChannelHandlerContext) {
        self.state = .clearing
        let pipeline = context.pipeline.syncOperations
        if case .webSocket(_, let maxFrameBytes) = self.purpose {
            let handler = WebSocketHandler(maxFrameBytes: maxFrameBytes, role: .client)
            do {
                try pipeline.addHandler(handler, position: .after(self))
            } catch {
                self.state = .over
                context.fireErrorCaught(error)
                return context.close(promise: nil)
            }
        }
        pipeline.removeHandler(self.encoder).and(pipeline.removeHandler(self.decoder)).assumeIsolated().whenComplete {
            _ in
            guard self.state == .clearing else { return }
            self.state = .open
            switch self.purpose {
            case .tunnel: context.fireChannelActive()
            case .webSocket: context.fireUserInboundEventTriggered(WebSocketOpened())
            }
            pipeline.removeHandler(context: context, promise: nil)
        }
    }

    private func fail(_ words: String, _ context: ChannelHandlerContext) {
        self.fail(HTTPOpeningError(description: "\(self.offer.peer) \(words)"), context)
    }

    private func fail(_ error: HTTPOpeningError, _ context: ChannelHandlerContext) {
        guard self.state != .over, self.state != .open else { return }
        self.state = .over
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    // MARK: Outbound

    /// What is behind it has nothing to say yet.
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard self.state == .open else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        context.write(data, promise: promise)
    }
}
