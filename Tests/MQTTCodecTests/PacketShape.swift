import MQTTCodec
import NIOCore
import Testing

/// A good packet field by field, for every field of which ``FieldCase`` knows what may not stand there.
struct PacketShape: Sendable {
    struct Field: Sendable {
        enum Kind: Sendable {
            /// A number of fixed length.
            case number
            case packetID
            case text
            case topicName
            case topicFilter
            case binary
            /// Properties, without their length.
            case properties
            /// The rest of the packet, of which nothing is refused.
            case payload
        }

        /// In the words of the decoder.
        let name: String
        let kind: Kind
        /// In the notation of ``wire(_:)``, with a string's length; without that of properties.
        let value: String
        /// What it is called if the packet ends before this field; nil: the packet is good without.
        let missing: MQTTDecodeError.Kind?

        var bytes: ByteBuffer {
            var bytes = ByteBuffer()
            if self.kind == .properties { bytes.writeInteger(UInt8(wire(self.value).readableBytes)) }
            bytes.writeImmutableBuffer(wire(self.value))
            return bytes
        }

        /// A number.
        static func number(_ name: String, _ value: String, missing: MQTTDecodeError.Kind? = .truncated) -> Field {
            Field(name: name, kind: .number, value: value, missing: missing)
        }

        static let packetID = Field(name: "Packet Identifier", kind: .packetID, value: "0102", missing: .truncated)

        /// Anything with a length of two bytes in front.
        static func string(
            _ kind: Kind,
            _ name: String,
            _ value: String,
            missing: MQTTDecodeError.Kind? = .truncated
        ) -> Field {
            Field(name: name, kind: kind, value: value, missing: missing)
        }

        /// Properties in which one user property follows `others`.
        static func properties(_ others: String = "", missing: MQTTDecodeError.Kind? = .truncated) -> Field {
            let value = "\(others) 260001'k'0001'v'"
            return Field(name: "Property Length", kind: .properties, value: value, missing: missing)
        }

        static let payload = Field(name: "payload", kind: .payload, value: "'hi'", missing: nil)

        static func filter(missing: MQTTDecodeError.Kind?) -> Field {
            .string(.topicFilter, "Topic Filter", "0003'a/+'", missing: missing)
        }
    }

    let name: String
    let version: MQTTVersion
    let firstByte: UInt8
    let fields: [Field]

    init(_ name: String, _ version: MQTTVersion, _ firstByte: UInt8, _ fields: [Field]) {
        self.name = name
        self.version = version
        self.firstByte = firstByte
        self.fields = fields
    }

    /// The packet with other bytes in place of one field.
    func frame(replacing index: Int? = nil, with bytes: ByteBuffer = ByteBuffer()) -> MQTTFrame {
        var body = ByteBuffer()
        for (at, field) in self.fields.enumerated() {
            body.writeImmutableBuffer(at == index ? bytes : field.bytes)
        }
        return MQTTFrame(firstByte: self.firstByte, body: body)
    }

    /// Where a field begins, from the first byte of the packet, whose length takes one byte.
    func offset(of index: Int) -> Int { 2 + self.fields[..<index].reduce(0) { $0 + $1.bytes.readableBytes } }
}

extension PacketShape {
    static let all = v3 + v5

    private static func connect(_ version: MQTTVersion) -> PacketShape {
        let isV5 = version == .v5
        return PacketShape(
            "CONNECT",
            version,
            0x10,
            [
                .string(.binary, "Protocol Name", version == .v31 ? "0006'MQIsdp'" : "0004'MQTT'"),
                .number("Protocol Level", "0\(version.rawValue)"),
                .number("Connect Flags", "EE"),
                .number("Keep Alive", "003C"),
            ] + (isV5 ? [.properties("21000A")] : []) + [
                .string(.text, "Client Identifier", "0004'node'")
            ] + (isV5 ? [.properties("1800000001")] : []) + [
                .string(.topicName, "Will Topic", "0003'n/w'"),
                .string(.binary, "Will Payload", "0004'gone'"),
                .string(.text, "User Name", "0003'bob'", missing: version == .v31 ? nil : .truncated),
                .string(.binary, "Password", "0002'pw'", missing: version == .v31 ? nil : .truncated),
            ]
        )
    }

