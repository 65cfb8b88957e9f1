import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import OpenSSL
import Sealing
import Store
import Transport

/// Why a CONNECT is turned away: what the client is told, and what the operator is.
struct ConnectRefusal: Error, Equatable {
    /// For the CONNACK, in the words of MQTT 5.0; those of 3.x follow from it.
    let code: ReasonCode
    /// For the log only. The client is not told: it may say which devices there are.
    let detail: String

    /// A login that failed, whatever was wrong with it: the client is always told the same.
    static func login(_ detail: String) -> Self { Self(code: .badUserNameOrPassword, detail: detail) }
}

extension GatewayCore {
    // MARK: Who connects

    /// Finds the device behind a CONNECT. What is proven decides, by TLS first, then by a password; a client id or a user
    /// name that claims another device is refused, and never adds a right.
    ///
    /// - Parameters:
    ///   - usesPassword: The listener has `password = true`: whoever gives a user name or a password stands or falls with
    ///     them, and is never taken for an anonymous client instead.
    ///   - clientID: As the client gave it; nil if it gave none.
    ///   - accepted: When the connection was accepted: before its handshake.
    ///   - address: Whose failures are counted.
    ///   - completion: Called on the loop, once: before this returns unless a password has to be hashed. Never called
    ///     when the gateway stops meanwhile.
    func identify(
        _ peer: TLSPeer?,
        connect: Connect,
        anonymous: ListenerConfiguration.Anonymous,
        usesPassword: Bool,
        clientID: String?,
        accepted: NIODeadline,
        address: String,
        completion: @escaping (Result<Client.Identity, ConnectRefusal>) -> Void
    ) {
        switch peer?.proof {
        case .name(let name)?:
            completion(
                self.identify(proven: name, accepted: accepted, userName: connect.userName, clientID: clientID)
            )
        case .nobody?:
            let detail = "the client's certificate proves no device: it has not exactly one name where it has to be"
            completion(.failure(ConnectRefusal(code: .notAuthorized, detail: detail)))
        case .nothing?, nil:
            if usesPassword, connect.userName != nil || connect.password != nil {
                self.checkPassword(connect, clientID: clientID, address: address, completion: completion)
            } else {
                completion(self.identify(unproven: anonymous, address: address))
            }
        }
    }

    private func identify(
        proven name: String,
        accepted: NIODeadline,
        userName: MQTTString?,
        clientID: String?
    ) -> Result<Client.Identity, ConnectRefusal> {
        func refuse(_ detail: String) -> Result<Client.Identity, ConnectRefusal> {
            .failure(ConnectRefusal(code: .notAuthorized, detail: detail))
        }
        guard let id = try? DeviceID(name), let device = self.registry.device(id) else {
            return refuse("the certificate or key proves \(Printable.text(name)), which is no device here")
        }
        guard !device.isRevoked else { return refuse("device \(id) is revoked") }
        guard !self.recentChanges.holds(id, since: accepted) else {
            return refuse("device \(id) was changed since it proved itself; it has to connect anew")
        }
        if let userName, userName != (try? MQTTString(id.text)) {
            return refuse("device \(id) gave the user name \(Printable.text(userName.buffer))")
        }
        return self.identity(of: id, clientID: clientID)
    }

    /// A proven device, unless its client id is another device's name.
    private func identity(of id: DeviceID, clientID: String?) -> Result<Client.Identity, ConnectRefusal> {
        if let claimed = clientID.flatMap({ try? DeviceID($0) }), claimed != id, self.registry.device(claimed) != nil {
            // [MQTT-3.1.3-8]
            let detail = "device \(id) gave the client id of device \(claimed)"
            return .failure(ConnectRefusal(code: .clientIdentifierNotValid, detail: detail))
        }
        return .success(.device(id))
    }

    private func identify(
        unproven anonymous: ListenerConfiguration.Anonymous,
        address: String
    ) -> Result<Client.Identity, ConnectRefusal> {
        switch anonymous {
        case .refused:
            return .failure(
                ConnectRefusal(
                    code: .notAuthorized,
                    detail: "the connection proves no device, and this listener has anonymous = false"
                )
            )
        case .guest:
            return .success(.guest)
        case .allowed:
            guard self.failures.hasRoom(address, now: .now()) else { return .failure(Self.tooManyFailures) }
            return .success(.unproven)
        }
    }

    private static let tooManyFailures = ConnectRefusal(
        code: .serverBusy,
        detail: "too many failures from this address; see limits.failure_rate"
    )

