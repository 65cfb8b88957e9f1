import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import Store

extension GatewayCore {
    // MARK: Time

    /// Makes sure that sessions end, and wills are sent, when it is time.
    ///
    /// - Parameter session: The one that has just lost its connection; nil: look at all.
    func armSessionTimer(for session: Session? = nil) {
        guard let next = session.map({ $0.nextDeadline }) ?? self.broker.nextDeadline else { return }
        if let armed = self.sessionTimer, armed.deadline <= next { return }
        self.sessionTimer?.task.cancel()
        // Many may be due at nearly the same time.
        let deadline = max(next, .now() + .milliseconds(100))
        let task = self.loop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.sessionTimer = nil
            self.broker.expire(now: .now())
            self.publishLapsedWills()
            self.armSessionTimer()
        }
        self.sessionTimer = (deadline, task)
    }

    /// Publishes the wills whose delay or session is over `[MQTT-3.1.2-8]`; every right is checked again.
    func publishLapsedWills() {
        for pending in self.broker.takeLapsedWills() { (pending.sender as? Client)?.publish(pending.will) }
    }

    // MARK: The last run

    /// Takes the sessions that outlived the last run: their clients are away, and a client that was here then has left
    /// now.
    func restore(sessions: [StoredSession], messages: [Int64: StoredMessage]) {
        let kept = messages.mapValues { stored in
            let expiry = self.wallClock.deadline(at: stored.expiresAt)
            return KeptMessage(Message(stored, expiry: expiry), number: stored.number)
        }
        // Should there be two of one client, the newer one is its session.
        let newest = Dictionary(
            sessions.map { (SessionKey(owner: $0.record.owner, clientID: $0.record.clientID), $0.record.number) },
            uniquingKeysWith: max
        )
        // Those who left first are the first whose place is given away.
        var commands: StoredSession?
        for stored in sessions.sorted(by: { ($0.record.leftAt ?? .max) < ($1.record.leftAt ?? .max) }) {
            let record = stored.record
            let key = SessionKey(owner: record.owner, clientID: record.clientID)
            if record.owner == Self.commandsOwner, newest[key] == record.number {
                commands = stored
            } else if newest[key] != record.number || !self.restore(stored, messages: kept) {
                self.commits.append(.end(session: record.number))
            }
        }
        if let commands { self.restore(commands: commands, messages: kept) }
        self.publishLapsedWills()
        self.armSessionTimer()
    }

    /// Takes one session; false if it is over, though its will may have to be published.
    private func restore(_ stored: StoredSession, messages: [Int64: KeptMessage]) -> Bool {
        let record = stored.record
        guard self.isKnown(record.owner) else { return false }
        let now = NIODeadline.now()
        let interval = self.broker.granted(record.expiryInterval, to: record.owner)
        let present = self.wallClock.present
        let away = present.flatMap { present in record.leftAt.map { max(present - $0, 0) / 1000 } } ?? 0
        let ends = now + .seconds(max(Int64(interval) - away, 0))
        guard let session = self.broker.restore(stored, messages: messages, ends: ends) else { return false }
        if record.leftAt == nil, let present {
            self.commits.append(
                .update(session: record.number, expiryInterval: record.expiryInterval, leftAt: present)
            )
        }
        if let will = stored.will.flatMap(Will.init),
            let listener = self.configuration.listeners.first ?? self.configuration.attached.first?.rules
        {
            let delay = will.properties.willDelayInterval ?? 0
            let sender = Client(core: self, listener: listener, restored: session)
            let due = max(now + .seconds(Int64(delay) - away), now)
            session.hold(PendingWill(will: will, due: due, sender: sender))
        }
        if away >= Int64(interval) { self.broker.remove(session) }
        return true
    }

    private func isKnown(_ owner: SessionOwner) -> Bool {
        guard case .device(let text) = owner else { return true }
        return (try? DeviceID(text)).flatMap { self.registry.device($0) }.map { !$0.isRevoked } ?? false
    }

    /// Takes the retained messages that outlived the last run.
    func restore(_ records: [RetainedRecord]) {
        for record in records {
            let message = Message(
                topic: TopicName(unchecked: record.topic),
                payload: record.payload,
                qos: record.qos,
                retain: true,
                publisher: record.publisher,
                properties: (try? MQTTProperties(serialized: record.properties)) ?? MQTTProperties(),
                expiry: self.wallClock.deadline(at: record.expiresAt)
            )
            _ = self.broker.retained.retain(message)
        }
    }

    // MARK: A commit that failed

    /// What publishers were not acknowledged leaves the queues again, or it would be there twice when they send it again.
    func undo(_ records: [QueuedMessageRecord]) {
        var changed: [Int64: Session] = [:]
        for record in records {
            guard record.session != self.commandSession else {
                self.undo(command: record)
                continue
            }
            guard let session = self.broker.session(numbered: record.session) else { continue }
            session.undo(order: record.order)
            changed[record.session] = session
        }
        for session in changed.values { session.pump() }
    }

    /// What the store should have of a topic, by what memory has.
    func retainedChange(of topic: TopicName) -> RetainedChange? {
        guard let kept = self.broker.retained[topic] else { return .clear(topic: topic.buffer) }
        // Of commands that an uplink brought, the store has none.
        return kept.publisher == nil ? nil : .set(self.retainedRecord(of: kept))
    }

    func retainedRecord(of message: Message) -> RetainedRecord {
        RetainedRecord(
            topic: message.topic.buffer,
            payload: message.payload,
            qos: message.qos,
            publisher: message.publisher,
            storedAt: self.wallClock.stamp,
            properties: message.properties.serialized,
            expiresAt: self.wallClock.milliseconds(at: message.expiry)
        )
    }
}

/// What tells one session from another.
private struct SessionKey: Hashable {
    let owner: SessionOwner
    let clientID: MQTTString

    /// - Parameter clientID: From the store; one that is no string has no session.
    init(owner: SessionOwner, clientID: ByteBuffer) {
        self.owner = owner
        self.clientID = (try? MQTTString(validating: clientID)) ?? .empty
    }
}

extension Message {
    fileprivate init(_ stored: StoredMessage, expiry: NIODeadline?) {
        self.init(
            topic: TopicName(unchecked: stored.topic),
            payload: stored.payload,
            qos: QoS(rawValue: stored.qos) ?? .atLeastOnce,
            retain: false,
            publisher: stored.publisher,
            properties: (try? MQTTProperties(serialized: stored.properties)) ?? MQTTProperties(),
            expiry: expiry
        )
    }
}
