import MQTTCodec

extension RefusalVector {
    static let publish: [RefusalVector] = [
        .init(
            "DUP with QoS 0",  // [MQTT-3.3.1-2]
            .v311,
            accepted: "3A 07 0003'a/b' 0001",
            refused: "38 05 0003'a/b'",
            .duplicateFlagWithQoS0,
            "DUP",
            0
        ),
        .init(
            "QoS 3",  // [MQTT-3.3.1-4]
            .v311,
            accepted: "34 07 0003'a/b' 0001",
            refused: "36 07 0003'a/b' 0001",
            .invalidQoS(3),
            "QoS",
            0
        ),
        .init(
            "packet identifier 0",  // [MQTT-2.2.1-3]
            .v311,
            accepted: "32 07 0003'a/b' 0001",
            refused: "32 07 0003'a/b' 0000",
            .packetIdentifierZero,
            "Packet Identifier",
            7
        ),
        .init(
            "no packet identifier",
            .v311,
            accepted: "30 05 0003'a/b'",
            refused: "32 05 0003'a/b'",
            .truncated,
            "Packet Identifier",
            7
        ),
        .init(
            "half a packet identifier",
            .v311,
            accepted: "30 06 0003'a/b' 00",
            refused: "32 06 0003'a/b' 00",
            .truncated,
            "Packet Identifier",
            7
        ),
        .init(
            "a topic beyond the packet",  // [MQTT-3.3.2-1]
            .v311,
            accepted: "30 05 0003'a/b'",
            refused: "30 05 0004'a/b'",
            .truncated,
            "Topic Name",
            2
        ),
        .init(
            "a topic far beyond the packet",
            .v311,
            accepted: "30 05 0003'a/b'",
            refused: "30 05 FFFF'a/b'",
            .truncated,
            "Topic Name",
            2
        ),
        .init(
            "half a length",
            .v311,
            accepted: "30 05 0003'a/b'",
            refused: "30 01 00",
            .truncated,
            "Topic Name",
            2
        ),
        .init(
            "nothing at all",
            .v311,
            accepted: "30 05 0003'a/b'",
            refused: "30 00",
            .truncated,
            "Topic Name",
            2
        ),
        .init(
            "a wildcard in the topic",  // [MQTT-3.3.2-2]
            .v311,
            accepted: "30 05 0003'a/b'",
            refused: "30 05 0003'a/+'",
            .topicName(.misplacedWildcard),
            "Topic Name",
            2
        ),
        .init(
            "a hash in the topic",
            .v5,
            accepted: "30 06 0003'a/b' 00",
            refused: "30 06 0003'a/#' 00",
            .topicName(.misplacedWildcard),
            "Topic Name",
            2
        ),
        .init(
            "an empty topic before 5.0",
            .v311,
            accepted: "30 03 0001'a'",
            refused: "30 02 0000",
            .topicName(.empty),
            "Topic Name",
            2
        ),
        .init(
            "U+0000 in the topic",  // [MQTT-4.7.3-2]
            .v311,
            accepted: "30 05 0003 61 01 62",
            refused: "30 05 0003 61 00 62",
            .topicName(.nullCharacter),
            "Topic Name",
            2
        ),
        .init(
            "an overlong slash in the topic",  // [MQTT-3.3.2-1]
            .v311,
            accepted: "30 04 0002 C2AF",
            refused: "30 04 0002 C0AF",
            .topicName(.illFormedUTF8),
            "Topic Name",
            2
        ),
        .init(
            "a surrogate in the topic",
            .v311,
            accepted: "30 05 0003 ED9FBF",
            refused: "30 05 0003 EDA080",
            .topicName(.illFormedUTF8),
            "Topic Name",
            2
        ),
        .init(
            "neither topic nor alias",
            .v5,
            accepted: "30 06 0000 03 230001",
            refused: "30 03 0000 00",
            .missingTopic,
            "Topic Name",
            2
        ),
        .init(
            "no Property Length",
            .v5,
            accepted: "30 04 0001'a' 00",
            refused: "30 03 0001'a'",
            .truncated,
            "Property Length",
            5
        ),
    ]
}
