import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import Sealing
import Store

/// The Sealer: commands for devices whose messages are sealed, on their way from the Router to the sessions.
///
/// A command waits until its node is here and has published a session ID. That the ID is used goes to disk before the
/// command leaves, so no crash makes the gateway use it again; what leaves is then in the sessions as any other message is.
extension GatewayCore {
    /// Owner of the stored session that holds what waits; no device id has a `?`.
    static let commandsOwner = SessionOwner.device("?commands")
    /// How long commands wait for a device for which nobody is subscribed, nor has a session: one that is just restarting.
    private static let orphanedLimit = TimeAmount.minutes(10)

    // MARK: Who gets what

    /// Whether this session gets commands for the device sealed: its own, and those that prove nothing. Others whom policy
    /// allows the topic (a home automation on a guest listener) get them as they are.
    func isSealed(_ owner: SessionOwner, for device: DeviceID) -> Bool {
        switch owner {
        case .unproven: true
        case .device(let id): id == device.text
        case .guest: false
        }
    }

    /// The brokers with nodes that what an uplink brought goes to.
    func attachedBrokers(for message: Message) -> [AttachedBroker] {
        guard message.publisher == nil else { return [] }
        return self.attached.filter { $0.takes(message.topic) }
    }

    // MARK: What comes

    /// Keeps a command until it can be sealed, and seals it at once if it can be.
    ///
    /// - Parameter retain: It is what is retained, for a new subscription.
    /// - Returns: Whether it is kept.
    @discardableResult
    func hold(_ message: Message, for device: DeviceID, retain: Bool = false) -> Bool {
        var message = message.compacted()
        message.retain = retain
        // QoS 0 is for those who are here.
        guard message.qos != .atMostOnce || self.isSomebodyHere(message, for: device) else { return false }
        guard let (topic, displaced) = self.commandDesk.makeRoom(for: message, of: device) else {
            self.counters.count(.queue)
            self.counters.commandsDropped += 1
            return false
        }
        self.forget(displaced)
        self.commandDesk.append(self.written(message), to: topic)
        self.commits.whenSafe {
            self.pump(topic)
        } orElse: {
            // It has left again, for its publisher keeps it.
        }
        return true
    }

    /// Writes the command down, if it is to outlive a restart.
    private func written(_ message: Message) -> WaitingCommand {
        let order = self.commits.nextNumber()
        guard message.qos != .atMostOnce else {
            return WaitingCommand(message: message, order: order, number: 0, batch: 0)
        }
        let number = self.commits.keep(message)
        let record = QueuedMessageRecord(
            session: self.commandSessionNumber(),
            order: order,
            message: number,
            qos: message.qos.rawValue,
            retain: message.retain
        )
        let batch = self.commits.append(.enqueue(record))
        return WaitingCommand(message: message, order: order, number: number, batch: batch)
    }

    private func forget(_ commands: [WaitingCommand]) {
        guard let session = self.commandSession else { return }
        for command in commands where command.number != 0 {
            self.commits.append(.dequeue(session: session, order: command.order, message: command.number))
        }
    }

    private func commandSessionNumber() -> Int64 {
        if let number = self.commandSession { return number }
        let number = self.commits.nextNumber()
        let record = SessionRecord(
            number: number,
            clientID: ByteBuffer(),
            owner: Self.commandsOwner,
            expiryInterval: .max,
            leftAt: nil
        )
        self.commits.append(.open(record))
        self.commandSession = number
        return number
    }

    // MARK: What goes

    /// Sends what can go of a topic: its node is here, and has published a session ID.
    func pump(_ topic: CommandTopic) {
        self.giveUp(
            self.commandDesk.takeExpired(of: topic, now: .now()),
            of: topic,
            "it waited for longer than its ttl"
        )
        guard !topic.isLeaving, let first = topic.waiting.first, self.commits.isSafe(first.batch) else { return }
        guard self.registry.commandDevice(topic.topic) == topic.device else { return self.sendUnsealed(topic) }
        guard self.isSomebodyHere(first.message, for: topic.device),
            let (_, id) = self.commandDesk.next(of: topic)
        else { return }
        self.writeDown(topic.device)
        guard let sealed = self.seal(first.message, under: id, for: topic.device) else {
            return self.commandDesk.stays(topic)
        }
        // Stored sessions take it in the same commit. A crash after that makes it come again as it is, which its node tells
        // by the session ID; a crash before leaves it here.
        let (isTaken, isStored) = self.deliver(sealed, for: topic.device, under: id) {
            $0.isStored && $1 != .atMostOnce && !Piggyback.owns($0)
        }
        if isStored { self.left(topic, first) }
        self.commits.whenSafe {
            guard isStored || topic.isLeaving else { return }
            var message = sealed
            message.leavesWhenSafe = false
            let isWithOthers = self.deliver(message, for: topic.device, under: id) {
                !Piggyback.owns($0) && (!$0.isStored || $1 == .atMostOnce)
            }.any
            // A node that only posts may know the session ID of its last post only: what misses that response waits.
            let ride = id.isGood ? self.piggyback.ride(of: topic.device, for: message.topic) : nil
            let hasRidden = ride?.take(message) ?? false
            let isAttached =
                self.attachedBrokers(for: message).count { $0.isConnected && $0.publish(command: message) } > 0
            if isStored { return }
            guard isTaken || isWithOthers || isAttached || hasRidden else { return self.commandDesk.stays(topic) }
            self.left(topic, first)
            self.pump(topic)
        } orElse: {
            if !isStored { self.commandDesk.stays(topic) }
        }
        if isStored { self.pump(topic) }
    }

