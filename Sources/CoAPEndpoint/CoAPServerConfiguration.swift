package import NIOCore

/// What a ``CoAPServer`` may hold, and for how long.
package struct CoAPServerConfiguration: Sendable {
    // MARK: Transmission (RFC 7252 §4.8)

    /// ACK_TIMEOUT.
    package var ackTimeout: TimeAmount = .seconds(2)
    /// ACK_RANDOM_FACTOR, 1 or more: the first wait lies between ``ackTimeout`` and as many times that.
    package var ackRandomFactor = 1.5
    /// MAX_RETRANSMIT.
    package var maxRetransmit = 4
    /// MAX_LATENCY.
    package var maxLatency: TimeAmount = .seconds(100)
    /// NSTART: confirmable messages under way to one peer.
    package var nStart = 1
    /// DEFAULT_LEISURE: answers to multicast are spread over so long (RFC 7252 §8.2).
    package var leisure: TimeAmount = .seconds(5)
    /// How long a response may take to still travel in the acknowledgement. Below ``ackTimeout``, or clients send again
    /// first; many small nodes understand no response that comes apart from it.
    package var piggybackWithin: TimeAmount = .milliseconds(500)

    // MARK: Peers and their messages

    /// Bytes of a datagram that is read.
    package var maxMessageBytes = 4096
    /// Peers that something is remembered of.
    package var maxPeers = 20_000
    /// Requests that wait for the owner's response, of one peer and in all; of one peer those count as well whose separate
    /// response is not acknowledged, and those that OSCORE opens are counted apart. Over the first a peer gets 4.29, over
    /// the second 5.03.
    package var maxOpenPerPeer = 16
    package var maxOpen = 4096
    /// Requests remembered once they are answered, with their replies, so that one that comes twice is carried out once: of
    /// one peer and in all. Over these the oldest of the lowest rank (``HistoryRank``) are forgotten. Those that a key has
    /// opened are counted apart, and there may be as many of them of one peer.
    package var maxHistoryPerPeer = 64
    package var maxHistory = 100_000
    /// Bytes of the replies among them.
    package var maxReplyBytesPerPeer = 64 << 10
    package var maxReplyBytes = 16 << 20
    /// Seconds in Max-Age of 4.29 and 5.03 that the server itself sends.
    package var retryAfter: UInt32 = 5

    // MARK: Blocks (RFC 7959)

    /// Bytes of a body put together from blocks, either way.
    package var maxBodyBytes = 64 << 10
    /// Size exponent of the blocks that are sent, 0 to 6; a client may ask for smaller ones.
    package var blockSizeExponent: UInt8 = 6
    /// Bodies under way, those that come and those that go apart: of one peer under one security context, and in all.
    package var maxBodiesPerPeer = 4
    package var maxBodies = 64
    /// Bytes of all bodies under way; those that come and those that go apart.
    package var maxBodiesBytes = 4 << 20
    /// How long a body waits for its next block.
    package var bodyLifetime: TimeAmount = .seconds(93)

    // MARK: Observers (RFC 7641)

    /// Observations of one peer under one security context, and in all.
    package var maxObservationsPerPeer = 32
    package var maxObservations = 10_000
    /// After so many notifications in a row that are not confirmable one is.
    package var confirmEvery = 5
    /// An observer is asked whether it is still there after so long; at most a day (RFC 7641 §4.5).
    package var confirmInterval: TimeAmount = .hours(1)
    /// Notifications in closer succession are confirmable, and so wait for each other (RFC 7641 §4.5.1).
    package var nonConfirmableSpacing: TimeAmount = .seconds(3)

    // MARK: Addresses that are not proven

    /// What is sent to an address that is not proven is at most so many times what came from there (RFC 9175 §2.4).
    package var amplificationFactor = 3

    package init() {}
}

extension CoAPServerConfiguration {
    /// MAX_TRANSMIT_SPAN (RFC 7252 §4.8.2).
    package var maxTransmitSpan: TimeAmount {
        self.scaled(Double((1 << self.maxRetransmit) - 1) * self.ackRandomFactor)
    }
    /// EXCHANGE_LIFETIME: for so long a Message ID means the same confirmable message. 247 s.
    package var exchangeLifetime: TimeAmount { self.maxTransmitSpan + self.maxLatency * 2 + self.ackTimeout }
    /// NON_LIFETIME: the same for one that is not confirmable. 145 s.
    package var nonLifetime: TimeAmount { self.maxTransmitSpan + self.maxLatency }

    private func scaled(_ factor: Double) -> TimeAmount {
        .nanoseconds(Int64(Double(self.ackTimeout.nanoseconds) * factor))
    }
}
