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
    static let readsAtOnce = 4

    /// Places that are kept in the arrays of actions; what a busy moment took on top is given back.
    private static let keptActions = 256

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
    var isClosing = false
    /// `nil`: there is no socket.
    var sender: DatagramSender?
    var reader: DatagramReader?
    /// A sealed datagram, for the moment.
    private var sealed = ByteBuffer()
    /// Those of All CoAP Nodes, if it has to be in them.
    var groups: MulticastGroups?
    var locals = LocalAddresses()

    private var sessions: [UInt32: Session] = [:]
    /// Sessions to be closed once what was given out for them has left.
    private var closing: [UInt32] = []
    private var actions: [CoAPAction] = []
    private var secureActions: [DTLSAction] = []
    /// Arrays whose memory is used again.
    private var spareActions: [CoAPAction] = []
    private var spareSecureActions: [DTLSAction] = []
    /// Actions are being carried out: what is added is, too.
    private var isPerforming = false
    private var isTurnScheduled = false
    /// Of the burst that is being read; `nil`: none is.
    var burst: NIODeadline?
    /// When the groups are joined again.
    private var nextJoin: NIODeadline?
    private var memberships = -1
    private var timer: Scheduled<Void>?
    private var timerDue: NIODeadline?
    var traffic = DatagramCounters()

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
        self.server.needsEcho = { [unowned self] request in self.delegate?.needsEcho(request, on: self) == true }
    }

    var isSecure: Bool { self.dtls != nil }
    /// Longest datagram that is taken: a message, and what DTLS puts around it.
    var maxReceiveBytes: Int { self.configuration.server.maxMessageBytes + (self.isSecure ? 128 : 0) }

    // MARK: What the owner may ask

    /// Datagrams of this socket.
    package var datagrams: DatagramCounters {
        var counters = self.traffic
        counters.sent = self.sender?.sent ?? 0
        counters.sentBytes = self.sender?.sentBytes ?? 0
        counters.unsent = self.sender?.lost ?? 0
        return counters
    }
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

    /// Whether a request can still be answered.
    package func isWaiting(for id: CoAPRequest.ID) -> Bool { self.isOpen && self.server.isOpen(id) }

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
        guard self.isOpen, self.sessions[session]?.isClosing == false else { return }
        self.sessions[session]?.isClosing = true
        self.closing.append(session)
        self.settle()
    }

    /// Seals DTLS tickets with other keys from now on (``DTLSServer/replaceTicketKeys(_:)``).
    package func replaceTicketKeys(_ keys: [UInt8]) { self.dtls?.replaceTicketKeys(keys) }

    private var isOpen: Bool { self.context != nil && self.delegate != nil }
    private var now: NIODeadline { self.burst ?? .now() }

    // MARK: Carrying out

    /// A datagram came.
    ///
    /// - Parameter local: Number of the address that it was sent to.
    func receive(
        _ bytes: UnsafeRawBufferPointer,
        from address: DatagramAddress,
        local: UInt16,
        isMulticast: Bool,
        now: NIODeadline
    ) {
        if let kind = MisdirectedProtocol(bytes, isSecure: self.isSecure) {
            self.delegate?.misdirected(kind, from: PeerAddress(address), on: self)
        }
        if let dtls = self.dtls {
            self.sealed.clear()
            self.sealed.writeBytes(bytes)
            dtls.receive(self.sealed, from: address.dtls(local: local), now: now, into: &self.secureActions)
        } else {
            self.server.receive(
                ByteBuffer(bytes: bytes),
                from: address.peer(listener: self.configuration.number, local: local),
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
        if let error = self.sender?.flush() { self.note(error) }
        self.setTimer()
    }

    private func perform() {
        guard !self.isPerforming else { return }
        self.isPerforming = true
        repeat {
            self.performPlain()
            for session in self.closing { self.dtls?.close(session, into: &self.secureActions) }
            self.closing = []
            guard !self.secureActions.isEmpty else { break }
            swap(&self.secureActions, &self.spareSecureActions)
            for action in self.spareSecureActions {
                self.perform(action)
                // What a session brought comes before its end.
                self.performPlain()
            }
            self.spareSecureActions.removeAll(keepingCapacity: self.spareSecureActions.count <= Self.keptActions)
        } while true
        self.isPerforming = false
    }

    private func performPlain() {
        while !self.actions.isEmpty {
            swap(&self.actions, &self.spareActions)
            for action in self.spareActions { self.perform(action) }
            self.spareActions.removeAll(keepingCapacity: self.spareActions.count <= Self.keptActions)
        }
    }

    private func perform(_ action: CoAPAction) {
        switch action {
        case .send(let datagram, let peer):
            if peer.isSecure {
                self.dtls?.send(datagram, session: peer.session, into: &self.secureActions)
            } else {
                self.sender?.add(datagram, to: DatagramAddress(peer), from: self.locals[peer.local])
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
            self.sender?.add(datagram, to: DatagramAddress(address), from: self.locals[address.local])
        case .received(let session, let plaintext):
            guard let session = self.sessions[session], !session.isClosing else { return }
            self.server.receive(plaintext, from: session.peer, now: self.now, into: &self.actions)
        case .established(let session, let address, let identity, let isResumed):
            let source = DatagramAddress(address)
            let isWelcome = self.delegate?.established(
                session: session,
                identity: identity,
                isResumed: isResumed,
                from: PeerAddress(source),
                on: self
            )
            guard isWelcome == true else {
                self.dtls?.close(session, into: &self.secureActions)
                return
            }
            let number = self.configuration.number
            let peer = source.peer(listener: number, local: address.local, session: session)
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
    /// How long a socket that took no more is left alone.
    private static let sendAgain: TimeAmount = .milliseconds(2)
    /// How often it is looked for new interfaces.
    private static let joinInterval: TimeAmount = .minutes(1)

    /// One task at most, which is only set anew when the deadline has come nearer: one that fires early does no harm.
    private func setTimer() {
        var deadline = self.server.nextDeadline
        for other in [self.dtls?.nextDeadline, self.nextJoin] {
            if let other { deadline = min(deadline ?? other, other) }
        }
        // The socket takes no more.
        if self.sender?.isEmpty == false { deadline = min(deadline ?? .distantFuture, self.now + Self.sendAgain) }
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
        if let due = self.nextJoin, due <= now { self.joinGroups() }
        self.server.tick(now: now, into: &self.actions)
        self.dtls?.tick(now: now, into: &self.secureActions)
        self.perform()
        self.endTurn()
    }

    /// Joins the groups that it has to be in, on interfaces that have come since, too.
    func joinGroups() {
        guard let groups = self.groups else { return }
        self.nextJoin = .now() + Self.joinInterval
        let count = groups.join()
        if count == 0, self.memberships != 0 {
            self.logger.warning("no network interface for multicast: devices can't discover this gateway by it")
        }
        self.memberships = count
    }

    // MARK: Ends

    /// Says to all DTLS peers that this side is done: those that are told come again at once, the others only when they miss an answer.
    func sayFarewell() {
        for session in self.sessions.keys { self.closeSession(session) }
        self.perform()
        self.endTurn()
    }

    /// The socket has closed.
    func closed() {
        self.timer?.cancel()
        self.timer = nil
        self.delegate = nil
        self.context = nil
        self.sender = nil
        self.reader = nil
        self.groups = nil
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
