package import NIOCore

/// Many DTLS 1.2 sessions over one socket, as a machine: datagrams in, actions out, time as an argument (RFC 6347).
///
/// Nothing is kept of an address before it has brought its cookie back. A peer that has started anew on its old port is let
/// in beside its old session, which goes when the new one has proven the key (RFC 6347 §4.2.8): a forger who replays an old
/// ClientHello takes nothing away. Belongs to one event loop.
package final class DTLSServer {
    /// What there is of one address.
    private struct Peer {
        /// The session, or the handshake if there is no session yet.
        var session: DTLSSession
        /// A handshake beside an established session.
        var successor: DTLSSession?
    }

    package let configuration: DTLSConfiguration
    private let context: DTLSContext
    /// Looks at ClientHellos, until one has its cookie.
    private var listener: DTLSSession
    private var peers: [DTLSAddress: Peer] = [:]
    /// Established ones.
    private var addresses: [UInt32: DTLSAddress] = [:]
    /// Addresses with a handshake, oldest first; some are done.
    private var halfOpen: [DTLSSession] = []
    private var nextSweep: NIODeadline?
    /// Up to when handshakes that were begun use up what is allowed (the generic cell rate algorithm).
    private var handshakesPaid = NIODeadline.uptimeNanoseconds(0)
    private var share = DTLSShare()
    private var lastID: UInt32 = 0
    package private(set) var counters = DTLSCounters()

    /// The first wait for the client's next flight; each further one is twice as long (RFC 6347 §4.2.4.1).
    private static let firstRetransmission: TimeAmount = .seconds(1)
    /// Handshakes that may come in one moment.
    private static let handshakesAtOnce: Int64 = 50

    package init(_ configuration: DTLSConfiguration) throws(TLSError) {
        self.configuration = configuration
        self.context = try DTLSContext(configuration)
        self.listener = try Self.spare(self.context, configuration)
    }

    private static func spare(
        _ context: DTLSContext,
        _ configuration: DTLSConfiguration
    ) throws(TLSError) -> DTLSSession {
        try DTLSSession(
            context,
            address: DTLSAddress(high: 0, low: 0, port: 0),
            maxDatagramBytes: configuration.maxDatagramBytes
        )
    }

    /// Established sessions.
    package var sessionCount: Int { self.addresses.count }
    /// Handshakes behind the cookie.
    package var halfOpenCount: Int { self.halfOpen.count }

    /// Until when ``tick(now:into:)`` must be called at the latest; `nil` when there is nothing to wait for.
    package var nextDeadline: NIODeadline? {
        var next = self.nextSweep
        for session in self.halfOpen {
            let due = min(session.retransmitAt, session.began + self.configuration.handshakeTimeout)
            next = min(next ?? due, due)
        }
        return next
    }

    // MARK: Datagrams

    /// A datagram came.
    package func receive(
        _ datagram: ByteBuffer,
        from address: DTLSAddress,
        now: NIODeadline,
        into actions: inout [DTLSAction]
    ) {
        var (datagram, first) = (datagram, DTLSRecord(datagram))
        if let rest = DTLSRecordFilter.withoutForgeries(datagram, isHello: first?.clientRandom != nil) {
            (datagram, first) = (rest, DTLSRecord(rest))
        }
        guard let record = first else {
            self.counters.strays += 1
            return
        }
        let peer = self.peers[address]
        if let random = record.clientRandom {
            // A repetition of the hello that made a handshake is for that one; every other begins anew.
            for session in [peer?.successor, peer?.session].compactMap(\.self)
            where !session.isEstablished && session.clientRandom == random {
                return self.drive(session, datagram, now: now, into: &actions)
            }
            return self.listen(
                datagram,
                random,
                hasCookie: record.hasCookie,
                from: address,
                now: now,
                into: &actions
            )
        }
        guard let peer else {
            self.counters.strays += 1
            return
        }
        if let successor = peer.successor, record.isHandshake {
            self.drive(successor, datagram, now: now, into: &actions)
        } else {
            self.drive(peer.session, datagram, now: now, into: &actions)
        }
    }

    /// Handshakes of one network in a second, so that it does not take all there are.
    private var shareOfOne: Int { max(self.configuration.handshakesPerSecond / 4, Int(Self.handshakesAtOnce)) }

    private func listen(
        _ datagram: ByteBuffer,
        _ random: [UInt8],
        hasCookie: Bool,
        from address: DTLSAddress,
        now: NIODeadline,
        into actions: inout [DTLSAction]
    ) {
        let interval = TimeAmount.nanoseconds(1_000_000_000 / Int64(max(self.configuration.handshakesPerSecond, 1)))
        if hasCookie {
            guard self.handshakesPaid <= now + interval * Self.handshakesAtOnce,
                self.share.has(address, limit: self.shareOfOne, now: now), self.hasPlace(for: address, now: now)
            else {
                self.counters.postponed += 1  // It comes again in a second.
                return
            }
        }
        let session = self.listener
        let isProven = session.listen(datagram, from: address)
        if !isProven {
            let answers = session.takeOutgoing()
            if !answers.isEmpty { self.counters.cookies += 1 }
            for answer in answers { actions.append(.send(answer, to: address)) }
            return
        }
        self.handshakesPaid = max(self.handshakesPaid, now) + interval
        self.share.take(address)
        // Without a new spare nobody could come in: then this one does not either.
        guard let spare = try? Self.spare(self.context, self.configuration) else { return }
        self.listener = spare
        session.clientRandom = random
        session.began = now
        session.lastHeard = now
        self.makeRoomForHandshake(of: address, into: &actions)
        self.halfOpen.append(session)
        if let former = self.peers[address] {
            if former.session.isEstablished {
                if let other = former.successor { self.giveUp(other, into: &actions) }
                self.peers[address]?.successor = session
            } else {
                self.giveUp(former.session, into: &actions)
                self.peers[address] = Peer(session: session)
            }
        } else {
            self.peers[address] = Peer(session: session)
        }
        self.drive(session, nil, now: now, into: &actions)
    }

    /// Hands a datagram to its session, and takes what comes of it.
    private func drive(
        _ session: DTLSSession,
        _ datagram: ByteBuffer?,
        now: NIODeadline,
        into actions: inout [DTLSAction]
    ) {
        var received: [ByteBuffer] = []
        let outcome = session.receive(datagram) { received.append($0) }
        let answers = session.takeOutgoing()
        if !session.isEstablished, session.isHandshakeComplete, !session.hasPresentKey {
            return self.giveUp(session, into: &actions)
        }
        for answer in answers { actions.append(.send(answer, to: session.address)) }
        if !session.isEstablished {
            if session.isHandshakeComplete {
                self.establish(session, now: now, into: &actions)
            } else if !answers.isEmpty {
                session.flight = answers
                session.retransmitWait = Self.firstRetransmission
                session.retransmitAt = now + Self.firstRetransmission
            }
        }
        if let datagram { self.judgeFinished(of: session, datagram, into: &actions) }
        if session.isEstablished, !received.isEmpty {
            session.lastHeard = now
            for plaintext in received { actions.append(.received(session: session.id, plaintext)) }
        }
        switch outcome {
        case .open: break
        case .closed: self.end(session, .closed, into: &actions)
        case .failed where session.isEstablished: self.end(session, .failed, into: &actions)
        case .failed: self.giveUp(session, into: &actions)
        }
    }

    /// Tells at once of a Finished that did not verify: of a wrong key and of a random one, which an unknown identity has, in the same moment. The
    /// session stays as it is, and the client hears nothing: it may time out as ever.
    private func judgeFinished(of session: DTLSSession, _ datagram: ByteBuffer, into actions: inout [DTLSAction]) {
        guard !session.isEstablished, !session.isTold else { return }
        if !session.hasFinishedCome { session.hasFinishedCome = DTLSRecord.areWithFinished(datagram) }
        if session.hasFinishedCome, session.isFinishedMissing { self.tellOfFailure(of: session, into: &actions) }
    }

    private func tellOfFailure(of session: DTLSSession, into actions: inout [DTLSAction]) {
        guard !session.isTold, let identity = session.identity else { return }
        session.isTold = true
        actions.append(
            .unfinished(address: session.address, identity: identity, isIdentityKnown: session.isIdentityKnown)
        )
    }

    private func establish(_ session: DTLSSession, now: NIODeadline, into actions: inout [DTLSAction]) {
        let address = session.address
        self.halfOpen.removeAll { $0 === session }
        if let former = self.peers[address]?.session, former !== session {
            // It has proven the key: what was here is of before its restart.
            self.peers[address]?.successor = nil
            self.end(former, .replaced, into: &actions)
        }
        if self.addresses.count >= self.configuration.maxSessions { self.crowdOut(into: &actions) }
        self.lastID = self.lastID == .max ? 1 : self.lastID + 1
        session.id = self.lastID
        session.isEstablished = true
        session.retransmitAt = .distantFuture
        session.flight = []
        session.freeBuffers()
        session.lastHeard = now
        self.peers[address] = Peer(session: session)
        self.addresses[session.id] = address
        self.counters.handshakes += 1
        if session.isResumed { self.counters.resumptions += 1 }
        actions.append(
            .established(
                session: session.id,
                address: address,
                identity: session.provenIdentity,
                isResumed: session.isResumed
            )
        )
        if self.nextSweep == nil { self.nextSweep = now + self.sweepInterval }
    }

    /// For tests.
    func session(of address: DTLSAddress) -> DTLSSession? { self.peers[address]?.session }

    // MARK: From the owner

    /// Sends plaintext as one datagram. False: there is no such session, or it can't be sealed.
    @discardableResult
    package func send(_ plaintext: ByteBuffer, session id: UInt32, into actions: inout [DTLSAction]) -> Bool {
        guard let address = self.addresses[id], let session = self.peers[address]?.session else { return false }
        let isSealed = session.write(plaintext)
        for datagram in session.takeOutgoing() { actions.append(.send(datagram, to: address)) }
        return isSealed
    }

    /// Ends a session: its device was revoked, or does not belong here.
    package func close(_ id: UInt32, into actions: inout [DTLSAction]) {
        guard let address = self.addresses[id], let session = self.peers[address]?.session else { return }
        self.end(session, .dropped, into: &actions)
    }

    /// Seals tickets with other keys from now on. Those of before are worth nothing any more: whoever brings one makes a full handshake.
    ///
    /// - Parameter keys: ``DTLSConfiguration/ticketKeyBytes`` bytes; others are not taken. Does nothing where there were none.
    package func replaceTicketKeys(_ keys: [UInt8]) {
        if self.configuration.ticketKeys != nil { _ = self.context.setTicketKeys(keys) }
    }

    // MARK: Time

    /// Time has passed.
    package func tick(now: NIODeadline, into actions: inout [DTLSAction]) {
        for session in self.halfOpen {
            if now >= session.began + self.configuration.handshakeTimeout {
                self.giveUp(session, into: &actions)
            } else if now >= session.retransmitAt {
                session.retransmitWait = session.retransmitWait * 2
                session.retransmitAt = now + session.retransmitWait
                self.counters.retransmissions += 1
                for datagram in session.flight { actions.append(.send(datagram, to: session.address)) }
            }
        }
        guard let sweep = self.nextSweep, now >= sweep else { return }
        for address in self.addresses.values {
            guard let session = self.peers[address]?.session else { continue }
            if now - session.lastHeard >= self.configuration.idleTimeout { self.end(session, .idle, into: &actions) }
        }
        self.nextSweep = self.addresses.isEmpty ? nil : now + self.sweepInterval
    }

    private var sweepInterval: TimeAmount {
        .nanoseconds(max(self.configuration.idleTimeout.nanoseconds / 16, 1_000_000))
    }

    // MARK: Ends

    private func end(_ session: DTLSSession, _ reason: DTLSEnd, into actions: inout [DTLSAction]) {
        guard session.isEstablished, self.addresses.removeValue(forKey: session.id) != nil else {
            return self.giveUp(session, into: &actions)
        }
        session.shutdown()
        // Whoever has started anew would not understand it.
        let farewell = session.takeOutgoing()
        if reason != .replaced { for datagram in farewell { actions.append(.send(datagram, to: session.address)) } }
        if let successor = self.peers[session.address]?.successor {
            self.peers[session.address] = Peer(session: successor)
        } else if self.peers[session.address]?.session === session {
            self.peers[session.address] = nil
        }
        actions.append(.ended(session: session.id, reason))
    }

    /// A handshake that came to nothing.
    private func giveUp(_ session: DTLSSession, into actions: inout [DTLSAction]) {
        guard let index = self.halfOpen.firstIndex(where: { $0 === session }) else { return }
        self.halfOpen.remove(at: index)
        self.counters.unfinished += 1
        self.tellOfFailure(of: session, into: &actions)
        if self.peers[session.address]?.successor === session {
            self.peers[session.address]?.successor = nil
        } else if self.peers[session.address]?.session === session {
            self.peers[session.address] = nil
        }
    }

    /// A handshake that has had so long gives way to a new one. One that is younger does not: its peer would repeat its last words
    /// for a minute before it began anew, while who is not let in says hello again in a second.
    private static let handshakePatience = TimeAmount.seconds(3)

    /// Half-open places of one network, so that it does not take all there are.
    private var placesOfOne: Int { max(self.configuration.maxHalfOpen / 4, 16) }

    private func oldestHalfOpen(of address: DTLSAddress) -> (session: DTLSSession, count: Int)? {
        var oldest: DTLSSession?
        var count = 0
        for session in self.halfOpen where session.address.network == address.network {
            if oldest == nil { oldest = session }
            count += 1
        }
        return oldest.map { ($0, count) }
    }

    /// Whether a handshake may begin: there is a place, or one that has been held for long.
    private func hasPlace(for address: DTLSAddress, now: NIODeadline) -> Bool {
        func gives(_ session: DTLSSession) -> Bool { now - session.began >= Self.handshakePatience }
        if let own = self.oldestHalfOpen(of: address), own.count >= self.placesOfOne { return gives(own.session) }
        guard self.halfOpen.count >= self.configuration.maxHalfOpen, let oldest = self.halfOpen.first else {
            return true
        }
        return gives(oldest)
    }

    private func makeRoomForHandshake(of address: DTLSAddress, into actions: inout [DTLSAction]) {
        if let own = self.oldestHalfOpen(of: address), own.count >= self.placesOfOne {
            self.counters.crowdedOut += 1
            self.giveUp(own.session, into: &actions)
        }
        while self.halfOpen.count >= self.configuration.maxHalfOpen, let oldest = self.halfOpen.first {
            self.counters.crowdedOut += 1
            self.giveUp(oldest, into: &actions)
        }
    }

    /// The session that was silent for longest goes. Each costs a handshake with a key: the search is no gift to a forger.
    private func crowdOut(into actions: inout [DTLSAction]) {
        let sessions = self.addresses.values.compactMap { self.peers[$0]?.session }
        guard let idlest = sessions.min(by: { $0.lastHeard < $1.lastHeard }) else { return }
        self.end(idlest, .crowdedOut, into: &actions)
    }
}
