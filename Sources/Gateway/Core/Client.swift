import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import OpenSSL
import Sealing
import Transport

/// The gateway's view of one connection: who is behind it, its session, and what it may publish where.
///
/// Its messages pass Intake, Opener and Policy here; ``GatewayCore`` does the rest. Bound to the gateway's loop.
final class Client: MQTTConnectionDelegate {
    /// What the transport proved.
    enum Identity: Equatable {
        case device(DeviceID)
        /// On a listener with `anonymous = "guest"`.
        case guest
        /// On a listener with `anonymous = true`: each message has to prove itself.
        case unproven
    }

    let core: GatewayCore
    let anonymous: ListenerConfiguration.Anonymous
    private(set) var connection: MQTTConnection?
    private(set) var identity = Identity.unproven
    private var peer: TLSPeer?
    private(set) var session: Session?
    private(set) var clientID: String?
    /// The device that the last accepted seal proved; a revocation closes its connection.
    private(set) var lastProven: DeviceID?

    private var plannedTopic: TopicName?
    private var plannedGeneration = -1
    private var plan = PublishPlan.refused(.notProven, device: "", detail: "")

    init(core: GatewayCore, anonymous: ListenerConfiguration.Anonymous) {
        self.core = core
        self.anonymous = anonymous
    }

    /// For the log: the proven device, the claimed client id with a question mark, or the address.
    var name: String {
        switch self.identity {
        case .device(let id): id.text
        case .guest: "guest"
        case .unproven: self.clientID.map { Printable.text($0) + "?" } ?? "?"
        }
    }

    var address: String { self.connection?.address.text ?? "?" }

    // MARK: MQTTConnectionDelegate

    var isCongested: Bool { self.core.isCongested }

    func opened(_ connection: MQTTConnection, peer: TLSPeer?) {
        self.connection = connection
        self.peer = peer
        self.core.counters.connectionsAccepted += 1
        self.core.add(self)
    }

    func received(_ connect: Connect) {
        guard let connection = self.connection else { return }
        self.clientID = connect.clientID.isEmpty ? nil : String(buffer: connect.clientID.buffer)
        switch self.core.identify(self.peer, connect: connect, client: self) {
        case .failure(let refusal):
            self.core.counters.connectionsRefused += 1
            self.core.logRefusedConnection(self, refusal.detail)
            connection.refuse(refusal.code, reason: refusal.detail)
        case .success(let identity):
            self.identity = identity
            self.open(connect, on: connection)
        }
    }

    func received(_ publish: Publish) {
        self.core.counters.received += 1
        if publish.qos == .exactlyOnce, let session = self.session {
            switch session.receivedQoS2(publish.packetID) {
            case .new: break
            case .recorded: return self.connection?.acknowledge(publish.packetID, with: .pubrec) ?? ()
            case .underWay: return self.core.commits.acknowledge(publish.packetID, to: self, isRepeat: true)
            case .tooMany: return self.close(reason: "too many QoS 2 messages without PUBREL")
            }
        }
        self.process(publish)
    }

    func received(_ subscribe: Subscribe) {
        guard let session = self.session else { return }
        self.core.subscribe(self, session, subscribe)
    }

    func received(_ unsubscribe: Unsubscribe) {
        guard let session = self.session else { return }
        for filter in unsubscribe.filters {
            self.core.broker.unsubscribe(session, from: filter)
        }
        self.connection?.send(.unsuback(UnsubAck(packetID: unsubscribe.packetID)))  // [MQTT-3.10.4-5]
    }

    func acknowledged(packetID: UInt16) {
        // An identifier that is not in flight may be a late repetition; it changes nothing.
        _ = self.session?.acknowledged(packetID)
    }

    func released(packetID: UInt16) {
        self.session?.released(packetID)
        self.connection?.acknowledge(packetID, with: .pubcomp)  // Also for an identifier that is not known any more.
    }

    func hasRoomAgain() {
        self.session?.pump()
    }

    func closed(_ connection: MQTTConnection, end: MQTTConnection.End, will: Will?) {
        if let session = self.session { self.core.broker.disconnected(session, connection: connection) }
        self.log(end, address: connection.address.text)
        if let will { self.process(will.publish) }  // [MQTT-3.1.2-8]; every right is checked again.
        self.session = nil
        self.connection = nil
        self.core.remove(self)
    }

    private func log(_ end: MQTTConnection.End, address: String) {
        let reason = Printable.text(end.reason)
        let refusal: Refusal
        switch end.kind {
        case .normal:
            self.core.logger.debug(
                "connection closed",
                metadata: ["client": "\(self.name)", "from": "\(address)", "reason": "\(reason)"]
            )
            return
        case .misbehaved: refusal = .protocolError
        case .handshakeFailed: refusal = .handshake
        }
        let now = NIODeadline.now()
        self.core.counters.count(refusal)
        if end.kind == .misbehaved { _ = self.core.failures.spend(address, now: now) }
        self.core.refusals.note(
            refusal,
            device: self.name,
            topic: nil,
            from: address,
            detail: reason,
            byDetail: true,
            now: now
        )
    }

