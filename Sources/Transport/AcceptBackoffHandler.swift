package import NIOCore

/// Waits a second before the next `accept` when one failed for want of file descriptors or memory, so that a full table
/// costs no processor and the connections there are go on.
package final class AcceptBackoffHandler: ChannelDuplexHandler {
    package typealias InboundIn = Channel
    package typealias OutboundIn = Channel

    private let pause: TimeAmount
    private let report: (any Error) -> Void
    private var isPausing = false
    private var readIsPending = false

    /// - Parameter report: Called on the loop with each failed `accept`.
    package init(pause: TimeAmount = .seconds(1), report: @escaping (any Error) -> Void) {
        self.pause = pause
        self.report = report
    }

    package func read(context: ChannelHandlerContext) {
        guard !self.isPausing else {
            self.readIsPending = true
            return
        }
        context.read()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.report(error)
        guard !self.isPausing else { return }
        self.isPausing = true
        context.eventLoop.assumeIsolated().scheduleTask(in: self.pause) {
            self.isPausing = false
            guard self.readIsPending else { return }
            self.readIsPending = false
            context.read()
        }
    }
}