    private func left(_ topic: CommandTopic, _ command: WaitingCommand) {
        self.counters.commandsSealed += 1
        self.forget([command])
        self.commandDesk.left(topic)
    }

    /// Nil if the device has no keys any more.
    private func seal(_ message: Message, under id: CommandSessionID, for device: DeviceID) -> Message? {
        guard let member = self.registry.v1Member(device) else { return nil }
        var sealed = message
        do {
            sealed.payload = try V1Cipher.seal(
                message.payload,
                keys: member.keys,
                nodeID: member.nodeID,
                sessionID: id.bytes
            )
        } catch {
            return nil
        }
        sealed.leavesWhenSafe = true
        return sealed
    }

    /// - Parameters:
    ///   - id: What it is sealed under; nil: it is not.
    ///   - isMeant: Of the sessions that get it sealed, those that get it now, by the QoS of their delivery.
    /// - Returns: Whether anybody who can be the node has it, and whether somebody who is here has.
    @discardableResult
    private func deliver(
        _ message: Message,
        for device: DeviceID,
        under id: CommandSessionID? = nil,
        isMeant: (Session, QoS) -> Bool
    ) -> (any: Bool, here: Bool) {
        var taken = (any: false, here: false)
        var outgoing = OutgoingMessage(message)
        // Nobody would send it again: should it not reach the disk, it is tried again.
        self.commits.withoutPublisher {
            self.broker.forEachRecipient(of: message.topic, from: nil) { session, grant in
                let qos = min(message.qos, grant.qos)
                guard self.isSealed(session.owner, for: device), isMeant(session, qos) else { return false }
                let isWithIt = self.deliver(
                    &outgoing,
                    to: session,
                    qos: qos,
                    retain: message.retain,
                    identifiers: grant.identifiers
                )
                if isWithIt, self.canBeNode(session, device, id) {
                    taken.any = true
                    if session.connection != nil { taken.here = true }
                }
                return isWithIt
            }
        }
        return taken
    }

    /// What its profile says is not sealed any more goes as it is, unless there is no such device.
    private func sendUnsealed(_ topic: CommandTopic) {
        let commands = self.commandDesk.takeAll(of: topic)
        guard let device = self.registry.device(topic.device), !device.isRevoked else {
            return self.giveUp(commands, of: topic, "the device is gone")
        }
        for command in commands {
            self.deliver(command.message, for: topic.device) { _, _ in true }
            for broker in self.attachedBrokers(for: command.message) { broker.publish(command: command.message) }
        }
        self.forget(commands)
    }

    private func giveUp(_ commands: [WaitingCommand], of topic: CommandTopic, _ reason: String) {
        guard !commands.isEmpty else { return }
        self.forget(commands)
        self.counters.commandsDropped += commands.count
        self.logger.warning(
            "commands given up",
            metadata: [
                "device": "\(topic.device)", "topic": "\(Printable.text(topic.topic.buffer))",
                "commands": "\(commands.count)", "reason": "\(reason)",
            ]
        )
    }

    // MARK: Who is here

    private func isSomebodyHere(_ message: Message, for device: DeviceID) -> Bool {
        self.recipients(of: message, device).here
    }

    /// Whether a response to the device's post can take the command when it is sealed.
    func fits(_ message: Message, of device: DeviceID, _ ride: PiggybackRide) -> Bool {
        let nodeID = self.registry.v1Member(device)?.nodeID.count ?? DeviceID.maxBytes
        let bytes = V1Cipher.sealedBytes(of: message.payload.readableBytes, nodeIDBytes: nodeID)
        return ride.takes(message.topic, bytes: bytes)
    }

    /// Whether what is with this session can be with the node. Anybody may ask for commands in its name, which shows nothing where
    /// the node's connections prove it; and a CoAP client may have made its address up.
    private func canBeNode(_ session: Session, _ device: DeviceID, _ id: CommandSessionID?) -> Bool {
        if id?.isOfProvenConnection ?? false, session.owner != .device(device.text) { return false }
        return !((session.connection as? TopicObserver)?.isUnconfirmed ?? false)
    }

