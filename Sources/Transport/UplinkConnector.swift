package import NIOCore
internal import OpenSSL

/// Makes one uplink's connections, one at a time: tries the addresses in order until all that comes before CONNECT is up with
/// one.
///
/// It never tries again by itself: when and whether is the client machine's to say. But while a connection is up that is not
/// to the first address, it looks from time to time whether a better one can be reached, and then tells the delegate, whose
/// present connection stays as it is until it asks for the next. All on one event loop; names are resolved off it.
package final class UplinkConnector {
    /// How long a connection to a better address is held for the delegate.
    package static let holdTime: TimeAmount = .seconds(60)
    /// The longest wait between two looks, if better addresses turn out not to be.
    private static let maxReturnDelay: Duration = .seconds(86_400)

    private let dialer: UplinkDialer
    private let returnAfter: Duration?
    private let loop: any EventLoop
    private weak var delegate: (any UplinkChannelDelegate)?
    /// The address to begin with. After a connection that the broker did not accept it is the next one, so that a broker
    /// that is up and broken does not keep the gateway from the other.
    private var first = 0
    private var attempt: UplinkAttempt?
    /// Of the connection that the delegate has.
    private var current: Int?

    /// A look for a better address.
    private var search: UplinkAttempt?
    private var searchTimer: Scheduled<Void>?
    private var returnDelay: Duration
    /// The delegate has a connection that was found so, and the broker has not accepted it yet.
    private var isTrial = false
    private var held: (channel: UplinkChannel, index: Int)?
    private var holdTimer: Scheduled<Void>?

    /// - Parameters:
    ///   - addresses: At least one, in order of preference.
    ///   - localAddress: The address of this machine to connect from; nil: the system's choice.
    ///   - returnAfter: How long a connection to a later address lives before the earlier ones are tried again; nil: for
    ///     good.
    package init(
        addresses: [UplinkAddress],
        configuration: UplinkChannel.Configuration = .init(),
        proxy: HTTPProxy? = nil,
        localAddress: String? = nil,
        returnAfter: Duration? = nil,
        loop: any EventLoop,
        burst: WriteBurst
    ) {
        precondition(!addresses.isEmpty, "an uplink has at least one address")
        self.dialer = UplinkDialer(
            addresses: addresses,
            configuration: configuration,
            proxy: proxy,
            localAddress: localAddress,
            loop: loop,
            burst: burst
        )
        self.returnAfter = returnAfter
        self.returnDelay = returnAfter ?? .zero
        self.loop = loop
    }

    /// Begins an attempt over all addresses; an earlier one is cancelled. The delegate, which is not retained, hears either
    /// of a channel or of the failure with the reason of each address, not before this returns.
    package func connect(delegate: any UplinkChannelDelegate) {
        self.loop.preconditionInEventLoop()
        self.cancelAttempts()
        self.delegate = delegate
        if self.isTrial {
            // The better address was none: the broker there did not accept the gateway.
            self.isTrial = false
            self.returnDelay = min(self.returnDelay * 2, max(Self.maxReturnDelay, self.returnDelay))
        }
        let count = self.dialer.addresses.count
        let start = self.held?.index ?? self.first
        self.first = (start + 1) % count
        let attempt = UplinkAttempt(self.dialer) { [weak self] outcome in
            guard let self else { return }
            self.attempt = nil
            switch outcome {
            case .ready(let channel, let index): self.deliver(channel, index)
            case .failed(let reason): self.delegate?.uplinkDisconnected(reason: reason)
            }
        }
        self.attempt = attempt
        let order = (0..<count).map { (start + $0) % count }
        guard self.held != nil else { return attempt.start(order) }
        self.loop.assumeIsolated().execute { [weak self] in
            guard let self, self.attempt === attempt else { return }
            // It may have ended in between.
            guard let held = self.takeHeld() else { return attempt.start(order) }
            self.attempt = nil
            self.isTrial = true
            self.deliver(held.channel, held.index)
        }
    }

    /// The broker accepted this connection: the next attempt begins with the first address again.
    package func connectionWasAccepted() {
        self.first = 0
        self.isTrial = false
        if self.current == 0, let returnAfter = self.returnAfter { self.returnDelay = returnAfter }
        self.scheduleSearch()
    }

    /// Gives up whatever is under way. A connection that the delegate already has is not touched.
    package func cancel() {
        self.cancelAttempts()
        self.takeHeld()?.channel.close()
        self.delegate = nil
    }

    /// Makes a new connection beside the present one, for its certificate is to be replaced: the delegate hears of it as of a
    /// better address. Nothing happens if there is none.
    package func renew() {
        guard let current = self.current, self.attempt == nil else { return }
        self.look(through: current)
    }

    private func deliver(_ channel: UplinkChannel, _ index: Int) {
        guard let delegate = self.delegate else { return channel.close() }
        self.current = index
        channel.attach(delegate)
        delegate.uplinkConnected(channel)
    }

    private func cancelAttempts() {
        self.attempt?.cancel()
        self.attempt = nil
        self.current = nil
        self.search?.cancel()
        self.search = nil
        self.searchTimer?.cancel()
        self.searchTimer = nil
    }

    // MARK: Better addresses

    private func scheduleSearch() {
        guard self.returnAfter != nil, let current = self.current, current > 0 else { return }
        self.searchTimer?.cancel()
        let time = TimeAmount(self.returnDelay)
        self.searchTimer = self.loop.assumeIsolated().scheduleTask(in: time) { [weak self] in
            self?.look(through: current - 1)
        }
    }

    private func look(through last: Int) {
        guard self.search == nil, self.held == nil else { return }
        let search = UplinkAttempt(self.dialer) { [weak self] outcome in
            guard let self else { return }
            self.search = nil
            switch outcome {
            case .ready(let channel, let index): self.hold(channel, index)
            case .failed: self.scheduleSearch()
            }
        }
        self.search = search
        search.start(Array(0...last))
    }

    private func hold(_ channel: UplinkChannel, _ index: Int) {
        self.held = (channel, index)
        channel.hold { [weak self] in
            guard self?.takeHeld() != nil else { return }
            self?.scheduleSearch()
        }
        self.holdTimer = self.loop.assumeIsolated().scheduleTask(in: Self.holdTime) { [weak self] in
            self?.takeHeld()?.channel.close()
            self?.scheduleSearch()
        }
        self.delegate?.uplinkCanChangeOver(to: channel.address)
    }

    private func takeHeld() -> (channel: UplinkChannel, index: Int)? {
        self.holdTimer?.cancel()
        self.holdTimer = nil
        return self.held.take()
    }
}
