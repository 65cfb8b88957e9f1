package import MQTTCodec
package import NIOCore

/// A message on its way through the broker: what a client, an uplink or the gateway itself published.
package struct Message: Sendable, Equatable {
    package var topic: TopicName
    package var payload: ByteBuffer
    /// The QoS it was published at; a delivery uses the lower of this and the subscription's `[MQTT-3.8.4-8]`.
    package var qos: QoS
    package var retain: Bool
    /// The device that published it, by its proven id; nil for the gateway's own and for what an uplink brought.
    /// A retained message is served only while this device may publish there.
    package var publisher: String?
    /// What its publisher said of it for those who get it (MQTT 5.0 §3.3.2.3): payload format, content type, response
    /// topic, correlation data, user properties. Never alias, expiry or subscription identifiers, which are of one packet.
    package var properties: MQTTProperties
    /// When it is worth nothing any more (MQTT 5.0 §3.3.2.3.3); nil: never.
    package var expiry: NIODeadline?
    /// Whether it takes the place of what waits on its topic for a client that is away or slow.
    package var replacesWaiting: Bool
    /// Whether it leaves for a client only when what was appended to the journal with it is on disk, as at QoS 2, whatever its
    /// QoS. For sessions without a journal its owner has to wait.
    package var leavesWhenSafe = false
    /// Whether it goes to devices as it is, though others on its topic are sealed for them.
    package var isNeverSealed = false

    package init(
        topic: TopicName,
        payload: ByteBuffer,
        qos: QoS,
        retain: Bool,
        publisher: String? = nil,
        properties: MQTTProperties = MQTTProperties(),
        expiry: NIODeadline? = nil,
        replacesWaiting: Bool = false
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.publisher = publisher
        self.properties = properties
        self.expiry = expiry
        self.replacesWaiting = replacesWaiting
    }

    /// Bytes that keeping this message costs, for the limits that count bytes.
    package var size: Int {
        let properties = self.properties.isAbsent ? 0 : self.properties.countedBytes
        return self.topic.buffer.readableBytes + self.payload.readableBytes + properties
    }

    /// The same message in storage of its own, so that keeping it does not keep a whole read buffer.
    package func compacted() -> Message {
        var copy = self
        copy.topic = self.topic.compacted()
        copy.payload = ByteBuffer(bytes: self.payload.readableBytesView)
        copy.properties = self.properties.compacted()
        return copy
    }

    /// Whether nobody should get it any more.
    package func hasExpired(now: NIODeadline) -> Bool {
        guard let expiry = self.expiry else { return false }
        return expiry <= now
    }
}
