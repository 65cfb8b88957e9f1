import NIOCore

extension Publish {
    /// Decodes a frame of type PUBLISH. Topic and payload are slices of it; without properties nothing is allocated.
    ///
    /// - Parameter sender: whose rules apply to the properties; nil: both peers'.
    public init(
        frame: MQTTFrame,
        version: MQTTVersion,
        from sender: MQTTPeer? = nil,
        maxUserProperties: Int = MQTTProperties.defaultMaxUserProperties
    ) throws(MQTTDecodeError) {
        var reader = PacketReader(frame, version: version, sender: sender, maxUserProperties: maxUserProperties)
        if version == .v5, frame.hasPaddedLength { throw MQTTPacket.paddedLength }
        try self.init(reading: &reader, flags: frame.firstByte & 0x0F)
    }

    init(reading reader: inout PacketReader, flags: UInt8) throws(MQTTDecodeError) {
        guard let qos = QoS(rawValue: flags >> 1 & 0b11) else {
            throw reader.error(.invalidQoS(3), "QoS", at: 0)  // [MQTT-3.3.1-4]
        }
        let dup = flags & 0b1000 != 0
        if dup, qos == .atMostOnce {
            throw reader.error(.duplicateFlagWithQoS0, "DUP", at: 0)  // [MQTT-3.3.1-2]
        }
        let topic: TopicName
        let topicOffset = reader.offset
        if reader.version == .v5, reader.nextFieldIsEmpty {
            _ = try reader.readBinary("Topic Name")
            topic = .aliasOnly
        } else {
            topic = try reader.readTopicName("Topic Name")  // [MQTT-3.3.2-1], [MQTT-3.3.2-2]
        }
        let packetID = qos == .atMostOnce ? 0 : try reader.readPacketIdentifier()
        var properties = MQTTProperties()
        if reader.version == .v5 {
            properties = try MQTTProperties(reading: &reader, in: .publish)
            if topic.buffer.readableBytes == 0, properties.topicAlias == nil {
                throw reader.error(.missingTopic, "Topic Name", at: topicOffset)
            }
        }
        self.init(
            topic: topic,
            payload: reader.readRest(),
            qos: qos,
            retain: flags & 1 != 0,
            dup: dup,
            packetID: packetID,
            properties: properties
        )
    }
}
