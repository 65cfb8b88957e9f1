package import NIOCore

/// UNSUBSCRIBE (MQTT 5.0 §3.10).
public struct Unsubscribe: Equatable, Sendable {
    /// Never zero.
    public var packetID: UInt16
    /// At least one; each names a subscription by the same bytes `[MQTT-3.10.4-1]`.
    public var filters: [TopicFilter]
    /// MQTT 5.0 only.
    public var properties: MQTTProperties

    /// A request to end the subscriptions to `filters`.
    public init(packetID: UInt16, filters: [TopicFilter], properties: MQTTProperties = MQTTProperties()) {
        self.packetID = packetID
        self.filters = filters
        self.properties = properties
    }

    init(reading reader: inout PacketReader) throws(MQTTDecodeError) {
        let packetID = try reader.readPacketIdentifier()
        var properties = MQTTProperties()
        if reader.version == .v5 { properties = try MQTTProperties(reading: &reader, in: .unsubscribe) }
        guard reader.remaining > 0 else { throw reader.error(.emptyList, "Topic Filter") }  // [MQTT-3.10.3-2]
        var filters: [TopicFilter] = []
        while reader.remaining > 0 { filters.append(try reader.readTopicFilter()) }  // [MQTT-3.10.3-1]
        self.init(packetID: packetID, filters: filters, properties: properties)
    }
}

extension Unsubscribe: PacketBody {
    package var firstByte: UInt8 { MQTTPacketType.unsubscribe.firstByte }

    package func bodySize(_ version: MQTTVersion) -> Int {
        self.filters.reduce(2 + (version == .v5 ? self.properties.encodedSize : 0)) { size, filter in
            size + 2 + filter.buffer.readableBytes
        }
    }

    package func writeBody(into buffer: inout ByteBuffer, _ version: MQTTVersion) {
        assert(self.packetID != 0 && !self.filters.isEmpty, "UNSUBSCRIBE without identifier or filters")
        buffer.writeInteger(self.packetID)
        if version == .v5 { self.properties.write(into: &buffer) }
        for filter in self.filters { buffer.writeBinary(filter.buffer) }
    }
}
