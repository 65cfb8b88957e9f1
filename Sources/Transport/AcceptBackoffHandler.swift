package import NIOCore

/// Waits a second before the next `accept` when one failed for want of file descriptors or memory, so that a full table
/// costs no processor and the connections there are go on.
///
/// Holding back `read` is not enough: after an `accept` that failed NIO still has the read that was asked for before, and
/// tries it as long as somebody waits to be let in. Only without automatic reading it leaves the socket alone.
package final class AcceptBackoffHandler: ChannelInboundHandler {
    package typealias InboundIn = Channel

    private let pause: TimeAmount
    private let report: (any Error) -> Void
    private var isPausing = false

    /// - Parameter report: Called on the loop with each failed `accept`.
    package init(pause: TimeAmount = .seconds(1), report: @escaping (any Error) -> Void) {
        self.pause = pause
        self.report = report
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.report(error)
        guard !self.isPausing else { return }
        self.isPausing = true
        let options = context.channel.syncOptions
        try? options?.setOption(.autoRead, value: false)
        context.eventLoop.assumeIsolated().scheduleTask(in: self.pause) {
            self.isPausing = false
            // Of a listener that is closed meanwhile it is an error that nobody needs.
            try? options?.setOption(.autoRead, value: true)
        }
    }
}