    /// The user name is the device, the password its proof. Whatever is wrong gets one answer after the same work.
    private func checkPassword(
        _ connect: Connect,
        clientID: String?,
        address: String,
        completion: @escaping (Result<Client.Identity, ConnectRefusal>) -> Void
    ) {
        let id = connect.userName.flatMap { DeviceID($0) }
        let device = id.flatMap { self.registry.device($0) }
        let hash = device.flatMap { $0.isRevoked || connect.password == nil ? nil : $0.password }
        let shown = connect.userName.map { Printable.text($0.buffer) } ?? "(none)"
        let problem =
            if device == nil {
                "the user name \(shown) is no device's"
            } else if device?.isRevoked == true {
                "device \(shown) is revoked"
            } else if connect.password == nil {
                "no password for the user name \(shown)"
            } else if hash == nil {
                "device \(shown) has no password; see: sealgate device password"
            } else {
                "wrong password for the user name \(shown)"
            }
        let attempt = PasswordChecker.Attempt(
            device: id?.text ?? "",
            password: connect.password.map { Array($0.buffer.readableBytesView) } ?? [],
            hash: hash,
            address: address
        )
        let mayTry = { [unowned self] in self.failures.hasRoom(address, now: .now()) }
        self.passwords.check(attempt, mayTry: mayTry) { [unowned self] verdict in
            switch verdict {
            case .throttled: completion(.failure(Self.tooManyFailures))
            case .busy:
                let detail = "too many passwords wait to be checked"
                completion(.failure(ConnectRefusal(code: .serverBusy, detail: detail)))
            case .wrong:
                _ = self.failures.spend(address, now: .now())
                completion(.failure(.login(problem)))
            case .right:
                // Devices may have changed while it was hashed.
                guard let id, let device = self.registry.device(id), !device.isRevoked, device.password == hash else {
                    return completion(.failure(.login("device \(shown) was changed while its password was checked")))
                }
                completion(self.identity(of: id, clientID: clientID))
            }
        }
    }

    func logRefusedConnection(_ client: Client, _ detail: String) {
        self.refusals.note(
            .notProven,
            device: client.name,
            topic: nil,
            from: client.address,
            detail: "connection refused: \(detail)",
            byDetail: true,
            now: .now()
        )
    }

    /// A client identifier for a client that gave none `[MQTT-3.1.3-6]`; random, so that it claims no device.
    func makeClientID() -> MQTTString {
        let digits = Array("0123456789abcdef".utf8)
        let name = "auto-" + String(decoding: SecureRandom.bytes(count: 16).map { digits[Int($0 & 15)] }, as: UTF8.self)
        return (try? MQTTString(name)) ?? .empty
    }

    /// The TLS-PSK of a device, for the handshake of a listener; nil for an unknown or revoked one.
    func preSharedKey(identity: [UInt8]) -> [UInt8]? {
        guard let text = String(validating: identity, as: UTF8.self), let id = try? DeviceID(text),
            let device = self.registry.device(id), !device.isRevoked
        else {
            self.keys.spendDerivation()  // As much work as for a device that is there.
            return nil
        }
        let derived = self.keys.preSharedKey(of: device)  // Also for an imported key: the time tells nothing.
        return device.psk ?? derived
    }

    // MARK: What CONNACK says

    /// The basis of response topics that `response_information` of the profile names (MQTT 5.0 §4.10.1); nil: none.
    func responseInformation(for identity: Client.Identity) -> MQTTString? {
        guard case .device(let id) = identity, let policy = self.registry.policy(for: id) else { return nil }
        return policy.responseInformation.flatMap { try? MQTTString($0) }
    }

    /// Whether a client of this identity may have messages retained; whoever proves nothing is many.
    func mayRetain(_ identity: Client.Identity) -> Bool {
        switch identity {
        case .device(let id): self.registry.profile(of: id)?.retain ?? true
        case .guest: self.registry.guestPolicy(profile: "guest")?.profile.retain ?? true
        case .unproven: true
        }
    }

    // MARK: Changes

    /// Takes the devices as the store has them now: rights change at once, connections of lost or re-keyed devices are closed.
    func replaceDevices(_ devices: [Device]) {
        let changes = self.registry.replace(devices: devices, profiles: self.registry.profiles)
        guard !changes.isEmpty else { return }
        self.recentChanges.note(changes.rekeyed.union(changes.lost), now: .now())
        self.paces.removeAll()
        self.rebuildChannels()
        self.closeClients(of: changes.rekeyed, reason: "the device was re-keyed", endsSessions: false)
        self.closeClients(of: changes.lost, reason: "the device was revoked or removed", endsSessions: true)
        for site in self.sites { site.devicesChanged(changes.rekeyed.union(changes.lost)) }
        self.forgetCommands(of: changes.lost)
        self.piggyback.refresh()
        for case .devices(let devices) in self.uplinks {
            devices.halt(changes.lost)
            devices.renew(changes.rekeyed.union(changes.restored).union(changes.added).subtracting(changes.lost))
        }
        // Last: what was said above to those who are gone could still be sealed.
        self.oscore.replace(devices)
        self.logger.notice(
            "devices changed",
            metadata: [
                "added": "\(changes.added.count)", "removed": "\(changes.removed.count)",
                "revoked": "\(changes.revoked.count)", "restored": "\(changes.restored.count)",
                "devices": "\(self.registry.count)",
            ]
        )
    }

