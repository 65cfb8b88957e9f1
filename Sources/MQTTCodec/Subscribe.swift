package import NIOCore

/// One filter of a SUBSCRIBE with its options (MQTT 5.0 §3.8.3.1).
public struct Subscription: Hashable, Sendable {
    /// Which retained messages a new subscription gets. Values are those of the wire.
    public enum RetainHandling: UInt8, Sendable, Hashable {
        case send = 0
        case sendIfNew = 1
        case doNotSend = 2
    }

    /// May be a shared one: see ``SharedSubscription/parse(_:)``.
    public var filter: TopicFilter
    /// Most that messages are sent with.
    public var qos: QoS
    /// Nothing that the same client published; false in MQTT 3.x.
    public var noLocal: Bool
    /// Keep RETAIN as it was published; false in MQTT 3.x.
    public var retainAsPublished: Bool
    /// ``RetainHandling/send`` in MQTT 3.x.
    public var retainHandling: RetainHandling

    /// A subscription as MQTT 3.1.1 has it, unless more is asked for.
    public init(
        filter: TopicFilter,
        qos: QoS,
        noLocal: Bool = false,
        retainAsPublished: Bool = false,
        retainHandling: RetainHandling = .send
    ) {
        self.filter = filter
        self.qos = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.retainHandling = retainHandling
    }

    init(reading reader: inout PacketReader) throws(MQTTDecodeError) {
        let filterOffset = reader.offset
        let filter = try reader.readTopicFilter()  // [MQTT-3.8.3-1]
        let isShared: Bool
        do {
            isShared = try SharedSubscription.parse(filter) != nil
        } catch {
            throw reader.error(.sharedSubscription(error), "Topic Filter", at: filterOffset)
        }
        let field = reader.version == .v5 ? "Subscription Options" : "Requested QoS"
        let offset = reader.offset
        let byte = try reader.readByte(field)
        let reserved: UInt8 = reader.version == .v5 ? 0b1100_0000 : 0b1111_1100
        guard byte & reserved == 0 else {
            // [MQTT-3.8.3-5]; any of these bits, and QoS 3: [MQTT-3.8.3-4 of 3.1.1]
            throw reader.error(.reservedBits(byte & reserved), field, at: offset)
        }
        // A protocol error here (§3.8.3.1), where in PUBLISH and for a will the packet is malformed.
        guard let qos = QoS(rawValue: byte & 0b11) else { throw reader.error(.invalidValue(3), field, at: offset) }
        guard let handling = RetainHandling(rawValue: byte >> 4 & 0b11) else {
            throw reader.error(.invalidValue(3), "Retain Handling", at: offset)
        }
        let noLocal = byte & 0b100 != 0
        if noLocal, isShared {
            throw reader.error(.noLocalOnSharedSubscription, field, at: offset)  // [MQTT-3.8.3-4]
        }
        self.init(
            filter: filter,
            qos: qos,
            noLocal: noLocal,
            retainAsPublished: byte & 0b1000 != 0,
            retainHandling: handling
        )
    }

    /// The byte behind the filter.
    fileprivate func options(_ version: MQTTVersion) -> UInt8 {
        guard version == .v5 else { return self.qos.rawValue }
        return self.qos.rawValue | (self.noLocal ? 0b100 : 0) | (self.retainAsPublished ? 0b1000 : 0)
            | self.retainHandling.rawValue << 4
    }
}

/// SUBSCRIBE (MQTT 5.0 §3.8).
public struct Subscribe: Equatable, Sendable {
    /// Never zero.
    public var packetID: UInt16
    /// At least one, in the order in which SUBACK answers them.
    public var subscriptions: [Subscription]
    /// MQTT 5.0 only.
    public var properties: MQTTProperties

    /// A request for `subscriptions`.
    public init(packetID: UInt16, subscriptions: [Subscription], properties: MQTTProperties = MQTTProperties()) {
        self.packetID = packetID
        self.subscriptions = subscriptions
        self.properties = properties
    }

    init(reading reader: inout PacketReader) throws(MQTTDecodeError) {
        let packetID = try reader.readPacketIdentifier()
        var properties = MQTTProperties()
        if reader.version == .v5 { properties = try MQTTProperties(reading: &reader, in: .subscribe) }
        guard reader.remaining > 0 else {
            throw reader.error(.emptyList, "Topic Filter")  // [MQTT-3.8.3-2]
        }
        var subscriptions: [Subscription] = []
        while reader.remaining > 0 { subscriptions.append(try Subscription(reading: &reader)) }
        self.init(packetID: packetID, subscriptions: subscriptions, properties: properties)
    }
}

extension Subscribe: PacketBody {
    package var firstByte: UInt8 { MQTTPacketType.subscribe.firstByte }

    package func bodySize(_ version: MQTTVersion) -> Int {
        self.subscriptions.reduce(2 + (version == .v5 ? self.properties.encodedSize : 0)) { size, subscription in
            size + 3 + subscription.filter.buffer.readableBytes
        }
    }

    package func writeBody(into buffer: inout ByteBuffer, _ version: MQTTVersion) {
        assert(self.packetID != 0 && !self.subscriptions.isEmpty, "SUBSCRIBE without identifier or filters")
        buffer.writeInteger(self.packetID)
        if version == .v5 { self.properties.write(into: &buffer) }
        for subscription in self.subscriptions {
            buffer.writeBinary(subscription.filter.buffer)
            buffer.writeInteger(subscription.options(version))
        }
    }
}
