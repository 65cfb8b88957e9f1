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
        if let plain = Self.plain(frame, version: version) {
            self = plain
            return
        }
        var reader = PacketReader(frame, version: version, sender: sender, maxUserProperties: maxUserProperties)
        if version == .v5, frame.hasPaddedLength { throw MQTTPacket.paddedLength }
        try self.init(reading: &reader, flags: frame.firstByte & 0x0F)
    }

    /// What nearly every PUBLISH is: correct, its topic ASCII, without properties. One look at the bytes, two slices. Nil for
    /// anything else, which ``init(reading:flags:)`` then takes or refuses with its reason.
    static func plain(_ frame: MQTTFrame, version: MQTTVersion) -> Publish? {
        let flags = frame.firstByte & 0x0F
        guard let qos = QoS(rawValue: flags >> 1 & 0b11), flags & 0b1000 == 0 || qos != .atMostOnce,
            version != .v5 || !frame.hasPaddedLength
        else { return nil }
        let head: (topicBytes: Int, size: Int, packetID: UInt16)? = frame.body.withUnsafeReadableBytes { bytes in
            guard bytes.count >= 2 else { return nil }
            let topicBytes = Int(bytes[0]) << 8 | Int(bytes[1])
            var at = 2 &+ topicBytes
            let size = at &+ (qos == .atMostOnce ? 0 : 2) &+ (version == .v5 ? 1 : 0)
            guard size <= bytes.count else { return nil }
            var packetID: UInt16 = 0
            if qos != .atMostOnce {
                packetID = UInt16(bytes[at]) << 8 | UInt16(bytes[at &+ 1])
                guard packetID != 0 else { return nil }
                at &+= 2
            }
            guard version != .v5 || bytes[at] == 0 else { return nil }
            let topic = UnsafeRawBufferPointer(rebasing: bytes[2..<(2 &+ topicBytes)])
            return TopicSyntax.isPlainName(topic) ? (topicBytes, size, packetID) : nil
        }
        guard let head,
            let topic = frame.body.getSlice(at: frame.body.readerIndex + 2, length: head.topicBytes),
            let payload = frame.body.getSlice(
                at: frame.body.readerIndex + head.size,
                length: frame.body.readableBytes - head.size
            )
        else { return nil }
        return Publish(
            topic: TopicName(unchecked: topic),
            payload: payload,
            qos: qos,
            retain: flags & 1 != 0,
            dup: flags & 0b1000 != 0,
            packetID: head.packetID
        )
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
        let packetID = qos == .atMostOnce ? 0 : try reader.readPacketIdentifier()  // [MQTT-2.2.1-2]
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