    /// Whether somebody who gets this sealed is here, and whether there is anybody, here or not.
    private func recipients(of message: Message, _ device: DeviceID) -> (here: Bool, any: Bool) {
        var found = (here: false, any: false)
        let id = self.commandDesk[device]?.topic(message.topic)?.sessionID
        self.broker.forEachRecipient(of: message.topic, from: nil) { session, _ in
            guard self.isSealed(session.owner, for: device), self.mayReceive(session, message.topic) else {
                return false
            }
            found.any = true
            guard let connection = session.connection else { return false }
            guard self.canBeNode(session, device, id) else {
                (connection as? TopicObserver)?.askForProof { self.presentMessage(on: $0, for: session.owner) }
                return false
            }
            if let ride = connection as? PiggybackRide {
                if !ride.isOver, self.fits(message, of: device, ride) { found.here = true }
            } else {
                found.here = true
            }
            return found.here
        }
        let brokers = self.attachedBrokers(for: message)
        if !brokers.isEmpty { found.any = true }
        if brokers.contains(where: \.isConnected) { found.here = true }
        return found
    }

    /// The session's client is here, or has subscribed: it may be what commands wait for.
    func pumpCommands(for session: Session) {
        guard !self.commandDesk.busy.isEmpty else { return }
        var devices: Set<DeviceID> = []
        switch session.owner {
        case .guest: return
        case .device(let text): if let id = try? DeviceID(text) { devices.insert(id) }
        case .unproven:
            for filter in session.subscriptions.keys {
                let matched = ((try? SharedSubscription.parse(filter)) ?? nil)?.filter ?? filter
                if let id = self.registry.claimedDevice(subscribe: matched, clientID: session.claimedID) {
                    devices.insert(id)
                }
            }
        }
        for device in devices {
            for topic in self.commandDesk[device]?.topics ?? [] where !topic.waiting.isEmpty { self.pump(topic) }
        }
    }

    /// Sends what can go, and gives up what nobody waits for: every few seconds, and when a broker is attached again.
    func pumpCommands(now: NIODeadline = .now()) {
        for topic in self.commandDesk.busy.values {
            self.pump(topic)
            guard let first = topic.waiting.first, !self.recipients(of: first.message, topic.device).any else {
                topic.orphanedSince = nil
                continue
            }
            let since = topic.orphanedSince ?? now
            topic.orphanedSince = since
            guard now - since >= Self.orphanedLimit else { continue }
            let commands = self.commandDesk.takeAll(of: topic)
            self.giveUp(commands, of: topic, "nobody is subscribed for the device, nor has a session")
        }
    }

    /// The devices are gone: so is what waits for them.
    func forgetCommands(of devices: some Sequence<DeviceID>) {
        for device in devices where self.commandDesk[device] != nil {
            let commands = self.commandDesk.forget(device)
            self.forget(commands)
            self.counters.commandsDropped += commands.count
            self.commits.append(CommandSessionRecord(device: device.text, ids: ByteBuffer(), used: ByteBuffer()))
        }
    }

    // MARK: The last run

    /// Takes what devices had published and used up.
    func restore(_ records: [CommandSessionRecord]) {
        for record in records {
            if let id = try? DeviceID(record.device), self.registry.device(id) != nil {
                self.commandDesk.restore(record, device: id)
            } else {
                self.commits.append(
                    CommandSessionRecord(device: record.device, ids: ByteBuffer(), used: ByteBuffer())
                )
            }
        }
    }

    /// Takes the commands that waited in the last run.
    func restore(commands stored: StoredSession, messages: [Int64: KeptMessage]) {
        self.commandSession = stored.record.number
        for record in stored.queue {
            guard let kept = messages[record.message] else { continue }
            var message = kept.message
            message.retain = record.retain
            let command = WaitingCommand(message: message, order: record.order, number: record.message, batch: 0)
            guard let device = self.device(ofCommandsOn: message.topic),
                let (topic, displaced) = self.commandDesk.makeRoom(for: message, of: device)
            else {
                self.forget([command])
                self.counters.commandsDropped += 1
                self.logger.warning(
                    "a command of the last run is given up: its device is gone, or over its limits",
                    metadata: ["topic": "\(Printable.text(message.topic.buffer))"]
                )
                continue
            }
            self.forget(displaced)
            self.commandDesk.append(command, to: topic)
        }
    }

    /// Also one whose messages are not sealed any more: it gets them as they are, as soon as it is looked at.
    private func device(ofCommandsOn topic: TopicName) -> DeviceID? {
        if let device = self.registry.commandDevice(topic) { return device }
        guard let filter = try? TopicFilter(validating: topic.buffer) else { return nil }
        return self.registry.claimedDevice(subscribe: filter, clientID: nil)
    }

    /// What could not be written down leaves again.
    func undo(command record: QueuedMessageRecord) { self.commandDesk.remove(order: record.order) }

    /// What the store should remember of a device, by what memory has.
    func commandSessionRecord(of device: String) -> CommandSessionRecord {
        let own = (try? DeviceID(device)).flatMap { self.commandDesk[$0] }
        return own?.record ?? CommandSessionRecord(device: device, ids: ByteBuffer(), used: ByteBuffer())
    }
}

extension Message {
    /// Whether it goes to the device sealed only, kept on a topic of its commands: what it says itself is no command for it.
    func mustBeSealed(for device: DeviceID) -> Bool { self.publisher != device.text && !self.isNeverSealed }
}
