import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import Store

extension GatewayCore {
    // MARK: Time

    /// Makes sure that sessions end, and wills are sent, when it is time.
    func armSessionTimer() {
        guard let next = self.broker.nextDeadline else { return }
        if let armed = self.sessionTimer, armed.deadline <= next { return }
        self.sessionTimer?.task.cancel()
        // Many may be due at nearly the same time.
        let deadline = max(next, .now() + .milliseconds(100))
        let task = self.loop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            guard let self else { return }
            self.sessionTimer = nil
            self.expireSessions()
        }
        self.sessionTimer = (deadline, task)
    }

    private func expireSessions() {
        for will in self.broker.expire(now: .now()) { self.publish(will) }
        self.armSessionTimer()
    }

    /// Publishes a will that waited; every right is checked again.
    func publish(_ pending: PendingWill) {
        (pending.sender as? Client)?.publish(pending.will)
    }

    // MARK: The last run

    /// Takes the sessions that outlived the last run: their clients are away, and a client that was here then has left
    /// now.
    func restore(sessions: [StoredSession], messages: [Int64: StoredMessage]) {
        let kept = messages.mapValues {
            KeptMessage(Message($0, expiry: self.wallClock.deadline(at: $0.expiresAt)), number: $0.number)
        }
        let now = NIODeadline.now()
        // Should there be two of one client, the newer one is its session.
        for stored in sessions.sorted(by: { $0.record.number > $1.record.number }) {
            let record = stored.record
            let left = self.broker.granted(record.expiryInterval, to: record.owner)
            let away = self.wallClock.present.flatMap { now in record.leftAt.map { max(now - $0, 0) / 1000 } } ?? 0
            guard self.isKnown(record.owner), away < Int64(left),
                let session = self.broker.restore(
                    stored,
                    messages: kept,
                    ends: now + .seconds(Int64(left) - away)
                )
            else {
                self.commits.append(.end(session: record.number))
                continue
            }
            guard let will = stored.will.flatMap(Will.init), let listener = self.configuration.listeners.first else {
                continue
            }
            let delay = will.properties.willDelayInterval ?? 0
            let sender = Client(core: self, listener: listener, restored: session)
            session.pendingWill = PendingWill(will: will, due: now + .seconds(Int64(delay)), sender: sender)
        }
        self.dropForbidden()
        self.armSessionTimer()
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
                // Only what a device or a guest published is stored, and a guest has no device.
                publisher: record.device?.text ?? Self.guestPublisher,
                properties: (try? MQTTProperties(serialized: record.properties)) ?? MQTTProperties(),
                expiry: self.wallClock.deadline(at: record.expiresAt)
            )
            _ = self.broker.retained.retain(message)
        }
    }

    // MARK: A commit that failed

    /// What publishers were not acknowledged leaves the queues again, or it would be there twice when they send it again.
    func undo(_ batch: StoreBatch) {
        for case .enqueue(let record) in batch.sessions {
            self.broker.session(numbered: record.session)?.undo(order: record.order)
        }
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
