import CoAPCodec
import CoAPEndpoint
import Devices
import Logging
import MQTTCodec
import NIOCore
import OpenSSL
import Sealing
import Transport

/// One `coap` or `coaps` listener: who asks, and for which resource. Publishing, reading and observing pass the same Intake,
/// Opener and Policy as MQTT. Bound to the gateway's loop.
final class CoAPSite {
    unowned let core: GatewayCore
    let listener: ListenerConfiguration
    let resources: CoAPResources
    private(set) lazy var reader = CoAPReader(core: self.core)
    /// The socket, which has this as its delegate.
    var channel: CoAPChannel?
    /// Who is behind each DTLS session.
    private var sessions: [UInt32: DeviceID] = [:]
    /// The sessions of each device, oldest first.
    private var sessionsOf: [DeviceID: [UInt32]] = [:]
    private var senders = CoAPSenderTable()
    private var guests: (rate: Rate, pace: SenderPace)?

    init(core: GatewayCore, listener: ListenerConfiguration) {
        self.core = core
        self.listener = listener
        self.resources = CoAPResources(listener, gateway: core.configuration.name)
    }

    func address(of peer: CoAPPeer) -> PeerAddress {
        self.channel?.address(of: peer) ?? PeerAddress(nil)
    }

    // MARK: Who asks

    /// What the request proves: by OSCORE, else by DTLS, else nothing, which the listener may allow. Never by its address.
    ///
    /// - Returns: `nil`: it is not let in.
    func identity(of request: CoAPRequest) -> Client.Identity? {
        let session = request.peer.isSecure ? self.sessions[request.peer.session] : nil
        if request.peer.isSecure, session == nil { return nil }
        if request.context != 0 {
            guard let device = self.core.oscore.device(of: request.context) else { return nil }
            // What one device carries of another has to be a relay's.
            if let session, session != device, self.core.registry.profile(of: session)?.relay != true { return nil }
            return .device(device)
        }
        if let session { return .device(session) }
        return switch self.listener.anonymous {
        case .refused: nil
        case .allowed: .unproven
        case .guest: .guest
        }
    }

    /// Whoever publishes from this endpoint under this identity.
    func sender(of request: CoAPRequest, _ identity: Client.Identity, claimed: String?) -> Client {
        let key = CoAPSenderTable.Key(peer: request.peer, context: request.context, claimed: claimed)
        if let known = self.senders[key] { return known }
        let client = Client(
            core: self.core,
            listener: self.listener,
            coap: CoAPSender(request.peer, site: self),
            identity: identity,
            claimed: claimed
        )
        self.senders[key] = client
        return client
    }

    /// Seals that are tried in a second for senders at addresses that are not proven: what it costs is bounded, and nobody's
    /// budget can be used up in his name.
    private static let sealRate = 2000
    private lazy var sealWork = TokenBucket(rate: Double(Self.sealRate), burst: Self.sealRate, now: .now())

    /// Whether one more seal may be tried of a sender whose address is not proven.
    func mayTrySeal(now: NIODeadline) -> Bool { self.sealWork.take(now: now) }

    /// The rate of the profile `guest`, for all who have no other identity here.
    func guestPace(_ rate: Rate) -> SenderPace {
        if let guests, guests.rate == rate { return guests.pace }
        let pace = SenderPace(rate)
        self.guests = (rate, pace)
        return pace
    }

    // MARK: Changes

    /// Devices are gone, or prove themselves with other keys: what they proved is over.
    func devicesChanged(_ devices: Set<DeviceID>) {
        guard !devices.isEmpty else { return }
        self.reader.endObservations(of: devices)
        self.senders.remove { $0.isOf(devices) }
        for (session, device) in self.sessions where devices.contains(device) { self.channel?.closeSession(session) }
    }

    /// The device behind a peer may not go on.
    func close(_ peer: CoAPPeer) {
        if peer.isSecure { self.channel?.closeSession(peer.session) }
    }
}

// MARK: - From the socket

extension CoAPSite: CoAPChannelDelegate {
    func received(_ request: CoAPRequest, on channel: CoAPChannel) {
        guard let identity = self.identity(of: request) else {
            self.core.counters.count(.notProven)
            self.note(.notProven, request, "the request proves no device, and this listener has anonymous = false")
            return self.turnAway(request, .error(.unauthorized))
        }
        let path: ByteBuffer
        do {
            path = try CoAPPath.topic(of: request.options, maxBytes: self.core.configuration.limits.maxTopicLength)
        } catch {
            // Only its length is a matter of limits.
            let refusal: Refusal = if case .tooLong = error { .topic } else { .protocolError }
            self.core.counters.count(refusal)
            self.note(refusal, request, "its path \(error)")
            return self.turnAway(request, .error(.badRequest, "the path \(error)"))
        }
        switch request.method {
        case .post, .put, .delete: self.publish(request, path: path, identity)
        case .get: self.read(request, path: path, identity)
        default: self.turnAway(request, .error(.methodNotAllowed))
        }
    }