    // MARK: What the core calls

    /// PUBACK or PUBREC, when the message is safe; packet identifier 0 is a will's, which nobody waits for.
    ///
    /// - Parameter session: That of the PUBLISH: its record of a QoS 2 message outlives this connection.
    func acknowledge(_ packetID: UInt16, _ session: Session?) {
        guard packetID != 0 else { return }
        let isQoS2 = session?.recorded(packetID) ?? false
        self.connection?.acknowledge(packetID, with: isQoS2 ? .pubrec : .puback)
    }

    /// The message could not be stored: without an acknowledgement the node keeps it, and sends it again when it is back.
    func storeFailed(_ packetID: UInt16, _ session: Session?) {
        session?.released(packetID)
        self.connection?.close(reason: "the message could not be stored")
    }

    /// The device behind the connection may not be here any more, or proves itself with other keys now.
    func isOf(_ devices: Set<DeviceID>) -> Bool {
        if case .device(let id) = self.identity, devices.contains(id) { return true }
        return self.lastProven.map(devices.contains) ?? false
    }

    func close(reason: String) {
        self.connection?.close(reason: reason)
    }

    // MARK: The way of a message

    private func process(_ publish: Publish) {
        if self.plannedTopic != publish.topic || self.plannedGeneration != self.core.registry.generation {
            self.plannedTopic = publish.topic.compacted()
            self.plannedGeneration = self.core.registry.generation
            self.plan = self.core.plan(for: self, topic: publish.topic)
        }
        switch self.plan {
        case .plain(let destination):
            if self.identity == .unproven { self.lastProven = destination.device }
            self.core.admit(publish, payload: publish.payload, to: destination, from: self)
        case .sealed(let plan):
            self.open(publish, plan)
        case .refused(let refusal, let device, let detail):
            self.refuse(publish, refusal, device: device, detail: detail)
        }
    }

    private func open(_ publish: Publish, _ plan: SealedPlan) {
        let now = NIODeadline.now()
        guard !plan.channels.isEmpty else {
            // As much work as for a seal that does not verify.
            _ = self.core.nobody.receive(publish.payload, claimed: nil, now: now)
            return self.refuse(
                publish,
                .badSeal,
                device: plan.claimed?.text ?? self.name,
                claimed: plan.claimed,
                detail: "the profile asks for a seal, and the device has no keys for one"
            )
        }
        guard self.core.failures.hasRoom(self.budget(for: plan.claimed), now: now) else {
            return self.refuse(
                publish,
                .throttled,
                device: plan.claimed?.text ?? self.name,
                claimed: plan.claimed,
                detail: "too many failures before it; see limits.failure_rate"
            )
        }
        guard publish.payload.readableBytes <= plan.maxPayload else {
            return self.refuse(
                publish,
                .tooLarge,
                device: plan.claimed?.text ?? self.name,
                detail: "\(publish.payload.readableBytes) bytes, over max_payload = \(plan.maxPayload)"
            )
        }
        var refusal = V1Refusal.unknownDevice
        for channel in plan.channels {
            let verdict = channel.receiver.receive(
                publish.payload,
                claimed: plan.claimed?.text,
                onlyFrom: plan.required?.text,
                now: now
            )
            switch verdict {
            case .opened(let device, let data, let issued, let acceptance):
                self.core.counters.opened += 1
                self.core.publish(issued, of: channel)
                self.opened(publish, by: device, data: data, plan: plan) {
                    channel.receiver.forget(acceptance)
                }
                return
            case .repeated:
                self.core.counters.repeated += 1
                if publish.qos != .atMostOnce {
                    self.core.commits.acknowledge(publish.packetID, to: self, isRepeat: true)
                }
                return
            case .refused(let reason, let issued):
                self.core.publish(issued, of: channel)
                if refusal == .unknownDevice || reason == .staleSession { refusal = reason }
            }
        }
        if let plaintext = plan.plaintext, refusal == .malformed {
            return self.core.admit(publish, payload: publish.payload, to: plaintext, from: self)
        }
        let kind: Refusal =
            switch refusal {
            case .staleSession: .replay
            case .wrongDevice: .identityMismatch
            case .malformed: .sealRequired
            case .unknownDevice, .badSeal, .unknownNode, .repeatedIV: .badSeal
            }
        self.refuse(
            publish,
            kind,
            device: plan.claimed?.text ?? self.name,
            claimed: plan.claimed,
            detail: refusal.description
        )
    }

