internal import NIOCore

/// Ends a connection so that its last word arrives: sends what is written, closes the output, and throws away what the peer
/// still sends until it closes too, for a bounded time and a bounded number of bytes.
///
/// TCP answers bytes that nobody has read with a reset, and a peer that gets one may lose what it was sent before. Put in
/// front of all other handlers when the time has come, so that nothing is decrypted or decoded any more; the close of those
/// behind it then begins the wait.
final class LingeringClose: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let time: TimeAmount
    private var bytesLeft: Int
    private var isLingering = false
    private var timer: Scheduled<Void>?
    private var context: ChannelHandlerContext?

    /// - Parameters:
    ///   - time: How long the peer has for its part.
    ///   - maxBytes: How much it may send meanwhile.
    init(time: TimeAmount, maxBytes: Int) {
        self.time = time
        self.bytesLeft = maxBytes
    }

    /// Whether its timer runs.
    var isWaiting: Bool { self.timer != nil }

    /// Does not wait any longer.
    func cut() {
        self.context?.close(promise: nil)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.stop()
    }

    // MARK: Outbound

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all, context.channel.isActive else { return context.close(mode: mode, promise: promise) }
        // Each handler that gives up says so; the first of them began it.
        context.channel.closeFuture.cascade(to: promise)
        guard !self.isLingering else { return }
        self.isLingering = true
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(in: self.time) { [weak self] in self?.cut() }
        context.close(mode: .output, promise: nil)
        // Whoever paused reading does not matter any more.
        self.context?.read()
    }

    // MARK: Inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.bytesLeft -= Self.unwrapInboundIn(data).readableBytes
        if self.bytesLeft < 0 { self.cut() }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        self.context?.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {}

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.cut()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { self.cut() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.stop()
        context.fireChannelInactive()
    }

    private func stop() {
        self.timer?.cancel()
        self.timer = nil
        self.context = nil
    }
}
