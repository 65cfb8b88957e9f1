import Broker
import Devices
import MQTTCodec
import NIOCore
import Sealing

/// What observers of CoAP need of the core.
extension GatewayCore {
    /// What a topic has now for whoever may read it: the message that is retained, or what the gateway says itself.
    ///
    /// Of a session topic it is the newest session ID, which lasts longest. What has to be sealed for this owner is nothing
    /// here: it is sealed on its way to a session.
    func presentMessage(on topic: TopicName, for owner: SessionOwner) -> Message? {
        if let channel = self.channels[topic] {
            let now = NIODeadline.now()
            if let expiry = channel.receiver.nextExpiry, expiry <= now {
                self.publish(channel.receiver.tick(now: now), of: channel)
            }
            return channel.receiver.validSessionIDs.last.map {
                Message(topic: topic, payload: $0.payload, qos: .atLeastOnce, retain: true)
            }
        }
        if let message = self.broker.retained[topic] {
            guard self.mayStillBeRetained(message) else { return nil }
            let device = self.registry.commandDevice(topic)
            if let device, self.isSealed(owner, for: device), message.mustBeSealed(for: device) { return nil }
            return message
        }
        guard self.registry.reserved.contains(topic) else { return nil }
        return self.stateMessage(on: topic) ?? self.systemMessage(on: topic)
    }

    /// Whether the gateway alone says what is on the topic, and keeps nothing of it for anybody.
    func isGatewaysOwn(_ topic: TopicName) -> Bool {
        self.channels[topic] != nil || self.registry.reserved.contains(topic)
    }

    /// The device behind an observer: proven, or claimed by what it observes or names.
    func device(behind identity: Client.Identity, claimed: String?, filter: TopicFilter) -> ObservingDevice? {
        switch identity {
        case .device(let id): return ObservingDevice(id: id, standing: .proven)
        case .guest: return nil
        case .unproven:
            if let id = self.registry.plaintextDevice(subscribe: filter, clientID: claimed) {
                return ObservingDevice(id: id, standing: .named)
            }
            return self.registry.claimedDevice(subscribe: filter, clientID: claimed)
                .map { ObservingDevice(id: $0, standing: .claimed) }
        }
    }

    /// An observer is there; while a device has one, commands may come for it.
    func observerCame(_ observer: TopicObserver) {
        guard let device = observer.device else { return }
        if device.standing != .claimed { self.piggyback.observes(observer.topic, device.id) }
        guard device.standing == .proven else { return }
        self.observersOf[device.id, default: 0] += 1
        self.presenceChanged(of: device.id)
    }

    /// - Parameters:
    ///   - isOver: No other observation goes on with its session.
    ///   - other: Another observation of the same topic by the same device.
    func observerLeft(_ observer: TopicObserver, isOver: Bool, other: TopicObserver?) {
        guard let device = observer.device else { return }
        if device.standing != .claimed {
            // A node that restarts registers anew, and what was sent meanwhile is with the old observation.
            let undelivered = isOver ? observer.session.queuedMessages : []
            let waits = self.piggyback.observesNoMore(observer.topic, device.id, undelivered: undelivered)
            if !waits, let other { self.redeliver(undelivered, to: other.session) }
        }
        guard device.standing == .proven else { return }
        let left = self.observersOf[device.id, default: 1] - 1
        self.observersOf[device.id] = left > 0 ? left : nil
        self.presenceChanged(of: device.id)
    }
}

/// The device that an observer is, as far as that is known.
struct ObservingDevice {
    enum Standing {
        case proven
        /// By a name, which is all that its profile asks for.
        case named
        /// By a name, which proves nothing: what is sealed for it anybody may have, and nobody else can open.
        case claimed
    }

    let id: DeviceID
    let standing: Standing
}
