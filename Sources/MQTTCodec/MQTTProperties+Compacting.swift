import NIOCore

extension MQTTProperties {
    /// The same properties in storage of their own, so that keeping them does not keep a whole read buffer.
    public func compacted() -> MQTTProperties {
        guard var values = self.values else { return self }
        values.contentType = values.contentType?.compacted()
        values.responseTopic = values.responseTopic?.compacted()
        values.correlationData = values.correlationData.map { Bytes(buffer: $0.buffer.compacted()) }
        values.assignedClientIdentifier = values.assignedClientIdentifier?.compacted()
        values.authenticationMethod = values.authenticationMethod?.compacted()
        values.authenticationData = values.authenticationData.map { Password($0.buffer.compacted()) }
        values.responseInformation = values.responseInformation?.compacted()
        values.serverReference = values.serverReference?.compacted()
        values.reasonString = values.reasonString?.compacted()
        values.userProperties = values.userProperties.map {
            UserProperty(name: $0.name.compacted(), value: $0.value.compacted())
        }
        return MQTTProperties(values)
    }

    /// Of a PUBLISH or a will: what goes on with the message to those who get it `[MQTT-3.3.2-4]`, `[MQTT-3.3.2-15]`,
    /// `[MQTT-3.3.2-16]`, `[MQTT-3.3.2-17]`, `[MQTT-3.3.2-20]`. The rest is of one packet, or changes on the way.
    public var ofMessage: MQTTProperties {
        guard let values = self.values else { return self }
        var kept = Values()
        kept.payloadFormat = values.payloadFormat
        kept.contentType = values.contentType
        kept.responseTopic = values.responseTopic
        kept.correlationData = values.correlationData
        kept.userProperties = values.userProperties
        return MQTTProperties(kept)
    }

    /// Bytes that keeping them costs, roughly.
    public var countedBytes: Int {
        guard let values = self.values else { return 0 }
        let texts =
            (values.contentType?.utf8Count ?? 0) + (values.responseTopic?.buffer.readableBytes ?? 0)
            + (values.correlationData?.buffer.readableBytes ?? 0)
        return texts + values.userProperties.reduce(400) { $0 + $1.name.utf8Count + $1.value.utf8Count + 64 }
    }
}
