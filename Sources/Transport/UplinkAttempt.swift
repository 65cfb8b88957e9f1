internal import NIOCore

/// One attempt at reaching an outside broker: address after address, until all that comes before CONNECT is up with one.
/// Bound to one event loop.
final class UplinkAttempt {
    enum Outcome {
        /// - Parameter index: Of the address.
        case ready(UplinkChannel, index: Int)
        /// None could be reached; with the reason of each.
        case failed(reason: String)
    }

    private let dialer: UplinkDialer
    private var onOutcome: ((Outcome) -> Void)?
    private var reasons: [String] = []
    private var pending: UplinkChannel?

    /// - Parameter onOutcome: Called once, not before ``start(_:)`` returns, unless cancelled.
    init(_ dialer: UplinkDialer, onOutcome: @escaping (Outcome) -> Void) {
        self.dialer = dialer
        self.onOutcome = onOutcome
    }

    /// Begins. Once.
    ///
    /// - Parameter order: Indices of addresses, the best one first.
    func start(_ order: [Int]) {
        self.tryNext(order[...])
    }

    /// Gives up; ``onOutcome`` is not called any more.
    func cancel() {
        self.onOutcome = nil
        self.pending?.close()
        self.pending = nil
    }

    private func finish(_ outcome: Outcome) {
        self.pending = nil
        self.onOutcome.take()?(outcome)
    }

    private func tryNext(_ order: ArraySlice<Int>) {
        guard let index = order.first else { return self.finish(.failed(reason: self.reasons.joined(separator: "; "))) }
        let timeout = TimeAmount(self.dialer.configuration.connectTimeout)
        let deadline = NIODeadline.now() + timeout
        let failed: (String) -> Void = { [weak self] reason in
            guard let self, self.onOutcome != nil else { return }
            self.pending = nil
            self.reasons.append("\(self.dialer.addresses[index].description): \(reason)")
            self.tryNext(order.dropFirst())
        }
        self.dialer.dial(index, timeout: timeout).assumeIsolated().whenComplete { [weak self] result in
            switch result {
            case .failure(let error): failed(TransportWords.describe(error))
            case .success(let bound):
                let channel = bound.value
                guard let self, self.onOutcome != nil else { return channel.close() }
                self.pending = channel
                self.awaitReady(channel, index, until: deadline, failed: failed)
            }
        }
    }

    /// TCP is up; proxy, TLS and WebSocket have the rest of the time.
    private func awaitReady(
        _ channel: UplinkChannel,
        _ index: Int,
        until deadline: NIODeadline,
        failed: @escaping (String) -> Void
    ) {
        let limit = self.dialer.configuration.connectTimeout
        let timer = self.dialer.loop.assumeIsolated().scheduleTask(deadline: deadline) {
            let what = channel.stage
            channel.close()
            failed("\(what) was not set up within \(limit)")
        }
        channel.awaitReady { [weak self] outcome in
            timer.cancel()
            guard let self, self.onOutcome != nil else { return channel.close() }
            switch outcome {
            case .failed(let reason): failed(reason)
            case .ready: self.finish(.ready(channel, index: index))
            }
        }
    }
}