    /// Takes the profiles of a configuration that was read again.
    func replaceProfiles(from configuration: GatewayConfiguration) {
        self.logger.notice("profiles are taken over; listeners, uplinks, routes and limits need a restart")
        let profiles = configuration.profiles.values.sorted { $0.line < $1.line }
        let changes = self.registry.replace(devices: self.registry.devices, profiles: profiles)
        self.paces.removeAll()
        self.rebuildChannels()
        self.piggyback.refresh()
        self.logger.notice(
            "configuration reloaded",
            metadata: ["profiles": "\(profiles.count)", "devices-affected": "\(changes.reprofiled.count)"]
        )
    }

    /// Makes the session topics fit the devices. Session IDs of a topic that stays stay valid.
    func rebuildChannels() {
        let now = NIODeadline.now()
        var rebuilt: [TopicName: SealedChannel] = [:]
        var new: [(channel: SealedChannel, issued: [SessionID])] = []
        for group in self.registry.sessionGroups() {
            let (members, incomplete) = self.registry.v1Members(of: group)
            if !incomplete.isEmpty {
                self.logger.warning(
                    "devices without complete v1 keys can't be heard",
                    metadata: ["devices": "\(incomplete.map(\.text).joined(separator: " "))"]
                )
            }
            guard !members.isEmpty else { continue }
            let configuration = V1Receiver.Configuration(
                window: group.profile.window,
                lifetime: group.profile.lifetime,
                rotateOnFailure: group.profile.rotateOnFailure
            )
            if let channel = self.channels[group.topic], channel.receiver.configuration == configuration {
                self.warn(leftOut: channel.receiver.setMembers(members), channel.receiver, topic: group.topic)
                channel.maxPayload = group.profile.maxPayload
                rebuilt[group.topic] = channel
            } else {
                let receiver = V1Receiver(configuration: configuration, members: members, workspace: self.workspace)
                self.warn(leftOut: receiver.setMembers(members), receiver, topic: group.topic)
                let channel = SealedChannel(
                    topic: group.topic.compacted(),
                    receiver: receiver,
                    maxPayload: group.profile.maxPayload
                )
                rebuilt[channel.topic] = channel
                new.append((channel, receiver.start(now: now)))
            }
        }
        self.channels = rebuilt
        // Whether somebody may get them is decided with the new channels in place.
        for (channel, issued) in new { self.publish(issued, of: channel) }
    }

    private func warn(leftOut: [String], _ receiver: V1Receiver, topic: TopicName) {
        if !leftOut.isEmpty {
            self.logger.warning(
                "devices with the keys and node id of another one can't be told apart: they are not heard",
                metadata: ["session-topic": "\(topic)", "devices": "\(leftOut.joined(separator: " "))"]
            )
        }
        if receiver.keySetsOverLimit > 0 {
            self.logger.warning(
                "more key sets share a session topic than are tried for one message",
                metadata: ["session-topic": "\(topic)", "too-many": "\(receiver.keySetsOverLimit)"]
            )
        }
    }

    // MARK: Session IDs

    /// Publishes new session IDs to whoever listens on the session topic now. They are kept by the receiver alone, for later
    /// subscribers, and never on disk; an absent client gets those that are valid when it is back, not a queue of spent ones.
    func publish(_ issued: [SessionID], of channel: SealedChannel) {
        guard !issued.isEmpty else { return }
        for id in issued {
            var outgoing = OutgoingMessage(
                Message(topic: channel.topic, payload: id.payload, qos: .atLeastOnce, retain: false)
            )
            self.broker.forEachRecipient(of: channel.topic, from: nil) { session, grant in
                guard session.connection != nil else { return false }
                return self.deliver(
                    &outgoing,
                    to: session,
                    qos: min(.atLeastOnce, grant.qos),
                    retain: false,
                    identifiers: grant.identifiers,
                    isPassing: true
                )
            }
        }
        for broker in self.attached { broker.publish(issued, of: channel) }
    }

    /// Replaces session IDs whose lifetime is over.
    func expireSessionIDs(now: NIODeadline) {
        for channel in self.channels.values {
            guard let expiry = channel.receiver.nextExpiry, expiry <= now else { continue }
            self.publish(channel.receiver.tick(now: now), of: channel)
        }
    }
}

extension TLSPeer {
    /// What the handshake says of who the client is.
    enum Proof: Equatable {
        /// It has this name: the PSK identity, or that of its verified certificate.
        case name(String)
        /// It showed a certificate that names nobody for certain.
        case nobody
        /// It was not asked, or showed nothing.
        case nothing
    }

    var proof: Proof {
        if let identity = self.preSharedKeyIdentity {
            return String(validating: identity, as: UTF8.self).map(Proof.name) ?? .nobody
        }
        guard let certificate = self.certificate else { return .nothing }
        return certificate.clientName.map(Proof.name) ?? .nobody
    }
}
