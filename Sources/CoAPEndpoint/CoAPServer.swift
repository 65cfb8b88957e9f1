internal import CoAPCodec
internal import DequeModule
internal import HeapModule
package import NIOCore

/// The gateway's side of CoAP with any number of peers: messages, exchanges, blocks, observers (RFC 7252, 7641, 7959, 9175,
/// 7967).
///
/// Pure: datagrams come in, ``CoAPAction`` go out in order, time comes in as `now`, which never runs backwards. Owned by one
/// event loop. ``nextDeadline`` says when ``tick(now:into:)`` must be called at the latest; a timer that fires early does no
/// harm, so it need be set anew only when it has fired, or when the deadline has come nearer.
///
/// The owner answers each ``CoAPRequest``, once, at any time. A request that comes again is answered with the reply that
/// went out, and never reaches the owner twice while it is remembered.
package final class CoAPServer {
    /// As given.
    package let configuration: CoAPServerConfiguration
    /// OSCORE; `nil`: its option is one that is not understood.
    let protection: (any CoAPProtection)?
    /// Asked of each request with Block1 whose sender has shown no key: whether it is to be sent again with a fresh Echo
    /// value before the block is taken. A body is as fresh as its oldest block, and anybody could put in one that brings no
    /// such value. The request has the block alone as its payload. Called in the middle of
    /// ``receive(_:from:isMulticast:now:into:)``: it may not call the server.
    package var needsEcho: ((CoAPRequest) -> Bool)?
    let exchangeLifetime: TimeAmount
    let nonLifetime: TimeAmount
    let echo: EchoSource
    var generator: Jitter
    /// What was seen and done.
    package var counters: CoAPCounters {
        var counters = self.counts
        counters.bodiesGivenUp = self.incoming.givenUp
        return counters
    }

    var counts = CoAPCounters()
    var peers: PeerTable
    /// Requests that wait for the owner.
    var open: [CoAPRequest.ID: Exchange] = [:]
    /// Requests that were answered.
    var history = RequestHistory()
    /// Open confirmable requests in the order in which their empty ACKs are due.
    var acknowledgements: Deque<(due: NIODeadline, exchange: Exchange)> = []
    var timers: Heap<Timer> = []
    /// Responses to multicasts that wait out their leisure.
    var delayed: [UInt64: (datagram: ByteBuffer, peer: CoAPPeer)] = [:]
    var incoming: IncomingBodies
    var outgoing: OutgoingBodies
    var observations: [CoAPObservationID: Observation] = [:]
    /// Of the last notification, 24 bits (RFC 7641 §4.4).
    var observeSequence: UInt32
    /// Whether a look at the observers has its time.
    var looksAtObservers = false
    private var lastID: UInt64 = 0

    /// Something to be done at a time.
    struct Timer: Comparable {
        enum Kind {
            case retransmission(CoAPPeer, messageID: UInt16)
            case delayed(UInt64)
            /// A look at all observers.
            case observers
        }

        let due: NIODeadline
        let kind: Kind

        static func < (left: Timer, right: Timer) -> Bool { left.due < right.due }
        static func == (left: Timer, right: Timer) -> Bool { left.due == right.due }
    }

    /// - Parameters:
    ///   - seed: Of jitter and Message IDs; a test's, for in service nobody may know it.
    package init(
        _ configuration: CoAPServerConfiguration,
        protection: (any CoAPProtection)? = nil,
        seed: UInt64? = nil,
        now: NIODeadline
    ) {
        precondition((0...6).contains(configuration.blockSizeExponent), "block size exponent over 6")
        precondition(configuration.nStart >= 1, "NSTART below 1")
        self.configuration = configuration
        self.protection = protection
        self.exchangeLifetime = configuration.exchangeLifetime
        self.nonLifetime = configuration.nonLifetime
        self.echo = EchoSource()
        self.generator = Jitter(seed: seed)
        self.peers = PeerTable(limit: configuration.maxPeers)
        self.incoming = IncomingBodies(configuration)
        self.outgoing = OutgoingBodies(configuration)
        // Ahead of what an earlier run of the gateway has sent, unless it sent a thousand a second: a client that
        // registers again under the same token takes what comes for new (RFC 7641 §3.4).
        self.observeSequence = UInt32(truncatingIfNeeded: now.uptimeNanoseconds >> 20) & CoAPObserve.sequenceMask
    }

    /// For a request, an observation, a delayed response: never used twice.
    func nextID() -> UInt64 {
        self.lastID += 1
        return self.lastID
    }

    // MARK: What the owner may ask

    /// Peers that something is remembered of.
    package var peerCount: Int { self.peers.count }
    /// Whether a request still waits for its response: its peer is not forgotten.
    package func isOpen(_ id: CoAPRequest.ID) -> Bool { self.open[id] != nil }
    /// Requests that wait for the owner.
    package var openCount: Int { self.open.count }
    /// Observations.
    package var observationCount: Int { self.observations.count }
    /// Requests that are remembered since they were answered, and the bytes of their replies.
    package var remembered: (requests: Int, replyBytes: Int) {
        (self.history.counts.total, self.history.replyBytes.total)
    }

    /// Until when ``tick(now:into:)`` must be called at the latest; `nil` when there is nothing to wait for.
    package var nextDeadline: NIODeadline? {
        var next = self.timers.min?.due
        for other in [self.acknowledgements.first?.due, self.incoming.nextExpiry, self.outgoing.nextExpiry] {
            if let other { next = min(next ?? other, other) }
        }
        return next
    }

    // MARK: Time

    func setTimer(_ due: NIODeadline, _ kind: Timer.Kind) {
        self.timers.insert(Timer(due: due, kind: kind))
    }

    /// Time has passed.
    package func tick(now: NIODeadline, into actions: inout [CoAPAction]) {
        while let first = self.acknowledgements.first, first.due <= now {
            self.acknowledgements.removeFirst()
            if first.exchange.isOpen { self.acknowledge(first.exchange, now: now, into: &actions) }
        }
        while let timer = self.timers.min, timer.due <= now {
            self.timers.removeMin()
            switch timer.kind {
            case .retransmission(let peer, let messageID):
                self.retransmit(messageID, to: peer, now: now, into: &actions)
            case .delayed(let id):
                if let (datagram, peer) = self.delayed.removeValue(forKey: id) {
                    actions.append(.send(datagram, to: peer))
                }
            case .observers:
                self.askObservers(now: now, into: &actions)
            }
        }
        self.incoming.expire(now: now)
        self.outgoing.expire(now: now)
        self.forgetOld(now: now)
    }

    /// The owner is done with a peer: its DTLS session has ended. Open requests of it are not answered any more.
    package func forget(_ peer: CoAPPeer, into actions: inout [CoAPAction]) {
        guard let state = self.peers[peer] else { return }
        for observation in state.observations {
            self.observations[observation.id] = nil
            actions.append(.observationEnded(observation.id, .forgotten))
        }
        state.observations = []
        self.remove(state)
    }

    /// Takes a peer out of all tables. No observation is left.
    func remove(_ state: PeerState) {
        for request in state.history where request.isOpen {
            // Whoever holds it yet must not go on to its peer.
            self.open.removeValue(forKey: request.id)?.isOpen = false
        }
        self.history.noteGone(state)
        state.forgetAll()
        self.incoming.forget(state.peer)
        self.outgoing.forget(state.peer)
        self.peers.remove(state)
    }
}

/// Jitter and Message IDs: repeatable in tests, the system's random numbers in service.
struct Jitter: RandomNumberGenerator {
    private var state: UInt64?
    private var system = SystemRandomNumberGenerator()

    init(seed: UInt64?) {
        self.state = seed
    }

    /// SplitMix64 (Steele, Lea and Flood 2014) if there is a seed.
    mutating func next() -> UInt64 {
        guard var state = self.state else { return self.system.next() }
        state &+= 0x9E37_79B9_7F4A_7C15
        self.state = state
        return Self.mixed(state)
    }

    /// Has each bit change each other one half of the time.
    static func mixed(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