    private static let v3: [PacketShape] = [
        connect(.v31),
        connect(.v311),
        PacketShape(
            "CONNACK",
            .v311,
            0x20,
            [.number("Connect Acknowledge Flags", "01"), .number("Connect Return code", "00")]
        ),
        PacketShape("PUBLISH", .v311, 0x30, [.string(.topicName, "Topic Name", "0003'a/b'"), .payload]),
        PacketShape("PUBLISH", .v311, 0x3D, [.string(.topicName, "Topic Name", "0003'a/b'"), .packetID, .payload]),
        PacketShape("PUBACK", .v311, 0x40, [.packetID]),
        PacketShape("PUBREC", .v311, 0x50, [.packetID]),
        PacketShape("PUBREL", .v311, 0x62, [.packetID]),
        PacketShape("PUBCOMP", .v311, 0x70, [.packetID]),
        PacketShape(
            "SUBSCRIBE",
            .v311,
            0x82,
            [
                .packetID, .filter(missing: .emptyList), .number("Requested QoS", "01"), .filter(missing: nil),
                .number("Requested QoS", "02"),
            ]
        ),
        PacketShape(
            "SUBACK",
            .v311,
            0x90,
            [.packetID, .number("Reason Code", "01", missing: .emptyList), .number("Reason Code", "80", missing: nil)]
        ),
        PacketShape("UNSUBSCRIBE", .v311, 0xA2, [.packetID, .filter(missing: .emptyList), .filter(missing: nil)]),
        PacketShape("UNSUBACK", .v311, 0xB0, [.packetID]),
        PacketShape("PINGREQ", .v311, 0xC0, []),
        PacketShape("PINGRESP", .v311, 0xD0, []),
        PacketShape("DISCONNECT", .v311, 0xE0, []),
    ]

    private static let v5: [PacketShape] = [
        connect(.v5),
        PacketShape(
            "CONNACK",
            .v5,
            0x20,
            [.number("Connect Acknowledge Flags", "01"), .number("Reason Code", "00"), .properties("21000A")]
        ),
        PacketShape(
            "PUBLISH",
            .v5,
            0x3D,
            [.string(.topicName, "Topic Name", "0003'a/b'"), .packetID, .properties("0101"), .payload]
        ),
        answer("PUBACK", 0x40, "10"),
        answer("PUBREC", 0x50, "87"),
        answer("PUBREL", 0x62, "92"),
        answer("PUBCOMP", 0x70, "92"),
        PacketShape(
            "SUBSCRIBE",
            .v5,
            0x82,
            [
                .packetID, .properties("0B01"), .filter(missing: .emptyList), .number("Subscription Options", "2E"),
                .filter(missing: nil), .number("Subscription Options", "01"),
            ]
        ),
        PacketShape(
            "SUBACK",
            .v5,
            0x90,
            [
                .packetID, .properties("1F0001'r'"), .number("Reason Code", "01", missing: .emptyList),
                .number("Reason Code", "8F", missing: nil),
            ]
        ),
        PacketShape(
            "UNSUBSCRIBE",
            .v5,
            0xA2,
            [.packetID, .properties(), .filter(missing: .emptyList), .filter(missing: nil)]
        ),
        PacketShape(
            "UNSUBACK",
            .v5,
            0xB0,
            [
                .packetID, .properties("1F0001'r'"), .number("Reason Code", "11", missing: .emptyList),
                .number("Reason Code", "00", missing: nil),
            ]
        ),
        PacketShape("PINGREQ", .v5, 0xC0, []),
        PacketShape("PINGRESP", .v5, 0xD0, []),
        PacketShape(
            "DISCONNECT",
            .v5,
            0xE0,
            [.number("Reason Code", "80", missing: nil), .properties("1F0001'r'", missing: nil)]
        ),
        PacketShape("AUTH", .v5, 0xF0, [.number("Reason Code", "18", missing: nil), .properties("150001'm'")]),
    ]

    private static func answer(_ name: String, _ firstByte: UInt8, _ code: String) -> PacketShape {
        PacketShape(
            name,
            .v5,
            firstByte,
            [.packetID, .number("Reason Code", code, missing: nil), .properties("1F0001'r'", missing: nil)]
        )
    }
}
