package import MQTTCodec
package import NIOCore

extension ServerConnection {
    /// The PUBLISH of one message to this client: with the properties that its version has, what is left of the expiry
    /// interval, and an alias for the topic where that saves bytes. Nothing is allocated for a message without properties.
    ///
    /// - Returns: Nil if it is larger than the client takes `[MQTT-3.1.2-24]`. Otherwise it must be sent, and in the order
    ///   of these calls, for a later one may rest on its alias.
    package mutating func publish(_ message: Message, as delivery: Delivery, now: NIODeadline) -> Publish? {
        var publish = Publish(
            topic: message.topic,
            payload: message.payload,
            qos: delivery.qos,
            retain: delivery.retain,
            dup: delivery.isDuplicate,
            packetID: delivery.packetID
        )
        guard self.version == .v5 else { return publish }
        publish.properties = message.properties
        if !delivery.subscriptionIdentifiers.isEmpty {
            publish.properties.subscriptionIdentifiers = delivery.subscriptionIdentifiers
        }
        if let expiry = message.expiry {
            publish.properties.messageExpiryInterval = Self.seconds(until: expiry, now: now)  // [MQTT-3.3.2-6]
        }
        switch self.outboundAliases.use(for: message.topic) {
        case .topicOnly: break
        case .known(let only):
            publish.topic = TopicName(unchecked: ByteBuffer())
            publish.add(only)
        case .new(let only):
            var named = publish
            named.add(only)
            // With the alias it is three bytes longer; a message for which that is too much goes without.
            guard self.fits(named) else { break }
            self.outboundAliases.learn(message.topic)
            return named
        }
        return self.fits(publish) ? publish : nil
    }

    private func fits(_ publish: Publish) -> Bool {
        self.clientMaximumPacketSize == .max
            || publish.encodedSize(version: .v5) <= Int(self.clientMaximumPacketSize)
    }

    /// Whole seconds, rounded up: a message that is not over yet must not arrive with nothing left.
    private static func seconds(until expiry: NIODeadline, now: NIODeadline) -> UInt32 {
        let left = (expiry - now).nanoseconds
        guard left > 0 else { return 0 }
        return UInt32(clamping: (left - 1) / 1_000_000_000 + 1)
    }
}

extension Publish {
    /// Takes the alias out of `only`, which has nothing else.
    fileprivate mutating func add(_ only: MQTTProperties) {
        if self.properties.isEmpty {
            self.properties = only
        } else {
            self.properties.topicAlias = only.topicAlias
        }
    }
}
