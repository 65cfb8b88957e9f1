import Devices
import MQTTCodec
import NIOCore

/// What is of CoAP alone in the way of a message.
extension Client {
    /// Takes a message that a request brought.
    func received(fromCoAP publish: Publish) {
        self.core.counters.received += 1
        self.process(publish)
    }

    /// Whether a message on the topic may be taken only if it is fresh. One that is sealed may be, so this is too strict for it where
    /// the profile takes both.
    func mustBeFresh(_ topic: TopicName) -> Bool {
        switch self.plan(for: topic) {
        case .plain(let destination): destination.profile.fresh
        case .sealed(let plan): plan.plaintext?.profile.fresh ?? false
        case .refused: false
        }
    }

    /// Hands on a message in the clear, unless its profile wants it fresh: who listens could send it again later, and by
    /// CoAP anybody can write any address on it.
    func admitPlain(_ publish: Publish, to destination: Destination) {
        if let coap = self.coap, destination.profile.fresh, !coap.isFresh {
            return coap.challenge(publish.packetID)
        }
        self.admit(publish, payload: publish.payload, to: destination)
    }
}
