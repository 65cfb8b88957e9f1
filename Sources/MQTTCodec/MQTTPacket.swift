public import NIOCore

/// A control packet of MQTT 3.1, 3.1.1 or 5.0. CONNECT is boxed, being large and rare; the others fit beside PUBLISH.
public enum MQTTPacket: Equatable, Sendable {
    indirect case connect(Connect)
    case connack(ConnAck)
    case publish(Publish)
    case puback(PubAck)
    case pubrec(PubAck)
    case pubrel(PubAck)
    case pubcomp(PubAck)
    case subscribe(Subscribe)
    case suback(SubAck)
    case unsubscribe(Unsubscribe)
    case unsuback(UnsubAck)
    case pingreq
    case pingresp
    case disconnect(Disconnect)
    case auth(Auth)

    /// Which packet it is.
    public var type: MQTTPacketType {
        switch self {
        case .connect: .connect
        case .connack: .connack
        case .publish: .publish
        case .puback: .puback
        case .pubrec: .pubrec
        case .pubrel: .pubrel
        case .pubcomp: .pubcomp
        case .subscribe: .subscribe
        case .suback: .suback
        case .unsubscribe: .unsubscribe
        case .unsuback: .unsuback
        case .pingreq: .pingreq
        case .pingresp: .pingresp
        case .disconnect: .disconnect
        case .auth: .auth
        }
    }

    /// Decodes a frame; everything in the result is a slice of it.
    ///
    /// - Parameters:
    ///   - version: of the connection. CONNECT says its own, and this is ignored.
    ///   - sender: refuse packets and properties that this peer may not send; nil: take those of both.
    ///   - maxUserProperties: most user properties of the packet, or of the packet and of the will each.
    public init(
        frame: MQTTFrame,
        version: MQTTVersion,
        from sender: MQTTPeer? = nil,
        maxUserProperties: Int = MQTTProperties.defaultMaxUserProperties
    ) throws(MQTTDecodeError) {
        let type = try Self.checkedType(of: frame, version: version, from: sender)
        if type == .publish, let plain = Publish.plain(frame, version: version) {
            self = .publish(plain)
            return
        }
        var reader = PacketReader(frame, version: version, sender: sender, maxUserProperties: maxUserProperties)
        switch type {
        case .connect: self = .connect(try Connect(reading: &reader, hasPaddedLength: frame.hasPaddedLength))
        case .connack: self = .connack(try ConnAck(reading: &reader))
        case .publish: self = .publish(try Publish(reading: &reader, flags: frame.firstByte & 0x0F))
        case .puback: self = .puback(try PubAck(reading: &reader, type: type))
        case .pubrec: self = .pubrec(try PubAck(reading: &reader, type: type))
        case .pubrel: self = .pubrel(try PubAck(reading: &reader, type: type))
        case .pubcomp: self = .pubcomp(try PubAck(reading: &reader, type: type))
        case .subscribe: self = .subscribe(try Subscribe(reading: &reader))
        case .suback: self = .suback(try SubAck(reading: &reader))
        case .unsubscribe: self = .unsubscribe(try Unsubscribe(reading: &reader))
        case .unsuback: self = .unsuback(try UnsubAck(reading: &reader))
        case .pingreq: self = .pingreq
        case .pingresp: self = .pingresp
        case .disconnect: self = .disconnect(try Disconnect(reading: &reader))
        case .auth: self = .auth(try Auth(reading: &reader))
        }
        try reader.finish("MQTT Control Packet")
    }

    /// What can be told from the fixed header.
    private static func checkedType(
        of frame: MQTTFrame,
        version: MQTTVersion,
        from sender: MQTTPeer?
    ) throws(MQTTDecodeError) -> MQTTPacketType {
        let typeField = "MQTT Control Packet type"
        guard let type = frame.type, type != .auth || version == .v5 else {
            let kind = MQTTDecodeError.Kind.reservedPacketType(frame.firstByte >> 4)
            throw MQTTDecodeError(kind: kind, field: typeField, offset: 0)
        }
        if let sender, !type.mayCome(from: sender, version: version) {
            throw MQTTDecodeError(kind: .notAllowed(from: sender), field: typeField, offset: 0)
        }
        if type != .connect, version == .v5, frame.hasPaddedLength { throw Self.paddedLength }
        var flags = frame.firstByte & 0x0F
        // MQTT 3.1 sends these three with QoS 1, and so with DUP when they are repeated.
        if version == .v31, type == .pubrel || type == .subscribe || type == .unsubscribe { flags &= 0b0111 }
        if let required = type.requiredFlags, flags != required {
            let kind = MQTTDecodeError.Kind.reservedBits(frame.firstByte & 0x0F)
            throw MQTTDecodeError(kind: kind, field: "flags of \(type)", offset: 0)  // [MQTT-2.1.3-1]
        }
        return type
    }

    static let paddedLength = MQTTDecodeError(kind: .varIntNotMinimal, field: "Remaining Length", offset: 1)

    /// Bytes of the packet as ``encode(into:version:)`` writes it, fixed header included.
    public func encodedSize(version: MQTTVersion) -> Int {
        if case .publish(let publish) = self { return publish.encodedSize(version: version) }
        return self.body?.encodedSize(version: version) ?? 2
    }

    /// Writes the packet at the writer index. What `version` does not have (properties, AUTH's reason) is left out;
    /// CONNECT is written in its own version.
    public func encode(into buffer: inout ByteBuffer, version: MQTTVersion) {
        if case .publish(let publish) = self {
            publish.encode(into: &buffer, version: version)
        } else if let body = self.body {
            body.encode(into: &buffer, version: version)
        } else {
            buffer.writeInteger(UInt16(self.type.firstByte) << 8)  // PINGREQ and PINGRESP are nothing but a header.
        }
    }

    /// What follows the fixed header in packets other than PUBLISH.
    private var body: (any PacketBody)? {
        switch self {
        case .connect(let packet): packet
        case .connack(let packet): packet
        case .puback(let packet), .pubrec(let packet), .pubrel(let packet), .pubcomp(let packet):
            packet.body(of: self.type)
        case .subscribe(let packet): packet
        case .suback(let packet): packet
        case .unsubscribe(let packet): packet
        case .unsuback(let packet): packet
        case .disconnect(let packet): packet
        case .auth(let packet): packet
        case .publish, .pingreq, .pingresp: nil
        }
    }
}