    private func opened(
        _ publish: Publish,
        by device: String,
        data: ByteBuffer,
        plan: SealedPlan,
        undo: @escaping () -> Void
    ) {
        if plan.destination?.device?.text != device {
            plan.destination = (try? DeviceID(device)).flatMap { self.core.destination(for: $0, topic: publish.topic) }
        }
        guard let destination = plan.destination, let id = destination.device else {
            return self.refuse(publish, .revoked, device: device, detail: "no such device any more")
        }
        self.lastProven = id
        self.core.admit(publish, payload: data, to: destination, from: self, undo: undo)
    }

    /// Turns a message away.
    ///
    /// What a policy forbids is acknowledged and dropped, as MQTT 3.1.1 has no other answer but to close `[MQTT-3.3.5-2]`.
    /// What is not proven gets no acknowledgement, for that would promise an honest node with an old session ID that its
    /// message is safe: at QoS 1 the connection is closed, whatever the reason was, so that a forger learns nothing. A relay
    /// is the exception: it can't mend what it carries, so one such message would hold up all nodes behind it for ever.
    ///
    /// - Parameter claimed: The device that the message claims to be of.
    func refuse(
        _ publish: Publish,
        _ refusal: Refusal,
        device: String,
        claimed: DeviceID? = nil,
        detail: @autoclosure () -> String
    ) {
        let now = NIODeadline.now()
        self.core.counters.count(refusal)
        self.core.refusals.note(
            refusal,
            device: device,
            topic: publish.topic.buffer,
            from: self.address,
            detail: detail(),
            now: now
        )
        switch refusal {
        case .policy, .tooLarge, .retained:
            if publish.qos != .atMostOnce { self.core.commits.acknowledge(publish.packetID, to: self) }
        case .notProven, .badSeal, .replay, .sealRequired, .identityMismatch, .revoked:
            let mayStay = self.core.failures.spend(self.budget(for: claimed), now: now)
            if self.isRelay {
                if publish.qos != .atMostOnce { self.core.commits.acknowledge(publish.packetID, to: self) }
                return
            }
            self.session?.released(publish.packetID)
            if publish.qos != .atMostOnce || !mayStay { self.connection?.close(reason: "refused") }
        case .throttled where self.isRelay:
            if publish.qos != .atMostOnce { self.core.commits.acknowledge(publish.packetID, to: self) }
        case .throttled:
            self.session?.released(publish.packetID)
            self.connection?.close(reason: "refused")
        case .spoolFull, .handshake, .protocolError:
            self.session?.released(publish.packetID)
            if publish.qos != .atMostOnce { self.connection?.close(reason: "no room for the message") }
        }
    }

    /// Whose failures count together: a proven device's own, so that a forger at the same address can't silence it; a
    /// relay's by the device it claims to carry a message of; everybody else's by address.
    private func budget(for claimed: DeviceID?) -> String {
        guard case .device(let id) = self.identity else { return self.address }
        return self.isRelay ? "\(id)>\(claimed?.text ?? "")" : "\(id)>"
    }

    private var isRelay: Bool {
        guard case .device(let id) = self.identity else { return false }
        return self.core.registry.profile(of: id)?.relay ?? false
    }

    // MARK: CONNECT

    private func open(_ connect: Connect, on connection: MQTTConnection) {
        guard !connect.clientID.isEmpty || connect.cleanStart else {
            // [MQTT-3.1.3-8]
            return connection.refuse(.identifierRejected, reason: "an empty client id needs a clean session")
        }
        if let will = connect.will, let problem = self.core.objection(to: will, of: self) {
            self.core.counters.connectionsRefused += 1
            self.core.logRefusedConnection(self, "its will on \(Printable.text(will.topic.buffer)): \(problem)")
            return connection.refuse(.notAuthorized, reason: "the will is not allowed")
        }
        let clientID =
            connect.clientID.isEmpty ? self.core.makeClientID() : connect.clientID  // [MQTT-3.1.3-6]
        let owner: SessionOwner =
            switch self.identity {
            case .device(let id): .device(id.text)
            case .guest: .guest
            case .unproven: .unproven
            }
        switch self.core.broker.open(clientID: clientID, owner: owner, isClean: connect.cleanStart) {
        case .full:
            self.core.counters.connectionsRefused += 1
            self.core.logRefusedConnection(self, "the limit of sessions is reached")
            connection.refuse(.serverUnavailable, reason: "the limit of sessions is reached")
        case .opened(let session, let isPresent, let takenOver):
            (takenOver as? MQTTConnection)?.close(reason: "taken over by a new connection with its client id")
            self.session = session
            session.connection = connection
            connection.accept(connect, sessionPresent: isPresent)
            self.core.limiter.established(connection: connection)
            self.core.logger.debug(
                "connected",
                metadata: ["client": "\(self.name)", "from": "\(self.address)"]
            )
            session.resume(on: connection)
            if isPresent { self.core.sendSessionIDs(to: session) }
        }
    }
}

extension Will {
    /// The message it stands for, as its client would have published it.
    var publish: Publish {
        Publish(topic: self.topic, payload: self.payload, qos: min(self.qos, .atLeastOnce), retain: self.retain)
    }
}
