import MQTTCodec

extension RefusalVector {
    static let v5Properties: [RefusalVector] = [
        .init(
            "an unknown property",
            .v5,
            accepted: "30 06 0001'a' 02 0100",
            refused: "30 06 0001'a' 02 0400",
            .unknownProperty(4),
            "Property Identifier",
            6
        ),
        .init(
            "an identifier of two bytes",
            .v5,
            accepted: "30 06 0001'a' 02 0100",
            refused: "30 07 0001'a' 03 810100",
            .unknownProperty(129),
            "Property Identifier",
            6
        ),
        .init(
            "a padded identifier",
            .v5,
            accepted: "30 06 0001'a' 02 0100",
            refused: "30 07 0001'a' 03 810000",
            .varIntNotMinimal,
            "Property Identifier",
            6
        ),
        .init(
            "a property of CONNECT in PUBLISH",
            .v5,
            accepted: "30 07 0001'a' 03 230001",
            refused: "30 07 0001'a' 03 210001",
            .misplacedProperty,
            "Receive Maximum",
            6
        ),
        .init(
            "a property that a will may not have",
            .v5,
            accepted: "10 16 0004'MQTT' 05 06 0000 00 0001'n' 02 0101 0001'w' 0000",
            refused: "10 17 0004'MQTT' 05 06 0000 00 0001'n' 03 230001 0001'w' 0000",
            .misplacedProperty,
            "Topic Alias",
            17
        ),
        .init(
            "the will's own property in CONNECT",
            .v5,
            accepted: connect5,
            refused: "10 13 0004'MQTT' 05 02 0000 05 1800000001 0001'n'",
            .misplacedProperty,
            "Will Delay Interval",
            13
        ),
        .init(
            "a property twice",
            .v5,
            accepted: "30 06 0001'a' 02 0101",
            refused: "30 08 0001'a' 04 0101 0101",
            .duplicateProperty,
            "Payload Format Indicator",
            8
        ),
        .init(
            "a subscription identifier twice in SUBSCRIBE",
            .v5,
            accepted: "82 0B 0001 02 0B01 0003'a/b' 00",
            refused: "82 0D 0001 04 0B01 0B02 0003'a/b' 00",
            .duplicateProperty,
            "Subscription Identifier",
            7
        ),
        .init(
            "subscription identifier 0",
            .v5,
            accepted: "82 0B 0001 02 0B01 0003'a/b' 00",
            refused: "82 0B 0001 02 0B00 0003'a/b' 00",
            .invalidValue(0),
            "Subscription Identifier",
            6
        ),
        .init(
            "Receive Maximum 0",
            .v5,
            accepted: "10 11 0004'MQTT' 05 02 0000 03 210001 0001'n'",
            refused: "10 11 0004'MQTT' 05 02 0000 03 210000 0001'n'",
            .invalidValue(0),
            "Receive Maximum",
            14
        ),
        .init(
            "Maximum Packet Size 0",
            .v5,
            accepted: "10 13 0004'MQTT' 05 02 0000 05 2700000001 0001'n'",
            refused: "10 13 0004'MQTT' 05 02 0000 05 2700000000 0001'n'",
            .invalidValue(0),
            "Maximum Packet Size",
            14
        ),
        .init(
            "Request Problem Information 2",
            .v5,
            accepted: "10 10 0004'MQTT' 05 02 0000 02 1701 0001'n'",
            refused: "10 10 0004'MQTT' 05 02 0000 02 1702 0001'n'",
            .invalidValue(2),
            "Request Problem Information",
            14
        ),
        .init(
            "Payload Format Indicator 2",
            .v5,
            accepted: "30 06 0001'a' 02 0101",
            refused: "30 06 0001'a' 02 0102",
            .invalidValue(2),
            "Payload Format Indicator",
            7
        ),
        .init(
            "Maximum QoS 2",
            .v5,
            accepted: "20 05 00 00 02 2401",
            refused: "20 05 00 00 02 2402",
            .invalidValue(2),
            "Maximum QoS",
            6
        ),
        .init(
            "Topic Alias 0",  // [MQTT-3.3.2-8]
            .v5,
            accepted: "30 07 0001'a' 03 230001",
            refused: "30 07 0001'a' 03 230000",
            .topicAliasZero,
            "Topic Alias",
            7
        ),
        .init(
            "a wildcard in the Response Topic",  // [MQTT-3.3.2-14]
            .v5,
            accepted: "30 08 0001'a' 04 080001'r'",
            refused: "30 08 0001'a' 04 080001'#'",
            .topicName(.misplacedWildcard),
            "Response Topic",
            7
        ),
        .init(
            "an ill-formed Response Topic",  // [MQTT-3.3.2-13]
            .v5,
            accepted: "30 08 0001'a' 04 080001'r'",
            refused: "30 08 0001'a' 04 080001 80",
            .topicName(.illFormedUTF8),
            "Response Topic",
            7
        ),
        .init(
            "ill-formed Content Type",  // [MQTT-3.3.2-19]
            .v5,
            accepted: "30 08 0001'a' 04 030001'c'",
            refused: "30 08 0001'a' 04 030001 80",
            .illFormedUTF8,
            "Content Type",
            7
        ),
        .init(
            "U+0000 in the value of a user property",  // [MQTT-1.5.7-1]
            .v5,
            accepted: "30 0B 0001'a' 07 260001'k'0001'v'",
            refused: "30 0B 0001'a' 07 260001'k'0001 00",
            .nullCharacter,
            "User Property",
            10
        ),
        .init(
            "properties beyond the packet",
            .v5,
            accepted: "30 06 0001'a' 02 0101",
            refused: "30 05 0001'a' 02 01",
            .truncated,
            "Properties",
            6
        ),
        .init(
            "a value beyond the properties",
            .v5,
            accepted: "30 09 0001'a' 05 0200000001",
            refused: "30 09 0001'a' 02 0200000001",
            .truncated,
            "Message Expiry Interval",
            7
        ),
        .init(
            "a padded Property Length",
            .v5,
            accepted: "30 04 0001'a' 00",
            refused: "30 05 0001'a' 8000",
            .varIntNotMinimal,
            "Property Length",
            5
        ),
        .init(
            "a Property Length of five bytes",
            .v5,
            accepted: "30 04 0001'a' 00",
            refused: "30 08 0001'a' FFFFFFFF01",
            .varIntTooLong,
            "Property Length",
            5
        ),
    ]
}
