import MQTTCodec

extension RefusalVector {
    static let lists: [RefusalVector] = [
        .init(
            "SUBSCRIBE with packet identifier 0",  // [MQTT-2.2.1-3]
            .v311,
            accepted: subscribe311,
            refused: "82 08 0000 0003'a/b' 00",
            .packetIdentifierZero,
            "Packet Identifier",
            2
        ),
        .init(
            "PUBACK with packet identifier 0",
            .v311,
            accepted: "40 02 0001",
            refused: "40 02 0000",
            .packetIdentifierZero,
            "Packet Identifier",
            2
        ),
        .init(
            "empty SUBSCRIBE",  // [MQTT-3.8.3-2]
            .v311,
            accepted: subscribe311,
            refused: "82 02 0001",
            .emptyList,
            "Topic Filter",
            4
        ),
        .init(
            "empty SUBSCRIBE",  // [MQTT-3.8.3-2]
            .v5,
            accepted: "82 09 0001 00 0003'a/b' 00",
            refused: "82 03 0001 00",
            .emptyList,
            "Topic Filter",
            5
        ),
        .init(
            "empty UNSUBSCRIBE",  // [MQTT-3.10.3-2]
            .v311,
            accepted: "A2 07 0001 0003'a/b'",
            refused: "A2 02 0001",
            .emptyList,
            "Topic Filter",
            4
        ),
        .init(
            "empty SUBACK",
            .v311,
            accepted: "90 03 0001 00",
            refused: "90 02 0001",
            .emptyList,
            "Reason Code",
            4
        ),
        .init(
            "empty UNSUBACK",
            .v5,
            accepted: "B0 04 0001 00 00",
            refused: "B0 03 0001 00",
            .emptyList,
            "Reason Code",
            5
        ),
        .init(
            "SUBACK with QoS 3",
            .v311,
            accepted: "90 03 0001 02",
            refused: "90 03 0001 03",
            .invalidReasonCode(3),
            "Reason Code",
            4
        ),
        .init(
            "SUBACK with a code of 5.0",  // [MQTT-3.9.3-2 of 3.1.1]
            .v311,
            accepted: "90 03 0001 80",
            refused: "90 03 0001 87",
            .invalidReasonCode(0x87),
            "Return Code",
            4
        ),
        .init(
            "a filter without options",
            .v311,
            accepted: subscribe311,
            refused: "82 07 0001 0003'a/b'",
            .truncated,
            "Requested QoS",
            9
        ),
        .init(
            "QoS 3 requested",  // [MQTT-3.8.3-4 of 3.1.1]
            .v311,
            accepted: "82 08 0001 0003'a/b' 02",
            refused: "82 08 0001 0003'a/b' 03",
            .invalidValue(3),
            "Requested QoS",
            9
        ),
        .init(
            "options before 5.0",  // [MQTT-3.8.3-4 of 3.1.1]
            .v311,
            accepted: "82 08 0001 0003'a/b' 02",
            refused: "82 08 0001 0003'a/b' 06",
            .reservedBits(4),
            "Requested QoS",
            9
        ),
        .init(
            "a hash beside a letter",
            .v311,
            accepted: "82 08 0001 0003'a/#' 00",
            refused: "82 07 0001 0002'a#' 00",
            .topicFilter(.misplacedWildcard),
            "Topic Filter",
            4
        ),
        .init(
            "an empty filter",
            .v311,
            accepted: "82 06 0001 0001'a' 00",
            refused: "82 05 0001 0000 00",
            .topicFilter(.empty),
            "Topic Filter",
            4
        ),
        .init(
            "the second filter",  // [MQTT-3.8.3-1]
            .v311,
            accepted: "82 0A 0001 0001'a' 00 0001'+' 00",
            refused: "82 0A 0001 0001'a' 00 0001 FF 00",
            .topicFilter(.illFormedUTF8),
            "Topic Filter",
            8
        ),
        .init(
            "the filter of UNSUBSCRIBE",  // [MQTT-3.10.3-1]
            .v311,
            accepted: "A2 05 0001 0001'a'",
            refused: "A2 05 0001 0001 FF",
            .topicFilter(.illFormedUTF8),
            "Topic Filter",
            4
        ),
        .init(
            "a shared subscription without group",  // [MQTT-4.8.2-1]
            .v311,
            accepted: "82 0F 0001 000A'$share/g/a' 00",
            refused: "82 0E 0001 0009'$share//a' 00",
            .sharedSubscription(.emptyGroup),
            "Topic Filter",
            4
        ),
        .init(
            "a shared subscription without filter",  // [MQTT-4.8.2-2]
            .v5,
            accepted: "82 10 0001 00 000A'$share/g/a' 00",
            refused: "82 12 0001 00 000C'$share/topic' 00",
            .sharedSubscription(.missingFilter),
            "Topic Filter",
            5
        ),
        .init(
            "a wildcard for a group",  // [MQTT-4.8.2-2]
            .v5,
            accepted: "82 10 0001 00 000A'$share/g/+' 00",
            refused: "82 10 0001 00 000A'$share/+/a' 00",
            .sharedSubscription(.wildcardInGroup),
            "Topic Filter",
            5
        ),
        .init(
            "No Local on a shared subscription",  // [MQTT-3.8.3-4]
            .v5,
            accepted: "82 10 0002 00 000A'$share/g/t' 01",
            refused: "82 10 0002 00 000A'$share/g/t' 05",
            .noLocalOnSharedSubscription,
            "Subscription Options",
            17
        ),
        .init(
            "reserved options",  // [MQTT-3.8.3-5]
            .v5,
            accepted: "82 09 0001 00 0003'a/b' 2E",
            refused: "82 09 0001 00 0003'a/b' 6E",
            .reservedBits(0x40),
            "Subscription Options",
            10
        ),
        .init(
            "Retain Handling 3",
            .v5,
            accepted: "82 09 0001 00 0003'a/b' 20",
            refused: "82 09 0001 00 0003'a/b' 30",
            .invalidValue(3),
            "Retain Handling",
            10
        ),
        .init(
            "QoS 3 requested",
            .v5,
            accepted: "82 09 0001 00 0003'a/b' 02",
            refused: "82 09 0001 00 0003'a/b' 03",
            .invalidValue(3),
            "Subscription Options",
            10
        ),
    ]
}
