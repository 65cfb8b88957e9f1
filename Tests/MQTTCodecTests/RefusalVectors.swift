import MQTTCodec
import Testing

/// Bytes that are refused, beside the nearest that are accepted.
struct RefusalVector: Sendable, CustomTestStringConvertible {
    let name: String
    let version: MQTTVersion
    let sender: MQTTPeer?
    let accepted: String
    let refused: String
    let error: MQTTDecodeError

    init(
        _ name: String,
        _ version: MQTTVersion,
        from sender: MQTTPeer? = nil,
        accepted: String,
        refused: String,
        _ kind: MQTTDecodeError.Kind,
        _ field: String,
        _ offset: Int
    ) {
        self.name = name
        self.version = version
        self.sender = sender
        self.accepted = accepted
        self.refused = refused
        self.error = MQTTDecodeError(kind: kind, field: field, offset: offset)
    }

    var testDescription: String { "MQTT \(self.version): \(self.name)" }

    static let all = header + publish + lists + connect + v5Properties + v5

    private static let type = "MQTT Control Packet type"
    private static let connect311 = "10 10 0004'MQTT' 04 02 003C 0004'node'"
    private static let subscribe311 = "82 08 0001 0003'a/b' 00"
    private static let connect5 = "10 0E 0004'MQTT' 05 02 0000 00 0001'n'"

