package import NIOCore

/// Bounds what TLS handshakes take of one turn of the loop, so that a thousand nodes that come back at once do not keep the
/// connected ones waiting: after some steps the others wait for later turns, in the order in which they came.
///
/// A step is what one read brings forward, half a millisecond and more of arithmetic for the first, or the end of a
/// connection that its client has closed. Bound to one event
/// loop, and shared by its listeners.
package final class HandshakeQueue {
    private let loop: any EventLoop
    private let stepsPerTurn: Int
    private var stepsLeft: Int
    private var waiting = CircularBuffer<TLSHandler>()
    /// The end of the turn is being waited for.
    private var isTurnMarked = false

    package init(loop: any EventLoop, stepsPerTurn: Int = 8) {
        self.loop = loop
        self.stepsPerTurn = stepsPerTurn
        self.stepsLeft = stepsPerTurn
    }

    /// Connections that wait, with those that were given up meanwhile.
    var waitingCount: Int { self.waiting.count }

    /// Takes a step for a handshake with bytes to work on, or for an end; false if it has to wait until ``TLSHandler/takeTurn()``.
    func takeStep(_ handler: TLSHandler) -> Bool {
        self.markTurn()
        guard self.waiting.isEmpty, self.stepsLeft > 0 else {
            self.waiting.append(handler)
            return false
        }
        self.stepsLeft -= 1
        return true
    }

    /// A turn ends when the sockets have been looked at again. A task that a task asks for runs before that, and so does one
    /// that is due: so a moment is waited, from when the tasks of this turn are done.
    private func markTurn() {
        guard !self.isTurnMarked else { return }
        self.isTurnMarked = true
        let loop = self.loop.assumeIsolated()
        loop.execute {
            // Behind those that were asked for meanwhile.
            loop.execute {
                loop.scheduleTask(in: .microseconds(100)) { self.nextTurn() }
            }
        }
    }

    private func nextTurn() {
        self.isTurnMarked = false
        self.stepsLeft = self.stepsPerTurn
        guard !self.waiting.isEmpty else { return }
        while self.stepsLeft > 0, let handler = self.waiting.popFirst() {
            if handler.takeTurn() { self.stepsLeft -= 1 }
        }
        self.markTurn()
    }
}
