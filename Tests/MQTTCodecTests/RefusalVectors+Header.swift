import MQTTCodec

extension RefusalVector {
    static let header: [RefusalVector] = [
        .init("type 0", .v311, accepted: "C0 00", refused: "00 00", .reservedPacketType(0), typeField, 0),
        .init("AUTH before 5.0", .v311, accepted: "E0 00", refused: "F0 00", .reservedPacketType(15), typeField, 0),
        .init(
            "flags of PINGREQ",  // [MQTT-2.1.3-1]
            .v311,
            accepted: "C0 00",
            refused: "C1 00",
            .reservedBits(1),
            "flags of pingreq",
            0
        ),
        .init(
            "flags of SUBSCRIBE",  // [MQTT-3.8.1-1]
            .v311,
            accepted: subscribe311,
            refused: "80 08 0001 0003'a/b' 00",
            .reservedBits(0),
            "flags of subscribe",
            0
        ),
        .init(
            "flags of PUBREL",  // [MQTT-3.6.1-1]
            .v5,
            accepted: "62 02 0001",
            refused: "60 02 0001",
            .reservedBits(0),
            "flags of pubrel",
            0
        ),
        .init(
            "flags of UNSUBSCRIBE",  // [MQTT-3.10.1-1]
            .v311,
            accepted: "A2 07 0001 0003'a/b'",
            refused: "A0 07 0001 0003'a/b'",
            .reservedBits(0),
            "flags of unsubscribe",
            0
        ),
        .init(
            "flags of DISCONNECT",  // [MQTT-3.14.1-1]
            .v5,
            accepted: "E0 00",
            refused: "E1 00",
            .reservedBits(1),
            "flags of disconnect",
            0
        ),
        .init(
            "flags of AUTH",  // [MQTT-3.15.1-1]
            .v5,
            accepted: "F0 00",
            refused: "F1 00",
            .reservedBits(1),
            "flags of auth",
            0
        ),
        .init(
            "flags of PUBACK",
            .v5,
            accepted: "40 02 0001",
            refused: "42 02 0001",
            .reservedBits(2),
            "flags of puback",
            0
        ),
        .init(
            "DUP on SUBSCRIBE after 3.1",
            .v311,
            accepted: subscribe311,
            refused: "8A 08 0001 0003'a/b' 00",
            .reservedBits(0b1010),
            "flags of subscribe",
            0
        ),
        .init(
            "padded Remaining Length",  // [MQTT-1.5.5-1]
            .v5,
            accepted: "C0 00",
            refused: "C0 80 00",
            .varIntNotMinimal,
            "Remaining Length",
            1
        ),
        .init(
            "padded Remaining Length of CONNECT",
            .v5,
            accepted: connect5,
            refused: "10 8E 00 0004'MQTT' 05 02 0000 00 0001'n'",
            .varIntNotMinimal,
            "Remaining Length",
            1
        ),
        .init(
            "padded Remaining Length of PUBLISH",
            .v5,
            accepted: "30 04 0001'a' 00",
            refused: "30 84 00 0001'a' 00",
            .varIntNotMinimal,
            "Remaining Length",
            1
        ),
        .init(
            "bytes behind PINGREQ",
            .v311,
            accepted: "C0 00",
            refused: "C0 01 00",
            .trailingBytes(1),
            "MQTT Control Packet",
            2
        ),
        .init(
            "a reason in PUBACK before 5.0",
            .v311,
            accepted: "40 02 0001",
            refused: "40 03 0001 00",
            .trailingBytes(1),
            "MQTT Control Packet",
            4
        ),
        .init(
            "a reason in DISCONNECT before 5.0",
            .v311,
            accepted: "E0 00",
            refused: "E0 01 00",
            .trailingBytes(1),
            "MQTT Control Packet",
            2
        ),
        .init(
            "bytes behind CONNECT",  // [MQTT-3.1.2-16], [MQTT-3.1.2-18]
            .v311,
            accepted: connect311,
            refused: "10 12 0004'MQTT' 04 02 003C 0004'node' 0000",
            .trailingBytes(2),
            "MQTT Control Packet",
            18
        ),
        .init(
            "bytes behind PUBACK's properties",
            .v5,
            accepted: "40 04 0001 00 00",
            refused: "40 05 0001 00 00 00",
            .trailingBytes(1),
            "MQTT Control Packet",
            6
        ),
        .init(
            "CONNACK of one byte",
            .v311,
            accepted: "20 02 00 00",
            refused: "20 01 00",
            .truncated,
            "Connect Return code",
            3
        ),
        .init(
            "flags of CONNACK",  // [MQTT-3.2.2-1]
            .v311,
            accepted: "20 02 01 00",
            refused: "20 02 02 00",
            .reservedBits(2),
            "Connect Acknowledge Flags",
            2
        ),
        .init(
            "a return code that is none",
            .v311,
            accepted: "20 02 00 05",
            refused: "20 02 00 06",
            .invalidReasonCode(6),
            "Connect Return code",
            3
        ),
        .init(
            "a session in a refusal",
            .v311,
            accepted: "20 02 00 05",
            refused: "20 02 01 05",
            .sessionPresentWithFailure,
            "Session Present",
            2
        ),
    ]
}
