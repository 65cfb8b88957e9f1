package import NIOCore

/// What a ``CoAPObserver`` may hold, and how long it waits.
package struct CoAPObserverConfiguration: Sendable {
    // MARK: Transmission (RFC 7252 §4.8)

    /// ACK_TIMEOUT.
    package var ackTimeout: TimeAmount = .seconds(2)
    /// ACK_RANDOM_FACTOR, 1 or more: the first wait lies between ``ackTimeout`` and as many times that.
    package var ackRandomFactor = 1.5
    /// MAX_RETRANSMIT.
    package var maxRetransmit = 4
    /// NSTART: requests to one node that neither an ACK nor a response has come for.
    package var nStart = 1
    /// How long a response may take after the empty ACK of its request (RFC 7252 §5.2.2).
    package var responseTimeout: TimeAmount = .seconds(60)
    /// EXCHANGE_LIFETIME: for so long a message that comes again is known.
    package var exchangeLifetime: TimeAmount = .seconds(247)

    // MARK: Bounds

    /// Resources observed.
    package var maxTargets = 1024
    /// Bytes of a datagram that is read.
    package var maxMessageBytes = 4096
    /// Bytes of a representation put together from blocks.
    package var maxBodyBytes = 64 << 10
    /// Messages of one node that are known again.
    package var maxHistoryPerPeer = 48
    /// Confirmable messages of one node that wait for the owner's ``CoAPObserver/acknowledge(_:now:into:)``. Over this
    /// they are not taken, and the node sends them again.
    package var maxUnacknowledgedPerPeer = 16

    // MARK: When to ask again

    /// Added to Max-Age before a node that told nothing is asked again; somewhere in between (RFC 7641 §3.3.1).
    package var silenceAfterMaxAge: ClosedRange<TimeAmount> = .seconds(5)...(.seconds(15))
    /// The longest silence, however large Max-Age is: a node that was exchanged has forgotten its observers.
    package var maxSilence: TimeAmount = .hours(24)
    /// A resource that can't be observed is asked for when its Max-Age is over, and not more often than this.
    package var minPollInterval: TimeAmount = .seconds(10)
    /// Wait after a failure. It doubles with each one more, up to the second.
    package var minBackoff: TimeAmount = .seconds(5)
    package var maxBackoff: TimeAmount = .minutes(5)
    /// The longest wait that the Max-Age of a 5.03 or 4.29 can ask for.
    package var maxRetryAfter: TimeAmount = .hours(1)

    package init() {}
}
