package import NIOCore

/// The properties of a PUBLISH that is to be written: those of the message, which many packets share, and those of the one
/// packet, which are not copied into them first.
package struct PublishProperties {
    /// Without Message Expiry Interval and Topic Alias.
    package var ofMessage: MQTTProperties
    /// Seconds that are left (MQTT 5.0 §3.3.2.3.3).
    package var messageExpiryInterval: UInt32?
    /// Never 0 `[MQTT-3.3.2-8]`.
    package var topicAlias: UInt16?

    package init(ofMessage: MQTTProperties, messageExpiryInterval: UInt32? = nil, topicAlias: UInt16? = nil) {
        self.ofMessage = ofMessage
        self.messageExpiryInterval = messageExpiryInterval
        self.topicAlias = topicAlias
    }

    /// Bytes of Property Length and properties together.
    package var encodedSize: Int {
        let length = self.length
        return VariableByteInteger.size(of: length) + length
    }

    private var length: Int {
        (self.ofMessage.isAbsent ? 0 : self.ofMessage.length) + (self.messageExpiryInterval == nil ? 0 : 5)
            + (self.topicAlias == nil ? 0 : 3)
    }

    fileprivate func write(into buffer: inout ByteBuffer) {
        buffer.writeVariableByteInteger(self.length)
        if let interval = self.messageExpiryInterval {
            buffer.writeInteger(PropertyIdentifier.messageExpiryInterval.rawValue)
            buffer.writeInteger(interval)
        }
        if let alias = self.topicAlias {
            buffer.writeInteger(PropertyIdentifier.topicAlias.rawValue)
            buffer.writeInteger(alias)
        }
        if !self.ofMessage.isAbsent { self.ofMessage.writeValues(into: &buffer) }
    }
}

extension Publish {
    /// Bytes of a PUBLISH of MQTT 5.0, fixed header included, without making one.
    package static func encodedSize(
        topicBytes: Int,
        payloadBytes: Int,
        qos: QoS,
        properties: PublishProperties
    ) -> Int {
        let body = 2 + topicBytes + (qos == .atMostOnce ? 0 : 2) + properties.encodedSize + payloadBytes
        return 1 + VariableByteInteger.size(of: body) + body
    }

    /// Writes a PUBLISH of MQTT 5.0 without making one. `packetID` is ignored with QoS 0.
    ///
    /// - Parameter topic: Nil if the Topic Alias stands for it.
    package static func write(
        topic: TopicName?,
        payload: ByteBuffer,
        qos: QoS,
        retain: Bool,
        dup: Bool,
        packetID: UInt16,
        properties: PublishProperties,
        into buffer: inout ByteBuffer
    ) {
        assert(qos == .atMostOnce || packetID != 0, "QoS \(qos.rawValue) without a packet identifier")
        assert(topic != nil || properties.topicAlias != nil, "neither topic nor alias")
        let topicBytes = topic?.buffer.readableBytes ?? 0
        let body = 2 + topicBytes + (qos == .atMostOnce ? 0 : 2) + properties.encodedSize + payload.readableBytes
        precondition(topicBytes <= 0xFFFF && body <= VariableByteInteger.max, "message of \(body) bytes")
        buffer.reserveCapacity(minimumWritableBytes: 1 + VariableByteInteger.size(of: body) + body)
        buffer.writeInteger(Self.firstByte(qos: qos, retain: retain, dup: dup))
        buffer.writeVariableByteInteger(body)
        buffer.writeInteger(UInt16(topicBytes))
        if let topic { buffer.writeImmutableBuffer(topic.buffer) }
        if qos != .atMostOnce { buffer.writeInteger(packetID) }  // [MQTT-2.2.1-2]
        properties.write(into: &buffer)
        buffer.writeImmutableBuffer(payload)
    }
}
