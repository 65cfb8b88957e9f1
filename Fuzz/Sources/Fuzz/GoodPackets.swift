import MQTTCodec
import NIOCore

/// Packets that are right in themselves, made from few bytes: a connection ends with the first wrong one, so that wrong bytes
/// alone would seldom get far into a conversation.
enum GoodPackets {
    private static let topics = ["a", "home/kitchen", "home/kitchen/temperature", "$x/y"].map(Self.topic)
    private static let aliasOnly = Self.topic("")

    /// The packet that the low four bits of `selector` name, for a connection of `version`.
    static func frame(_ selector: UInt8, version: MQTTVersion, _ input: inout FuzzInput) -> MQTTFrame? {
        let packet: MQTTPacket
        switch selector & 0x0F {
        case 0: packet = .connect(Self.connect(.v5, &input))
        case 1: packet = .connect(Self.connect(.v311, &input))
        case 2, 3, 4, 5: packet = .publish(Self.publish(version, &input))
        case 6: packet = .pubrel(PubAck(packetID: Self.packetID(input.byte())))
        case 7: packet = .puback(PubAck(packetID: Self.packetID(input.byte())))
        case 8: packet = .pubrec(PubAck(packetID: Self.packetID(input.byte()), reasonCode: .notAuthorized))
        case 9: packet = .pubcomp(PubAck(packetID: Self.packetID(input.byte())))
        case 10: packet = .subscribe(Self.subscribe(version, &input))
        case 11:
            let filters = Self.subscribe(version, &input).subscriptions.map(\.filter)
            packet = .unsubscribe(Unsubscribe(packetID: 1, filters: filters))
        case 12: packet = .pingreq
        case 13: packet = .disconnect(Self.disconnect(&input))
        default: return nil
        }
        var bytes = ByteBuffer()
        packet.encode(into: &bytes, version: version)
        return try? MQTTFrameDecoder.nextFrame(&bytes, maxPacketSize: .max)
    }

    private static func topic(_ text: String) -> TopicName { TopicName(unchecked: ByteBuffer(string: text)) }

    /// Few, so that they meet again.
    private static func packetID(_ byte: UInt8) -> UInt16 { UInt16(byte % 8) + 1 }

    private static func connect(_ version: MQTTVersion, _ input: inout FuzzInput) -> Connect {
        let flags = input.byte()
        var connect = Connect(version: version, clientID: flags & 1 != 0 ? "" : "node", keepAlive: UInt16(flags >> 4))
        if flags & 2 != 0 {
            connect.will = Will(topic: Self.topics[1], payload: ByteBuffer(string: "gone"), qos: .atLeastOnce)
        }
        guard version == .v5 else { return connect }
        let values = input.byte()
        if values & 1 != 0 { connect.properties.topicAliasMaximum = UInt16(values >> 4) }
        if values & 2 != 0 { connect.properties.maximumPacketSize = UInt32(input.byte()) + 1 }
        if values & 4 != 0 { connect.properties.sessionExpiryInterval = UInt32(values >> 4) }
        if values & 8 != 0 { connect.properties.requestProblemInformation = false }
        connect.properties.requestResponseInformation = flags & 4 != 0
        if flags & 8 != 0 { connect.will?.properties.willDelayInterval = 5 }
        return connect
    }

    private static func publish(_ version: MQTTVersion, _ input: inout FuzzInput) -> Publish {
        let flags = input.byte()
        let qos = QoS(rawValue: flags & 3) ?? .atLeastOnce
        var publish = Publish(
            topic: Self.topics[Int(flags >> 2 & 3)],
            payload: ByteBuffer(bytes: input.bytes(Int(flags >> 6) * 8)),
            qos: qos,
            retain: flags & 0x20 != 0,
            packetID: qos == .atMostOnce ? 0 : Self.packetID(input.byte())
        )
        guard version == .v5, flags & 0x10 != 0 else { return publish }
        let values = input.byte()
        if values & 1 != 0 { publish.properties.topicAlias = UInt16(values >> 5) + 1 }
        if values & 3 == 3 { publish.topic = Self.aliasOnly }
        if values & 4 != 0 { publish.properties.messageExpiryInterval = UInt32(values >> 4) }
        if values & 8 != 0 {
            publish.properties.userProperties = Array(
                repeating: UserProperty(name: "name", value: "value"),
                count: Int(values >> 6) + 1
            )
        }
        if values & 16 != 0 { publish.properties.correlationData = ByteBuffer(bytes: input.bytes(4)) }
        return publish
    }

    private static func subscribe(_ version: MQTTVersion, _ input: inout FuzzInput) -> Subscribe {
        let count = Int(input.byte() % 4) + 1
        let subscriptions = (0..<count).compactMap { _ -> Subscription? in
            let flags = input.byte()
            let filter = ["#", "home/+", "$share/g/home/#", "a"][Int(flags >> 2 & 3)]
            guard let filter = try? TopicFilter(filter) else { return nil }
            return Subscription(filter: filter, qos: QoS(rawValue: flags & 3) ?? .exactlyOnce)
        }
        var subscribe = Subscribe(packetID: 7, subscriptions: subscriptions)
        if version == .v5, count == 1 { subscribe.properties.subscriptionIdentifiers = [7] }
        return subscribe
    }

    private static func disconnect(_ input: inout FuzzInput) -> Disconnect {
        let flags = input.byte()
        var disconnect = Disconnect(reasonCode: flags & 1 != 0 ? .disconnectWithWill : .normalDisconnection)
        if flags & 2 != 0 { disconnect.properties.sessionExpiryInterval = UInt32(flags >> 4) }
        return disconnect
    }
}
