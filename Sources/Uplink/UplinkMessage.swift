package import MQTTCodec
package import NIOCore

/// One message for the outside broker.
package struct UplinkMessage: Sendable {
    /// The owner's number of the message, from 0. Not two messages in flight have the same; the order is the owner's affair. At
    /// QoS 2 the packet identifier follows from it: see ``UplinkClient/exactlyOnceID(of:)``.
    package var sequence: Int64
    /// At the outside broker.
    package var topic: TopicName
    /// Together with topic and properties at most 268,369,000 bytes, so that the packet can be written down at all.
    package var payload: ByteBuffer
    /// Lowered to what the broker takes.
    package var qos: QoS
    /// Taken away where the broker does not keep messages.
    package var retain: Bool
    /// Those of the message (see ``MQTTProperties/ofMessage``); 5.0 only, ignored at 3.1.1.
    package var properties: MQTTProperties
    /// When it is worth nothing any more; what is left at the time of sending goes with it as Message Expiry Interval
    /// (MQTT 5.0 §3.3.2.3.3). Nil: never.
    package var expiry: NIODeadline?
    /// Whether the broker may have it from an earlier run of this process: DUP is set at QoS 1 and 2, if its session is
    /// still there.
    package var isRepeat: Bool

    /// A message without properties that does not expire, unless more is said.
    @inlinable
    package init(
        sequence: Int64,
        topic: TopicName,
        payload: ByteBuffer,
        qos: QoS,
        retain: Bool = false,
        properties: MQTTProperties = MQTTProperties(),
        expiry: NIODeadline? = nil,
        isRepeat: Bool = false
    ) {
        self.sequence = sequence
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
        self.expiry = expiry
        self.isRepeat = isRepeat
    }

    /// What it costs to keep it: bytes of topic, payload and properties.
    @inline(__always)
    var size: Int {
        let bytes = self.topic.buffer.readableBytes + self.payload.readableBytes
        return self.properties.isAbsent ? bytes : bytes + self.properties.countedBytes
    }
}

/// What became of a message that was handed to ``UplinkClient/send(_:now:into:)``.
package enum UplinkSendOutcome: Equatable, Sendable {
    /// It is in flight: ``UplinkAction/acknowledged(sequence:)``, ``UplinkAction/pubrec(sequence:packetID:)``,
    /// ``UplinkAction/refused(sequence:_:reason:)`` or ``UplinkSession`` will tell of it.
    case sent
    /// It is written, at QoS 0, and nothing more will be heard of it. So also if a higher QoS was asked for that the broker does
    /// not take.
    case sentAtMostOnce
    /// Not now: not connected, no room in the window, or its packet identifier is in use.
    case noRoom
    /// It does not fit into a packet that this broker takes, of so many bytes at most `[MQTT-3.2.2-15]`.
    case tooLarge(limit: Int)
    /// Its time is over.
    case expired
}
