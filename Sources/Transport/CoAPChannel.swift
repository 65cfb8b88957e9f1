package import CoAPEndpoint
import Logging
import NIOCore
package import OpenSSL

/// One UDP socket with its machines: ``CoAPServer`` and, for `coaps`, ``DTLSServer``. Carries datagrams to them, does what they say, keeps
/// their time.
///
/// All methods belong to the loop. What is given out in one turn of it leaves with one system call at its end. After the socket has closed
/// everything is passed over.
package final class CoAPChannel {
    /// Datagrams of one read, and reads before others have their turn.
    static let datagramsAtOnce = 32
    static let readsAtOnce: UInt = 4
    /// Bytes that the socket has not taken. What comes on top is lost, as UDP may, and sent again by those who want it.
    static let maxUnsentBytes = 512 << 10

    /// A DTLS session that the delegate let in.
    private struct Session {
        let peer: CoAPPeer
        /// The delegate is done with it.
        var isClosing = false
    }

    let configuration: CoAPListener.Configuration
    private let server: CoAPServer
    private let dtls: DTLSServer?
    private let logger: Logger
    private let loop: any EventLoop
    /// Until the socket has closed.
    private var delegate: (any CoAPChannelDelegate)?
    var context: ChannelHandlerContext?
    var isIPv6 = false
    var isClosing = false

    private var sessions: [UInt32: Session] = [:]
    private var actions: [CoAPAction] = []
    private var secureActions: [DTLSAction] = []
    /// Actions are being carried out: what is added is, too.
    private var isPerforming = false
    private var isTurnScheduled = false
    /// Of the burst that is being read; `nil`: none is.
    var burst: NIODeadline?
    private var timer: Scheduled<Void>?
    private var timerDue: NIODeadline?
    var hasWritten = false
    /// Datagrams of this socket.
    package internal(set) var datagrams = DatagramCounters()

    init(
        configuration: CoAPListener.Configuration,
        dtls: DTLSConfiguration?,
        protection: (any CoAPProtection)?,
        logger: Logger,
        delegate: any CoAPChannelDelegate,
        loop: any EventLoop
    ) throws(TLSError) {
        self.configuration = configuration
        self.server = CoAPServer(configuration.server, protection: protection, now: .now())
        self.dtls = if let dtls { try DTLSServer(dtls) } else { nil }
        self.logger = logger
        self.delegate = delegate
        self.loop = loop
    }

    var isSecure: Bool { self.dtls != nil }
    /// Longest datagram that is taken: a message, and what DTLS puts around it.
    var maxReceiveBytes: Int { self.configuration.server.maxMessageBytes + (self.isSecure ? 128 : 0) }
    /// One byte more than is taken, so that what was cut is told from what was not.
    var receiveBytes: Int { self.maxReceiveBytes + 1 }

    // MARK: What the owner may ask

    package var counters: CoAPCounters { self.server.counters }
    package var dtlsCounters: DTLSCounters? { self.dtls?.counters }
    /// Peers that something is remembered of.
    package var peerCount: Int { self.server.peerCount }
    /// Established DTLS sessions.
    package var sessionCount: Int { self.dtls?.sessionCount ?? 0 }
    package var observationCount: Int { self.server.observationCount }

    /// For limits and logs; never who somebody is.
    package func address(of peer: CoAPPeer) -> PeerAddress { PeerAddress(DatagramAddress(peer)) }

    // MARK: What the owner decides

    /// Answers a request, once. One that is answered already, or whose peer is gone, is passed over.
    ///
    /// - Parameter observing: Take the client as an observer if it asked for that (``CoAPRequest/wantsObservation``).
    /// - Returns: The observation, for ``notify(_:_:isConfirmable:)``; `nil`: none was asked for, or there is no room.
    @discardableResult
    package func respond(
        to id: CoAPRequest.ID,
        _ response: CoAPResponse,
        observing: Bool = false
    ) -> CoAPObservationID? {
        guard self.isOpen else { return nil }
        defer { self.settle() }
        return self.server.respond(to: id, response, observing: observing, now: self.now, into: &self.actions)
    }

    /// Leaves a request without an answer, for good.
    package func ignore(_ id: CoAPRequest.ID) {
        guard self.isOpen else { return }
        self.server.ignore(id, now: self.now, into: &self.actions)
        self.settle()
    }

    /// Asks for the request again with a fresh Echo value (RFC 9175 §2.3).
    package func challenge(_ id: CoAPRequest.ID) {
        guard self.isOpen else { return }
        self.server.challenge(id, now: self.now, into: &self.actions)
        self.settle()
    }

    /// Tells an observer of a new representation.
    ///
    /// - Parameter isConfirmable: It has to be acknowledged, whatever the server would choose; then
    ///   ``CoAPChannelDelegate/notificationConfirmed(_:on:)`` follows.
    /// - Returns: False if there is no such observation.
    @discardableResult
    package func notify(_ id: CoAPObservationID, _ response: CoAPResponse, isConfirmable: Bool = false) -> Bool {
        guard self.isOpen else { return false }
        defer { self.settle() }
        return self.server.notify(id, response, isConfirmable: isConfirmable, now: self.now, into: &self.actions)
    }

    /// Ends an observation silently: the peer is not told, nor is the delegate.
    package func endObservation(_ id: CoAPObservationID) {
        guard self.isOpen else { return }
        self.server.endObservation(id, now: self.now, into: &self.actions)
        self.settle()
    }

    /// Ends a DTLS session: its device was revoked. The delegate is told of the end, but gets nothing more of it before.
    package func closeSession(_ session: UInt32) {
        guard self.isOpen, let dtls = self.dtls, self.sessions[session] != nil else { return }
        self.sessions[session]?.isClosing = true
        dtls.close(session, into: &self.secureActions)
        self.settle()
    }

    private var isOpen: Bool { self.context != nil && self.delegate != nil }
    private var now: NIODeadline { self.burst ?? .now() }

    // MARK: Carrying out

    /// A datagram came.
    func receive(_ datagram: ByteBuffer, from address: DatagramAddress, isMulticast: Bool, now: NIODeadline) {
        if let dtls = self.dtls {
            dtls.receive(datagram, from: address.dtls, now: now, into: &self.secureActions)
        } else {
            self.server.receive(
                datagram,
                from: address.peer(listener: self.configuration.number),
                isMulticast: isMulticast,
                now: now,
                into: &self.actions
            )
        }
        self.perform()
    }

    /// What the owner's decision brought is carried out with that of others at the end of the turn, unless a turn is on already.
    private func settle() {
        guard !self.isPerforming, self.burst == nil, !self.isTurnScheduled else { return }
        self.isTurnScheduled = true
        self.loop.assumeIsolated().execute {
            self.isTurnScheduled = false
            self.perform()
            self.endTurn()
        }
    }

    /// Everything that was asked for leaves, and the clock is set.
    func endTurn() {
        if self.hasWritten {
            self.hasWritten = false
            self.context?.flush()
        }
        self.setTimer()
    }

    private func perform() {
        guard !self.isPerforming else { return }
        self.isPerforming = true
        repeat {
            self.performPlain()
            guard !self.secureActions.isEmpty else { break }
            let batch = self.secureActions
            self.secureActions.removeAll(keepingCapacity: false)
            for action in batch {
                self.perform(action)
                // What a session brought comes before its end.
                self.performPlain()
            }
        } while true
        self.isPerforming = false
    }

    private func performPlain() {
        while !self.actions.isEmpty {
            var batch: [CoAPAction] = []
            swap(&batch, &self.actions)
            for action in batch { self.perform(action) }
        }
    }

    private func perform(_ action: CoAPAction) {
        switch action {
        case .send(let datagram, let peer):
            if peer.isSecure {
                self.dtls?.send(datagram, session: peer.session, into: &self.secureActions)
            } else {
                self.send(datagram, to: DatagramAddress(peer))
            }
        case .request(let request):
            // Nothing more of a session that the delegate has closed.
            if request.peer.isSecure, self.sessions[request.peer.session]?.isClosing != false { return }
            self.delegate?.received(request, on: self)
        case .observationDue(let id):
            self.delegate?.observationDue(id, on: self)
        case .observationEnded(let id, let end):
            self.delegate?.observationEnded(id, end, on: self)
        case .notificationConfirmed(let id):
            self.delegate?.notificationConfirmed(id, on: self)
        }
    }

    private func perform(_ action: DTLSAction) {
        switch action {
        case .send(let datagram, let address):
            self.send(datagram, to: DatagramAddress(address))
        case .received(let session, let plaintext):
            guard let session = self.sessions[session], !session.isClosing else { return }
            self.server.receive(plaintext, from: session.peer, now: self.now, into: &self.actions)
        case .established(let session, let address, let identity, let isResumed):
            let address = DatagramAddress(address)
            let isWelcome = self.delegate?.established(
                session: session,
                identity: identity,
                isResumed: isResumed,
                from: PeerAddress(address),
                on: self
            )
            guard isWelcome == true else {
                self.dtls?.close(session, into: &self.secureActions)
                return
            }
            let peer = address.peer(listener: self.configuration.number, session: session)
            self.sessions[session] = Session(peer: peer)
        case .ended(let session, let end):
            guard let peer = self.sessions.removeValue(forKey: session)?.peer else { return }
            self.server.forget(peer, into: &self.actions)
            self.performPlain()
            self.delegate?.ended(session: session, end, on: self)
        case .unfinished(let address, let identity, let isIdentityKnown):
            self.delegate?.handshakeFailed(
                identity: identity,
                isIdentityKnown: isIdentityKnown,
                from: PeerAddress(DatagramAddress(address)),
                on: self
            )
        }
    }

    // MARK: Time

    /// Timers are no closer than this.
    private static let tick: TimeAmount = .milliseconds(1)

    /// One task at most, which is only set anew when the deadline has come nearer: one that fires early does no harm.
    private func setTimer() {
        var deadline = self.server.nextDeadline
        if let other = self.dtls?.nextDeadline { deadline = min(deadline ?? other, other) }
        guard let deadline, self.isOpen else { return }
        if let due = self.timerDue, due <= deadline { return }
        self.timer?.cancel()
        let due = max(deadline, self.now + Self.tick)
        self.timerDue = due
        self.timer = self.loop.assumeIsolated().scheduleTask(deadline: due) {
            self.timer = nil
            self.timerDue = nil
            self.tick()
        }
    }

    private func tick() {
        guard self.isOpen else { return }
        let now = NIODeadline.now()
        self.server.tick(now: now, into: &self.actions)
        self.dtls?.tick(now: now, into: &self.secureActions)
        self.perform()
        self.endTurn()
    }

    // MARK: Ends

    /// Says to all DTLS peers that this side is done: those that are told come again at once, the others only when they miss an answer.
    func sayFarewell() {
        for session in self.sessions.keys { self.dtls?.close(session, into: &self.secureActions) }
        self.perform()
        self.endTurn()
    }

    /// The socket has closed.
    func closed() {
        self.timer?.cancel()
        self.timer = nil
        self.delegate = nil
        self.context = nil
    }

    /// The socket has closed, and nobody asked for it.
    func closedByItself(_ address: SocketAddress?) {
        self.logger.error(
            "a listener has closed by itself: nobody is heard there until a restart",
            metadata: ["address": "\(address?.description ?? "\(self.configuration.host):\(self.configuration.port)")"]
        )
    }

    func note(_ error: any Error) {
        self.logger.debug("an error of a UDP socket", metadata: ["error": "\(error)"])
    }
}
