package import MQTTCodec
package import NIOCore

/// A message on its way through the broker: what a client, an uplink or the gateway itself published.
package struct Message: Sendable, Equatable {
    package var topic: TopicName
    package var payload: ByteBuffer
    /// The QoS it was published at; a delivery uses the lower of this and the subscription's `[MQTT-3.8.4-6]`.
    package var qos: QoS
    package var retain: Bool
    /// The device that published it, by its proven id; nil for the gateway's own and for what an uplink brought.
    /// A retained message is served only while this device may publish there.
    package var publisher: String?

    package init(topic: TopicName, payload: ByteBuffer, qos: QoS, retain: Bool, publisher: String? = nil) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.publisher = publisher
    }

    /// Bytes that keeping this message costs, for the limits that count bytes.
    package var size: Int { self.topic.buffer.readableBytes + self.payload.readableBytes }

    /// The same message in storage of its own, so that keeping it does not keep a whole read buffer.
    package func compacted() -> Message {
        var copy = self
        copy.topic = self.topic.compacted()
        copy.payload = ByteBuffer(bytes: self.payload.readableBytesView)
        return copy
    }
}