    private static let header: [RefusalVector] = [
        .init("type 0", .v311, accepted: "C0 00", refused: "00 00", .reservedPacketType(0), type, 0),
        .init("AUTH before 5.0", .v311, accepted: "E0 00", refused: "F0 00", .reservedPacketType(15), type, 0),
        .init(
            "flags of PINGREQ",
            .v311,
            accepted: "C0 00",
            refused: "C1 00",
            .reservedBits(1),
            "flags of pingreq",
            0
        ),
        .init(
            "flags of SUBSCRIBE",
            .v311,
            accepted: subscribe311,
            refused: "80 08 0001 0003'a/b' 00",
            .reservedBits(0),
            "flags of subscribe",
            0
        ),
        .init(
            "flags of PUBREL",
            .v5,
            accepted: "62 02 0001",
            refused: "60 02 0001",
            .reservedBits(0),
            "flags of pubrel",
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
            "padded Remaining Length",
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
            "bytes behind CONNECT",
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
            "flags of CONNACK",
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

    private static let publish: [RefusalVector] = [
        .init(
            "DUP with QoS 0",
            .v311,
            accepted: "3A 07 0003'a/b' 0001",
            refused: "38 05 0003'a/b'",
            .duplicateFlagWithQoS0,
            "DUP",
            0
        ),
        .init(
            "QoS 3",
            .v311,
            accepted: "34 07 0003'a/b' 0001",
            refused: "36 07 0003'a/b' 0001",
            .invalidQoS(3),
            "QoS",
            0
        ),
        .init(
            "packet identifier 0",
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
            "a topic beyond the packet",
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
            "a wildcard in the topic",
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
            "U+0000 in the topic",
            .v311,
            accepted: "30 05 0003 61 01 62",
            refused: "30 05 0003 61 00 62",
            .topicName(.nullCharacter),
            "Topic Name",
            2
        ),
        .init(
            "an overlong slash in the topic",
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

    private static let lists: [RefusalVector] = [
        .init(
            "SUBSCRIBE with packet identifier 0",
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
            "empty SUBSCRIBE",
            .v311,
            accepted: subscribe311,
            refused: "82 02 0001",
            .emptyList,
            "Topic Filter",
            4
        ),
        .init(
            "empty SUBSCRIBE",
            .v5,
            accepted: "82 09 0001 00 0003'a/b' 00",
            refused: "82 03 0001 00",
            .emptyList,
            "Topic Filter",
            5
        ),
        .init(
            "empty UNSUBSCRIBE",
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
            "SUBACK with a code of 5.0",
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
            "QoS 3 requested",
            .v311,
            accepted: "82 08 0001 0003'a/b' 02",
            refused: "82 08 0001 0003'a/b' 03",
            .invalidQoS(3),
            "Requested QoS",
            9
        ),
        .init(
            "options before 5.0",
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
            "the second filter",
            .v311,
            accepted: "82 0A 0001 0001'a' 00 0001'+' 00",
            refused: "82 0A 0001 0001'a' 00 0001 FF 00",
            .topicFilter(.illFormedUTF8),
            "Topic Filter",
            8
        ),
        .init(
            "a shared subscription without group",
            .v311,
            accepted: "82 0F 0001 000A'$share/g/a' 00",
            refused: "82 0E 0001 0009'$share//a' 00",
            .sharedSubscription(.emptyGroup),
            "Topic Filter",
            4
        ),
        .init(
            "a shared subscription without filter",
            .v5,
            accepted: "82 10 0001 00 000A'$share/g/a' 00",
            refused: "82 12 0001 00 000C'$share/topic' 00",
            .sharedSubscription(.missingFilter),
            "Topic Filter",
            5
        ),
        .init(
            "a wildcard for a group",
            .v5,
            accepted: "82 10 0001 00 000A'$share/g/+' 00",
            refused: "82 10 0001 00 000A'$share/+/a' 00",
            .sharedSubscription(.wildcardInGroup),
            "Topic Filter",
            5
        ),
        .init(
            "No Local on a shared subscription",
            .v5,
            accepted: "82 10 0002 00 000A'$share/g/t' 01",
            refused: "82 10 0002 00 000A'$share/g/t' 05",
            .noLocalOnSharedSubscription,
            "Subscription Options",
            17
        ),
        .init(
            "reserved options",
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
            .invalidQoS(3),
            "Subscription Options",
            10
        ),
    ]

    private static let connect: [RefusalVector] = [
        .init(
            "reserved Connect Flag",
            .v311,
            accepted: connect311,
            refused: "10 10 0004'MQTT' 04 03 003C 0004'node'",
            .reservedBits(1),
            "Connect Flags",
            9
        ),
        .init(
            "Will QoS 3",
            .v311,
            accepted: "10 14 0004'MQTT' 04 16 0000 0001'n' 0001'w' 0002'by'",
            refused: "10 14 0004'MQTT' 04 1E 0000 0001'n' 0001'w' 0002'by'",
            .invalidQoS(3),
            "Will QoS",
            9
        ),
        .init(
            "Will QoS without will",
            .v311,
            accepted: connect311,
            refused: "10 10 0004'MQTT' 04 0A 003C 0004'node'",
            .willFlagsWithoutWill,
            "Connect Flags",
            9
        ),
        .init(
            "Will Retain without will",
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
            "no will where the flag says so",
            .v311,
            accepted: "10 0D 0004'MQTT' 04 02 0000 0001'n'",
            refused: "10 0D 0004'MQTT' 04 06 0000 0001'n'",
            .truncated,
            "Will Topic",
            15
        ),
        .init(
            "a password without user name",
            .v311,
            accepted: "10 13 0004'MQTT' 04 C2 0000 0001'n' 0001'u' 0001'p'",
            refused: "10 10 0004'MQTT' 04 42 0000 0001'n' 0001'p'",
            .passwordWithoutUserName,
            "Connect Flags",
            9
        ),
        .init(
            "a password beyond the packet",
            .v311,
            accepted: "10 13 0004'MQTT' 04 C2 0000 0001'n' 0001'u' 0001'p'",
            refused: "10 13 0004'MQTT' 04 C2 0000 0001'n' 0001'u' 0002'p'",
            .truncated,
            "Password",
            18
        ),
        .init(
            "another protocol",
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
            "level 6",
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
            "an ill-formed client identifier",
            .v311,
            accepted: "10 0D 0004'MQTT' 04 02 0000 0001'n'",
            refused: "10 0D 0004'MQTT' 04 02 0000 0001 FF",
            .illFormedUTF8,
            "Client Identifier",
            12
        ),
        .init(
            "U+0000 in the user name",
            .v311,
            accepted: "10 10 0004'MQTT' 04 82 0000 0001'n' 0001'u'",
            refused: "10 10 0004'MQTT' 04 82 0000 0001'n' 0001 00",
            .nullCharacter,
            "User Name",
            15
        ),
    ]

    private static let v5Properties: [RefusalVector] = [
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
            "Topic Alias 0",
            .v5,
            accepted: "30 07 0001'a' 03 230001",
            refused: "30 07 0001'a' 03 230000",
            .topicAliasZero,
            "Topic Alias",
            7
        ),
        .init(
            "a wildcard in the Response Topic",
            .v5,
            accepted: "30 08 0001'a' 04 080001'r'",
            refused: "30 08 0001'a' 04 080001'#'",
            .topicName(.misplacedWildcard),
            "Response Topic",
            7
        ),
        .init(
            "ill-formed Content Type",
            .v5,
            accepted: "30 08 0001'a' 04 030001'c'",
            refused: "30 08 0001'a' 04 030001 80",
            .illFormedUTF8,
            "Content Type",
            7
        ),
        .init(
            "U+0000 in the value of a user property",
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

    private static let v5: [RefusalVector] = [
        .init(
            "Authentication Data without method",
            .v5,
            accepted: "10 16 0004'MQTT' 05 02 0000 08 150001'm' 160001'd' 0001'n'",
            refused: "10 12 0004'MQTT' 05 02 0000 04 160001'd' 0001'n'",
            .missingAuthenticationMethod,
            "Authentication Method",
            17
        ),
        .init(
            "AUTH without method",
            .v5,
            accepted: "F0 06 18 04 150001'm'",
            refused: "F0 02 18 00",
            .missingAuthenticationMethod,
            "Authentication Method",
            4
        ),
        .init(
            "AUTH of the code alone",
            .v5,
            accepted: "F0 06 18 04 150001'm'",
            refused: "F0 01 18",
            .truncated,
            "Property Length",
            3
        ),
        .init(
            "a code that AUTH does not have",
            .v5,
            accepted: "F0 06 18 04 150001'm'",
            refused: "F0 06 01 04 150001'm'",
            .invalidReasonCode(1),
            "Reason Code",
            2
        ),
        .init(
            "a code that PUBACK does not have",
            .v5,
            accepted: "40 03 0001 97",
            refused: "40 03 0001 92",
            .invalidReasonCode(0x92),
            "Reason Code",
            4
        ),
        .init(
            "a code that PUBREL does not have",
            .v5,
            accepted: "62 03 0001 92",
            refused: "62 03 0001 97",
            .invalidReasonCode(0x97),
            "Reason Code",
            4
        ),
        .init(
            "a code that DISCONNECT does not have",
            .v5,
            accepted: "E0 01 04",
            refused: "E0 01 84",
            .invalidReasonCode(0x84),
            "Reason Code",
            2
        ),
        .init(
            "a code that nothing has",
            .v5,
            accepted: "20 03 00 87 00",
            refused: "20 03 00 FF 00",
            .invalidReasonCode(0xFF),
            "Reason Code",
            3
        ),
        .init(
            "a session in a refusal",
            .v5,
            accepted: "20 03 00 87 00",
            refused: "20 03 01 87 00",
            .sessionPresentWithFailure,
            "Session Present",
            2
        ),
        .init(
            "a subscription identifier in a client's PUBLISH",
            .v5,
            from: .client,
            accepted: "30 07 0001'a' 03 230001",
            refused: "30 06 0001'a' 02 0B01",
            .notAllowed(from: .client),
            "Subscription Identifier",
            6
        ),
        .init(
            "a session expiry in a server's DISCONNECT",
            .v5,
            from: .server,
            accepted: "E0 09 9D 07 1C0004'host'",
            refused: "E0 07 8E 05 1100000001",
            .notAllowed(from: .server),
            "Session Expiry Interval",
            4
        ),
        .init(
            "a server reference in a client's DISCONNECT",
            .v5,
            from: .client,
            accepted: "E0 07 04 05 1100000001",
            refused: "E0 09 80 07 1C0004'host'",
            .notAllowed(from: .client),
            "Server Reference",
            4
        ),
        .init(
            "a server that wants its will sent",
            .v5,
            from: .server,
            accepted: "E0 01 8E",
            refused: "E0 01 04",
            .notAllowed(from: .server),
            "Disconnect Reason Code",
            2
        ),
        .init(
            "a client that says success in AUTH",
            .v5,
            from: .client,
            accepted: "F0 06 18 04 150001'm'",
            refused: "F0 06 00 04 150001'm'",
            .notAllowed(from: .client),
            "Authenticate Reason Code",
            2
        ),
        .init(
            "a server that asks to authenticate again",
            .v5,
            from: .server,
            accepted: "F0 06 00 04 150001'm'",
            refused: "F0 06 19 04 150001'm'",
            .notAllowed(from: .server),
            "Authenticate Reason Code",
            2
        ),
    ]
}
