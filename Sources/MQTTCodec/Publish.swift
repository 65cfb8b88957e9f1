public import NIOCore

/// PUBLISH: one message (MQTT 5.0 §3.3). Without properties it is made, copied and written without an allocation.
public struct Publish: Equatable, Sendable, CustomStringConvertible, CustomReflectable {
    /// Empty only if the properties have a Topic Alias that stands for it.
    public var topic: TopicName
    /// Any bytes. A slice of the read buffer if it was received.
    public var payload: ByteBuffer
    /// MQTT 5.0 only.
    public var properties: MQTTProperties
    /// Zero with QoS 0, which has none; never zero otherwise.
    public var packetID: UInt16
    /// Quality of service of this delivery.
    public var qos: QoS
    /// Whether it may have been sent before. Never with QoS 0.
    public var dup: Bool
    /// Set by a publisher: keep the message for later subscribers. Set by a server: it was kept.
    public var retain: Bool

    /// A message to send. `packetID` belongs to QoS 1 and 2.
    public init(
        topic: TopicName,
        payload: ByteBuffer,
        qos: QoS = .atMostOnce,
        retain: Bool = false,
        dup: Bool = false,
        packetID: UInt16 = 0,
        properties: MQTTProperties = MQTTProperties()
    ) {
        self.topic = topic
        self.payload = payload
        self.properties = properties
        self.packetID = packetID
        self.qos = qos
        self.dup = dup
        self.retain = retain
    }

    /// Whether the topic has to be looked up by the Topic Alias.
    public var namesTopicByAliasOnly: Bool { self.topic.buffer.readableBytes == 0 }

    /// For logs: everything but the payload, of which only the size is told.
    public var description: String {
        var flags = ""
        if self.qos != .atMostOnce { flags += " id \(self.packetID)" }
        if self.dup { flags += " dup" }
        if self.retain { flags += " retain" }
        return "PUBLISH \(self.topic) qos \(self.qos.rawValue)\(flags) payload \(self.payload.readableBytes) bytes"
    }

    /// The description only: payloads don't belong in dumps.
    public var customMirror: Mirror { Mirror(self, children: ["publish": self.description]) }

    /// The same in every field, payloads by their bytes.
    public static func == (left: Publish, right: Publish) -> Bool {
        left.topic == right.topic && left.packetID == right.packetID && left.qos == right.qos
            && left.dup == right.dup && left.retain == right.retain
            && RawBytes.equal(left.payload, right.payload) && left.properties == right.properties
    }
}