    func needsEcho(_ request: CoAPRequest, on channel: CoAPChannel) -> Bool { self.needsEcho(request) }

    func observationDue(_ id: CoAPObservationID, on channel: CoAPChannel) {
        self.reader.observationDue(id, on: channel)
    }

    func observationEnded(_ id: CoAPObservationID, _ end: CoAPObservationEnd, on channel: CoAPChannel) {
        self.reader.observationEnded(id, end, on: channel)
    }

    func notificationConfirmed(_ id: CoAPObservationID, on channel: CoAPChannel) {
        self.reader.notificationConfirmed(id, on: channel)
    }

    /// The device behind a handshake, which may have been revoked while the handshake went on.
    func established(
        session: UInt32,
        identity: [UInt8],
        isResumed: Bool,
        from address: PeerAddress,
        on channel: CoAPChannel
    ) -> Bool {
        guard let text = String(validating: identity, as: UTF8.self), let id = try? DeviceID(text),
            let device = self.core.registry.device(id), !device.isRevoked
        else {
            self.core.counters.count(.notProven)
            self.core.counters.connectionsRefused += 1
            self.core.refusals.note(
                .notProven,
                device: Printable.text(ByteBuffer(bytes: identity)),
                topic: nil,
                from: address.text,
                detail: "its DTLS session is of no device here, or of one that is revoked",
                now: .now()
            )
            return false
        }
        // One that comes from another port each time leaves sessions behind, and shall not take the places of others.
        if let own = self.sessionsOf[id], own.count >= self.core.configuration.limits.maxConnectionsPerDevice {
            self.core.counters.count(.connectionsPerDevice)
            // At once out of the list, for it ends only when this turn is over.
            self.sessionsOf[id]?.removeFirst()
            channel.closeSession(own[0])
        }
        self.sessions[session] = id
        self.sessionsOf[id, default: []].append(session)
        self.core.counters.connectionsAccepted += 1
        self.core.logger.debug(
            "DTLS session",
            metadata: ["device": "\(id)", "from": "\(address)", "resumed": "\(isResumed)"]
        )
        return true
    }

    func ended(session: UInt32, _ end: DTLSEnd, on channel: CoAPChannel) {
        guard let device = self.sessions.removeValue(forKey: session) else { return }
        self.sessionsOf[device]?.removeAll { $0 == session }
        if self.sessionsOf[device]?.isEmpty ?? false { self.sessionsOf[device] = nil }
        self.core.logger.debug("DTLS session ended", metadata: ["device": "\(device)", "reason": "\(end)"])
    }

    func handshakeFailed(
        identity: [UInt8],
        isIdentityKnown: Bool,
        from address: PeerAddress,
        on channel: CoAPChannel
    ) {
        self.core.counters.count(.handshake)
        self.core.refusals.note(
            .handshake,
            device: Printable.text(ByteBuffer(bytes: identity)),
            topic: nil,
            from: address.text,
            detail: isIdentityKnown
                ? "DTLS: it named this device and did not prove its key: a wrong key?"
                : "DTLS: no device here has this name as its PSK identity, or it is revoked",
            byDetail: true,
            now: .now()
        )
    }

    func misdirected(_ kind: MisdirectedProtocol, from address: PeerAddress, on channel: CoAPChannel) {
        let (look, own) =
            switch kind {
            case .dtls: ("DTLS", "coap")
            case .coap: ("CoAP without DTLS", "coaps")
            }
        self.core.counters.count(.protocolError)
        self.core.refusals.note(
            .protocolError,
            device: "?",
            topic: nil,
            from: CoAPSender.unprovenAddress,
            detail: "looks like \(look): this listener is \(own) \(self.listener.bind)",
            byDetail: true,
            aside: ", from \(address)",
            now: .now()
        )
    }

    // MARK: Answers

    /// Refuses a request; who asked a group is not told (RFC 7252 §8.2).
    func turnAway(_ request: CoAPRequest, _ response: CoAPResponse) {
        if request.isMulticast {
            self.channel?.ignore(request.id)
        } else {
            self.channel?.respond(to: request.id, response)
        }
    }

    /// Refuses a request for a path that leads to nothing.
    func turnAwayFromNothing(_ request: CoAPRequest, path: ByteBuffer) {
        self.core.logger.debug(
            "no resource has this path",
            metadata: [
                "path": "\(Printable.text(path))", "listener": "\(self.listener.bind)",
                "from": "\(self.address(of: request.peer))",
            ]
        )
        self.turnAway(request, .error(.notFound, "topics are below /\(self.listener.prefix)"))
    }

    /// For the operator. An address that is not proven is nobody's, so it does not tell refusals apart.
    func note(_ refusal: Refusal, _ request: CoAPRequest, _ detail: @autoclosure () -> String) {
        let address = self.address(of: request.peer).text
        self.core.refusals.note(
            refusal,
            device: "?",
            topic: nil,
            from: request.peer.isSecure || request.age != nil ? address : CoAPSender.unprovenAddress,
            detail: "\(detail()), from \(address)",
            now: .now()
        )
    }
}
