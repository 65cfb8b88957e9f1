package import NIOCore
internal import NIOPosix
internal import OpenSSL

/// Makes one uplink's connections, one at a time: tries the addresses in order until TCP and TLS are up with one.
///
/// It never tries again by itself: when and whether is the client machine's to say. All on one event loop; names are
/// resolved off it.
package final class UplinkConnector {
    private let addresses: [UplinkAddress]
    private let configuration: UplinkChannel.Configuration
    private let loop: any EventLoop
    private let burst: WriteBurst
    private weak var delegate: (any UplinkChannelDelegate)?
    /// Counts attempts, so that late news of a cancelled one is told apart.
    private var attempt = 0
    /// The address to begin with. After a connection that the broker did not accept it is the next one, so that a broker
    /// that is up and broken does not keep the gateway from the other.
    private var first = 0
    private var pending: UplinkChannel?

    /// - Parameter addresses: At least one, in order of preference.
    package init(
        addresses: [UplinkAddress],
        configuration: UplinkChannel.Configuration = .init(),
        loop: any EventLoop,
        burst: WriteBurst
    ) {
        precondition(!addresses.isEmpty, "an uplink has at least one address")
        self.addresses = addresses
        self.configuration = configuration
        self.loop = loop
        self.burst = burst
    }

    /// Begins an attempt over all addresses; an earlier one is cancelled. The delegate, which is not retained, hears either
    /// of a channel or of the failure with the reason of each address.
    package func connect(delegate: any UplinkChannelDelegate) {
        self.loop.preconditionInEventLoop()
        self.cancel()
        self.delegate = delegate
        let start = self.first
        self.first = (start + 1) % self.addresses.count
        let order = (0..<self.addresses.count).map { (start + $0) % self.addresses.count }
        self.tryNext(order[...], reasons: [], attempt: self.attempt)
    }

    /// The broker accepted this connection: the next attempt begins with the first address again.
    package func connectionWasAccepted() {
        self.first = 0
    }

    /// Gives up an attempt that is under way. A connection that the delegate already has is not touched.
    package func cancel() {
        self.attempt += 1
        self.pending?.close()
        self.pending = nil
        self.delegate = nil
    }

    private func tryNext(_ order: ArraySlice<Int>, reasons: [String], attempt: Int) {
        guard let index = order.first else {
            self.pending = nil
            self.delegate?.uplinkDisconnected(reason: reasons.joined(separator: "; "))
            return
        }
        let address = self.addresses[index]
        let timeout = TimeAmount(self.configuration.connectTimeout)
        let deadline = NIODeadline.now() + timeout
        // Happy Eyeballs may make several channels of one name; the one it hands over is asked how TLS went.
        self.bootstrap(address, timeout: timeout)
            .connect(host: address.host, port: address.port)
            .flatMapThrowing { channel in
                let handler = try channel.pipeline.syncOperations.handler(type: UplinkChannel.self)
                return NIOLoopBound(handler, eventLoop: channel.eventLoop)
            }
            .assumeIsolated()
            .whenComplete { [weak self] result in
                let failed: (String) -> Void = { reason in
                    guard let self, self.attempt == attempt else { return }
                    self.pending = nil
                    let reasons = reasons + ["\(address.description): \(reason)"]
                    self.tryNext(order.dropFirst(), reasons: reasons, attempt: attempt)
                }
                switch result {
                case .failure(let error): failed(TransportWords.describe(error))
                case .success(let bound):
                    let channel = bound.value
                    guard let self, self.attempt == attempt else { return channel.close() }
                    self.pending = channel
                    self.awaitTLS(channel, until: deadline, attempt: attempt, failed: failed)
                }
            }
    }

    /// TCP is up; a TLS handshake has the rest of the time.
    private func awaitTLS(
        _ channel: UplinkChannel,
        until deadline: NIODeadline,
        attempt: Int,
        failed: @escaping (String) -> Void
    ) {
        let limit = self.configuration.connectTimeout
        let timer = self.loop.assumeIsolated().scheduleTask(deadline: deadline) {
            channel.close()
            failed("TLS was not set up within \(limit)")
        }
        channel.awaitReady { [weak self] outcome in
            timer.cancel()
            guard let self, self.attempt == attempt, let delegate = self.delegate else { return channel.close() }
            switch outcome {
            case .failed(let reason): failed(reason)
            case .ready:
                self.pending = nil
                channel.attach(delegate)
                delegate.uplinkConnected(channel)
            }
        }
    }

    private func bootstrap(_ address: UplinkAddress, timeout: TimeAmount) -> ClientBootstrap {
        let own = NIOLoopBound((address, self.configuration, self.burst), eventLoop: self.loop)
        return ClientBootstrap(group: self.loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: 64 << 10, high: self.configuration.maxQueuedBytes))
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 2048, maximum: 64 << 10)
            )
            .connectTimeout(timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let (address, configuration, burst) = own.value
                    if let context = address.tls {
                        let handler = try TLSHandler(context: context, serverName: address.serverName)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    let handler = UplinkChannel(address: address, configuration: configuration, burst: burst)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
    }
}
