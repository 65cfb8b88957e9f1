import Broker
import DequeModule
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
    let listener: ListenerConfiguration
    private(set) var connection: (any ClientConnection)?
    /// The broker that the gateway is attached to, if that is what is behind the connection.
    private(set) var attached: AttachedConnection?
    /// The endpoint of CoAP, if that is what is behind the connection.
    private(set) var coap: CoAPSender?
    /// The resource of a node that the gateway observes, if that is what is behind the connection.
    private(set) var observed: ObservedConnection?
    private(set) var identity = Identity.unproven
    private var peer: TLSPeer?
    /// When TCP was up, before any handshake: the listener makes its delegates then.
    private let accepted = NIODeadline.now()
    var session: Session?
    private(set) var clientID: String?
    /// A broker that bridges: what it sent does not go back to it, and RETAIN stays as it was published.
    private(set) var isBridge = false
    /// Its device's connections count it.
    var isCounted = false
    /// Its CONNECT had a will.
    var hadWill = false
    /// CONNACK was sent: the session has this connection.
    var isInside = false
    /// The session of a client that is gone, for its will.
    private(set) var willOrigin: Session?
    /// Acknowledgements that wait for outside brokers, and those behind them, in the order of the messages.
    var waitingAcknowledgements: Deque<PendingAcknowledgement> = []
    /// The rate of a guest; devices have theirs over all connections.
    private var guestPace: SenderPace?
    /// The device that the last accepted seal proved; a revocation closes its connection.
    private(set) var lastProven: DeviceID?
    /// Of the message that is being handed in: the device that its own seal proved, or that its profile lets it be.
    private(set) var provenNow: DeviceID?

    private var plannedTopic: TopicName?
    private var plannedGeneration = -1
    private var plan = PublishPlan.refused(.notProven, device: "", detail: "")

    init(core: GatewayCore, listener: ListenerConfiguration) {
        self.core = core
        self.listener = listener
    }

    /// Whoever is behind a broker that the gateway is attached to: many, none of them proven, and without a session here.
    init(core: GatewayCore, attached: AttachedConnection, _ rules: ListenerConfiguration) {
        self.core = core
        self.listener = rules
        self.connection = attached
        self.attached = attached
    }

    /// Whoever publishes by CoAP, where each request proves for itself who sent it.
    ///
    /// - Parameter claimed: The device that the requests name beside their topics.
    init(
        core: GatewayCore,
        listener: ListenerConfiguration,
        coap: CoAPSender,
        identity: Identity,
        claimed: String?
    ) {
        self.core = core
        self.listener = listener
        self.connection = coap
        self.coap = coap
        self.identity = identity
        self.clientID = claimed
    }

    /// A node whose resource the gateway observes, as the device that gateway.conf says it is of, which it has to prove.
    init(core: GatewayCore, observed: ObservedConnection, _ rules: ListenerConfiguration) {
        self.core = core
        self.listener = rules
        self.connection = observed
        self.observed = observed
        self.clientID = observed.device.text
    }

    /// Whoever left a will in a session that outlived the last run.
    init(core: GatewayCore, listener: ListenerConfiguration, restored session: Session) {
        self.core = core
        self.listener = listener
        self.willOrigin = session
        self.clientID = session.clientID.description
        switch session.owner {
        case .device(let text): self.identity = (try? DeviceID(text)).map { .device($0) } ?? .unproven
        case .guest: self.identity = .guest
        case .unproven: self.identity = .unproven
        }
    }

    /// The connection to a listener, if it is one.
    var socket: MQTTConnection? { self.connection as? MQTTConnection }

    /// For the log: the proven device, the claimed client id with a question mark, or the address.
    var name: String {
        switch self.identity {
        case .device(let id): id.text
        case .guest: "guest"
        case .unproven: self.clientID.map { Printable.text($0) + "?" } ?? "?"
        }
    }

    var address: String { self.connection?.peerText ?? "?" }
    /// Whose failures count together where nobody is proven: an IPv6 host has a whole network of addresses.
    var network: String { self.socket?.address.network ?? self.coap?.network ?? self.address }

    // MARK: MQTTConnectionDelegate

    var isCongested: Bool { self.core.isCongested }

    func opened(_ connection: MQTTConnection, peer: TLSPeer?) {
        self.connection = connection
        self.peer = peer
        self.core.counters.connectionsAccepted += 1
        self.core.add(self)
    }

    func received(_ connect: Connect) {
        guard let connection = self.socket else { return }
        self.clientID = connect.clientID.isEmpty ? nil : String(buffer: connect.clientID.buffer)
        self.isBridge = connect.isBridge
        self.core.identify(
            self.peer,
            connect: connect,
            anonymous: self.listener.anonymous,
            usesPassword: self.listener.password,
            clientID: self.clientID,
            accepted: self.accepted,
            address: self.network
        ) { result in
            // A password takes its time; the client may be gone.
            guard self.connection === connection else { return }
            switch result {
            case .failure(let refusal): self.turnAway(refusal.code, refusal.detail)
            case .success(let identity):
                self.identity = identity
                self.open(connect)
            }
        }
    }

    func received(_ publish: Publish) {
        self.core.counters.received += 1
        if publish.qos == .exactlyOnce, let session = self.session {
            // What a session brought along from an earlier connection does not count against the quota of this one.
            switch session.receivedQoS2(publish.packetID, limit: 2 * self.core.configuration.limits.receiveMaximum) {
            case .new: break
            case .recorded: return self.connection?.acknowledge(publish.packetID, with: .pubrec) ?? ()
            case .underWay: return self.acknowledgeRepeat(publish)
            case .tooMany:
                self.core.counters.count(.receiveMaximum)
                return self.close(.receiveMaximumExceeded, reason: "too many QoS 2 messages without PUBREL")
            }
        }
        // At QoS 1 no identifier is remembered: each PUBLISH is a new message [MQTT-4.3.2-5].
        self.process(publish)
    }

    func received(_ subscribe: Subscribe) {
        guard let session = self.session else { return }
        self.core.subscribe(self, session, subscribe)
    }

    func received(_ unsubscribe: Unsubscribe) {
        guard let session = self.session else { return }
        self.core.unsubscribe(self, session, unsubscribe)
    }

    func acknowledged(packetID: UInt16, code: ReasonCode) {
        // An identifier that is not in flight may be a late repetition; it changes nothing.
        self.session?.acknowledged(packetID)
    }

    func recorded(packetID: UInt16, code: ReasonCode) {
        guard let session = self.session, !session.recorded(packetID, isFailure: code.isFailure) else { return }
        guard !code.isFailure else { return }
        // Of a message that is over: the client wants to get rid of it (MQTT 5.0 §4.3.3).
        self.connection?.acknowledge(packetID, with: .pubrel, code: .packetIdentifierNotFound)
    }

    func completed(packetID: UInt16, code: ReasonCode) {
        self.session?.completed(packetID)
    }

    /// PUBREL is answered with PUBCOMP `[MQTT-4.3.3-11]`, whatever became of the message `[MQTT-4.3.3-13]`.
    func released(packetID: UInt16) {
        guard let session = self.session else { return }
        guard session.released(packetID) else {
            self.connection?.acknowledge(packetID, with: .pubcomp, code: .packetIdentifierNotFound)
            return
        }
        // After a crash in between the client could use the identifier for another message, which would be taken for this.
        guard session.isStored else { return self.connection?.acknowledge(packetID, with: .pubcomp) ?? () }
        self.core.commits.whenSafe(for: self) { self.connection?.acknowledge(packetID, with: .pubcomp) }
    }

    func hasRoomAgain() {
        self.session?.pump()
    }

    func closed(_ connection: MQTTConnection, end: MQTTConnection.End, will: Will?) {
        self.leave(connection, end, will)
        self.log(end, address: connection.address.text)
        self.session = nil
        self.connection = nil
        self.core.remove(self)
    }

    /// The session without its connection, and the will: published now, later, or never.
    private func leave(_ connection: MQTTConnection, _ end: MQTTConnection.End, _ will: Will?) {
        guard let session = self.session else { return }
        let isCurrent = session.connection === connection
        let leftAt = self.core.wallClock.present
        if !self.isInside {
            self.core.broker.abandoned(session, by: connection, leftAt: leftAt)
        } else {
            self.core.broker.disconnected(
                session,
                connection: connection,
                expiryInterval: end.sessionExpiryInterval,
                leftAt: leftAt
            )
        }
        defer { self.core.armSessionTimer(for: session) }
        if isCurrent { _ = session.hold(willOf: 0) }
        guard let will else {
            if isCurrent, self.hadWill { session.journal(will: nil) }
            return
        }
        self.willOrigin = session
        let delay = will.properties.willDelayInterval ?? 0
        if delay == 0 || session.hasEnded {
            self.publish(will)  // [MQTT-3.1.2-8]
        } else if isCurrent {
            session.hold(PendingWill(will: will, due: .now() + .seconds(Int64(delay)), sender: self))
        }
        // Else the client has come back to its session before the delay was over [MQTT-3.1.3-9].
    }

    /// Publishes a will of this client; every right is checked again. Nobody would send it again, so it is tried until it is
    /// on disk, and only then forgotten there.
    func publish(_ will: Will) {
        self.process(will.publish)
        self.core.commits.whenSafe {
            // Unless its client is back and has left another one.
            if let session = self.willOrigin, session.connection == nil { session.journal(will: nil) }
        } orElse: {
            self.core.loop.assumeIsolated().scheduleTask(in: .seconds(1)) { self.publish(will) }
        }
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
        if end.kind == .misbehaved { _ = self.core.failures.spend(self.network, now: now) }
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

    /// PUBACK or PUBREC by the QoS `[MQTT-3.3.4-1]`, when the message is safe `[MQTT-4.3.2-4]`, `[MQTT-4.3.3-8]` or refused;
    /// packet identifier 0 is a will's, which nobody waits for.
    ///
    /// - Parameter session: That of the PUBLISH: its record of a QoS 2 message outlives this connection.
    func acknowledge(_ packetID: UInt16, _ session: Session?, code: ReasonCode) {
        guard packetID != 0 else { return }
        let isQoS2 = session?.isHeld(packetID) ?? false
        if isQoS2, code.isFailure { session?.released(packetID) }  // The identifier is free again [MQTT-4.3.3-9].
        self.connection?.acknowledge(
            packetID,
            with: isQoS2 ? .pubrec : .puback,
            code: code,
            reason: self.words(for: code)
        )
    }

    /// The rate of a guest behind this connection.
    func guestPace(_ rate: Rate) -> SenderPace {
        if let coap = self.coap { return coap.guestPace(rate) }
        if let pace = self.guestPace { return pace }
        let pace = SenderPace(rate)
        self.guestPace = pace
        return pace
    }

    /// A refusal in words, for whoever is let in under a profile; others learn nothing.
    func words(for code: ReasonCode) -> String? {
        guard code.isFailure, self.identity != .unproven else { return nil }
        return switch code {
        case .notAuthorized: "the profile does not allow it"
        case .quotaExceeded: "a limit of the gateway or of the profile is reached"
        case .topicNameInvalid, .topicFilterInvalid: "the topic is longer or deeper than the limits allow"
        default: nil
        }
    }

    /// What the client was to be answered could not be stored `[MQTT-4.8.0-2 of 3.1.1]`: without an acknowledgement it keeps
    /// its message, and sends it again when it is back.
    func storeFailed(_ packetID: UInt16?, _ session: Session?) {
        if let coap = self.coap, let packetID {
            self.giveUpAcknowledgement(packetID)
            return coap.fail(packetID)
        }
        if let observed = self.observed, let packetID {
            self.giveUpAcknowledgement(packetID)
            return observed.decline(packetID)
        }
        if let packetID { session?.released(packetID) }
        self.connection?.close(.unspecifiedError, reason: "what the client sent could not be stored")
    }

    /// The device behind the connection may not be here any more, or proves itself with other keys now.
    func isOf(_ devices: Set<DeviceID>) -> Bool {
        if case .device(let id) = self.identity, devices.contains(id) { return true }
        return self.lastProven.map(devices.contains) ?? false
    }

    func close(_ code: ReasonCode, reason: String) {
        self.connection?.close(code, reason: reason)
    }

    // MARK: The way of a message

    func process(_ publish: Publish) {
        self.provenNow = nil
        switch self.plan(for: publish.topic) {
        case .plain(let destination):
            if self.identity == .unproven {
                self.lastProven = destination.device
                // Session IDs are taken from everybody.
                if destination.commandSession == nil { self.provenNow = destination.device }
            }
            self.admitPlain(publish, to: destination)
        case .sealed(let plan):
            self.open(publish, plan)
        case .refused(let refusal, let device, let detail):
            self.refuse(publish, refusal, device: device, detail: detail)
        }
    }

    /// What becomes of messages on this topic.
    func plan(for topic: TopicName) -> PublishPlan {
        if self.plannedTopic != topic || self.plannedGeneration != self.core.registry.generation {
            self.plannedTopic = topic.compacted()
            self.plannedGeneration = self.core.registry.generation
            self.plan = self.core.plan(for: self, topic: topic)
        }
        return self.plan
    }

    private func open(_ publish: Publish, _ plan: SealedPlan) {
        let now = NIODeadline.now()
        // No sealed payload looks like one, and a receiver would take it for an attack.
        if let plaintext = plan.plaintext, plaintext.commandSession != nil,
            publish.payload.readableBytes == 0 || CommandSessionID.problem(with: publish.payload) == nil
        {
            return self.admitPlain(publish, to: plaintext)
        }
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
        let budget = self.budget(for: plan.claimed)
        guard
            self.coap?.mayTrySeal(self.core.failures, budget: budget, now: now)
                ?? self.core.failures.hasRoom(budget, now: now)
        else {
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
                if publish.qos != .atMostOnce { self.acknowledgeRepeat(publish) }
                return
            case .refused(let reason, let issued):
                self.core.publish(issued, of: channel)
                if refusal == .unknownDevice || reason == .staleSession { refusal = reason }
            }
        }
        if let plaintext = plan.plaintext, refusal == .malformed {
            if plaintext.commandSession == nil { self.provenNow = plaintext.device }
            return self.admitPlain(publish, to: plaintext)
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
            detail: refusal == .malformed && self.core.workspace.isLine(publish.payload)
                ? "\(refusal.description): a line end follows it" : refusal.description
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
        self.provenNow = id
        self.admit(publish, payload: data, to: destination, undo: undo)
    }
}

extension Client: CommandSource {
    /// Of an attached broker, this connection to it. A node that sends by CoAP has none that could end: it is here as long as
    /// it is remembered.
    var isHere: Bool { self.attached?.isOver == false || self.socket != nil || self.coap != nil }
}

extension Will {
    /// The message it stands for, as its client would have published it.
    var publish: Publish {
        Publish(
            topic: self.topic,
            payload: self.payload,
            qos: self.qos,
            retain: self.retain,  // [MQTT-3.1.2-14], [MQTT-3.1.2-15]
            properties: self.properties  // [MQTT-3.1.3-10]
        )
    }
}
