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
    func device(
        behind identity: Client.Identity,
        claimed: String?,
        filter: TopicFilter
    ) -> (id: DeviceID?, isProven: Bool) {
        switch identity {
        case .device(let id): (id, true)
        case .guest: (nil, false)
        case .unproven: (self.registry.claimedDevice(subscribe: filter, clientID: claimed), false)
        }
    }

    /// An observer is there; while a device has one, commands may come for it.
    func observerCame(_ observer: TopicObserver) {
        guard observer.isProven, let device = observer.device else { return }
        self.observersOf[device, default: 0] += 1
        self.presenceChanged(of: device)
    }

    /// - Parameter isOver: No other observation goes on with its session.
    func observerLeft(_ observer: TopicObserver, isOver: Bool) {
        guard observer.isProven, let device = observer.device else { return }
        let left = self.observersOf[device, default: 1] - 1
        self.observersOf[device] = left > 0 ? left : nil
        self.presenceChanged(of: device)
    }
}
