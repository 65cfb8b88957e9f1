import MQTTCodec

extension RefusalVector {
    static let connect: [RefusalVector] = [
        .init(
            "reserved Connect Flag",  // [MQTT-3.1.2-3]
            .v311,
            accepted: connect311,
            refused: "10 10 0004'MQTT' 04 03 003C 0004'node'",
            .reservedBits(1),
            "Connect Flags",
            9
        ),
        .init(
            "Will QoS 3",  // [MQTT-3.1.2-12]
            .v311,
            accepted: "10 14 0004'MQTT' 04 16 0000 0001'n' 0001'w' 0002'by'",
            refused: "10 14 0004'MQTT' 04 1E 0000 0001'n' 0001'w' 0002'by'",
            .invalidQoS(3),
            "Will QoS",
            9
        ),
        .init(
            "Will QoS without will",  // [MQTT-3.1.2-11]
            .v311,
            accepted: connect311,
            refused: "10 10 0004'MQTT' 04 0A 003C 0004'node'",
            .willFlagsWithoutWill,
            "Connect Flags",
            9
        ),
        .init(
            "Will Retain without will",  // [MQTT-3.1.2-13]
            .v5,
            accepted: connect5,
            refused: "10 0E 0004'MQTT' 05 22 0000 00 0001'n'",
            .willFlagsWithoutWill,
            "Connect Flags",
            9
        ),
        .init(
            "a will with a wildcard",
            .v311,
            accepted: "10 11 0004'MQTT' 04 06 0000 0000 0001'w' 0000",
            refused: "10 11 0004'MQTT' 04 06 0000 0000 0001'#' 0000",
            .topicName(.misplacedWildcard),
            "Will Topic",
            14
        ),
        .init(
            "no will where the flag says so",  // [MQTT-3.1.2-9]
            .v311,
            accepted: "10 0D 0004'MQTT' 04 02 0000 0001'n'",
            refused: "10 0D 0004'MQTT' 04 06 0000 0001'n'",
            .truncated,
            "Will Topic",
            15
        ),
        .init(
            "a password without user name",  // [MQTT-3.1.2-22 of 3.1.1]
            .v311,
            accepted: "10 13 0004'MQTT' 04 C2 0000 0001'n' 0001'u' 0001'p'",
            refused: "10 10 0004'MQTT' 04 42 0000 0001'n' 0001'p'",
            .passwordWithoutUserName,
            "Connect Flags",
            9
        ),
        .init(
            "a password beyond the packet",  // [MQTT-3.1.2-19]
            .v311,
            accepted: "10 13 0004'MQTT' 04 C2 0000 0001'n' 0001'u' 0001'p'",
            refused: "10 13 0004'MQTT' 04 C2 0000 0001'n' 0001'u' 0002'p'",
            .truncated,
            "Password",
            18
        ),
        .init(
            "another protocol",  // [MQTT-3.1.2-1]
            .v311,
            accepted: connect311,
            refused: "10 10 0004'MQTX' 04 02 003C 0004'node'",
            .unsupportedProtocolName,
            "Protocol Name",
            2
        ),
        .init(
            "the protocol in small letters",
            .v311,
            accepted: connect311,
            refused: "10 10 0004'mqtt' 04 02 003C 0004'node'",
            .unsupportedProtocolName,
            "Protocol Name",
            2
        ),
        .init(
            "level 6",  // [MQTT-3.1.2-2]
            .v311,
            accepted: connect311,
            refused: "10 10 0004'MQTT' 06 02 003C 0004'node'",
            .unsupportedProtocolLevel(6),
            "Protocol Level",
            8
        ),
        .init(
            "a bridge of 5.0",
            .v5,
            accepted: connect5,
            refused: "10 0E 0004'MQTT' 85 02 0000 00 0001'n'",
            .unsupportedProtocolLevel(0x85),
            "Protocol Level",
            8
        ),
        .init(
            "the old name with a new level",
            .v311,
            accepted: "10 12 0006'MQIsdp' 03 02 003C 0004'node'",
            refused: "10 12 0006'MQIsdp' 04 02 003C 0004'node'",
            .unsupportedProtocolLevel(4),
            "Protocol Level",
            10
        ),
        .init(
            "the new name with the old level",
            .v311,
            accepted: connect311,
            refused: "10 10 0004'MQTT' 03 02 003C 0004'node'",
            .unsupportedProtocolLevel(3),
            "Protocol Level",
            8
        ),
        .init(
            "no client identifier",  // [MQTT-3.1.3-3]
            .v311,
            accepted: connect311,
            refused: "10 0A 0004'MQTT' 04 02 003C",
            .truncated,
            "Client Identifier",
            12
        ),
        .init(
            "an ill-formed will topic",  // [MQTT-3.1.3-11]
            .v311,
            accepted: "10 11 0004'MQTT' 04 06 0000 0000 0001'w' 0000",
            refused: "10 11 0004'MQTT' 04 06 0000 0000 0001 FF 0000",
            .topicName(.illFormedUTF8),
            "Will Topic",
            14
        ),
        .init(
            "a user name beyond the packet",  // [MQTT-3.1.2-17]
            .v311,
            accepted: "10 10 0004'MQTT' 04 82 0000 0001'n' 0001'u'",
            refused: "10 10 0004'MQTT' 04 82 0000 0001'n' 0002'u'",
            .truncated,
            "User Name",
            15
        ),
        .init(
            "an ill-formed client identifier",  // [MQTT-3.1.3-4]
            .v311,
            accepted: "10 0D 0004'MQTT' 04 02 0000 0001'n'",
            refused: "10 0D 0004'MQTT' 04 02 0000 0001 FF",
            .illFormedUTF8,
            "Client Identifier",
            12
        ),
        .init(
            "U+0000 in the user name",  // [MQTT-3.1.3-12]
            .v311,
            accepted: "10 10 0004'MQTT' 04 82 0000 0001'n' 0001'u'",
            refused: "10 10 0004'MQTT' 04 82 0000 0001'n' 0001 00",
            .nullCharacter,
            "User Name",
            15
        ),
    ]
}
