import NIOCore

/// Tells when a server channel closes and nobody asked for it: the gateway would run on with a door that nobody can enter.
final class ListenerWatch: ChannelDuplexHandler {
    typealias InboundIn = Channel
    typealias OutboundIn = Channel

    private let report: () -> Void
    private var isWanted = false

    /// - Parameter report: Called on the loop, once at most.
    init(report: @escaping () -> Void) {
        self.report = report
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        self.isWanted = true
        context.close(mode: mode, promise: promise)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !self.isWanted { self.report() }
        self.isWanted = true
        context.fireChannelInactive()
    }
}
