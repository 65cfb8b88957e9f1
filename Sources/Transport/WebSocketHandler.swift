internal import NIOCore
internal import NIOWebSocket

/// Carries MQTT in WebSocket frames (MQTT 5.0 §6), behind the upgrade: bytes in frames towards the socket, bytes towards
/// ``MQTTConnection`` or ``UplinkChannel``.
///
/// Never reads by itself, so that they alone say when. An idle connection holds no buffer here.
final class WebSocketHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let normalClosure: UInt16 = 1000

    private let role: WebSocketRole
    private var decoder: WebSocketDecoder
    /// Bytes of an incomplete header or control frame.
    private var partial = PartialFrame()
    /// A Close frame was sent, or the channel is closed.
    private var isClosed = false
    private var isFlushWanted = false

    /// - Parameter maxFrameBytes: Longest payload of a data frame.
    init(maxFrameBytes: Int, role: WebSocketRole = .server) {
        self.role = role
        self.decoder = WebSocketDecoder(maxFrameBytes: maxFrameBytes, role: role)
    }

    // MARK: Inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.isClosed else { return }
        var buffer = self.partial.join(Self.unwrapInboundIn(data))
        do throws(WebSocketError) {
            // Each of these calls up may have closed the channel.
            while !self.isClosed, let piece = try self.decoder.next(&buffer) {
                switch piece {
                case .data(let bytes): context.fireChannelRead(Self.wrapInboundOut(bytes))
                case .ping(let payload):
                    self.send(.pong, payload, context)
                    self.isFlushWanted = true
                case .pong: break
                case .close(let code):
                    self.sendClose(code ?? Self.normalClosure, context)
                    if self.role == .client, let code, code != Self.normalClosure {
                        let words = "the broker closed the WebSocket with status code \(code)"
                        context.fireErrorCaught(WebSocketError.failed(code, words))
                    }
                    context.close(promise: nil)
                }
            }
        } catch {
            self.fail(error, context)
        }
        if !self.isClosed { self.partial.keep(buffer) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if self.isFlushWanted {
            self.isFlushWanted = false
            context.flush()
        }
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.isClosed = true
        self.partial.clear()
        context.fireChannelInactive()
    }

    private func fail(_ error: WebSocketError, _ context: ChannelHandlerContext) {
        if case .close(let code) = error.answer { self.sendClose(code, context) }
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    // MARK: Outbound

    /// Each write becomes one binary frame `[MQTT-6.0.0-1]`.
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let payload = Self.unwrapOutboundIn(data)
        guard !self.isClosed else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        self.send(.binary, payload, context, promise)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .input, !self.isClosed { self.sendClose(Self.normalClosure, context) }
        context.close(mode: mode, promise: promise)
    }

    private func sendClose(_ code: UInt16, _ context: ChannelHandlerContext) {
        guard !self.isClosed else { return }
        self.send(.connectionClose, ByteBuffer(integer: code), context)
        self.isClosed = true
        self.partial.clear()
        context.flush()
    }

    /// One frame, masked if it is a client's (RFC 6455 §5.1, §5.3). Header and payload leave with one system call.
    private func send(
        _ opcode: WebSocketOpcode,
        _ payload: ByteBuffer,
        _ context: ChannelHandlerContext,
        _ promise: EventLoopPromise<Void>? = nil
    ) {
        let length = payload.readableBytes
        var payload = payload
        var header = context.channel.allocator.buffer(capacity: 14)
        let mask: UInt8 = self.role == .client ? 0x80 : 0
        header.writeInteger(0x80 | UInt8(webSocketOpcode: opcode))
        switch length {
        case ...125: header.writeInteger(mask | UInt8(length))
        case ...Int(UInt16.max): header.writeMultipleIntegers(mask | 126, UInt16(length))
        default: header.writeMultipleIntegers(mask | 127, UInt64(length))
        }
        if self.role == .client {
            let key = WebSocketMaskingKey.random()
            header.writeBytes(key)
            // Copies a payload that somebody else holds too.
            payload.webSocketMask(key)
        }
        guard length > 0 else {
            context.write(Self.wrapOutboundOut(header), promise: promise)
            return
        }
        context.write(Self.wrapOutboundOut(header), promise: nil)
        context.write(Self.wrapOutboundOut(payload), promise: promise)
    }
}
