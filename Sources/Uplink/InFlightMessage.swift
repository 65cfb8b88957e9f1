internal import MQTTCodec
internal import NIOCore

/// A message of the window, with what the client keeps of it besides.
struct InFlightMessage {
    var message: UplinkMessage
    /// Place in the order of sending, over QoS 1 and 2 `[MQTT-4.6.0-1]`.
    let order: UInt64
    /// Whether its PUBLISH went out on the present connection.
    var isWritten: Bool

    /// Lets go of topic, payload and properties.
    mutating func dropContents() {
        self.message.topic = TopicName(unchecked: ByteBuffer())
        self.message.payload = ByteBuffer()
        self.message.properties = MQTTProperties()
    }
}
