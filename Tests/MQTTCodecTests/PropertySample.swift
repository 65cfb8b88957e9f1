import MQTTCodec
import NIOCore

/// A property of MQTT 5.0 §2.2.2.2 with the values that are refused.
struct PropertySample: Sendable {
    enum Kind { case flag, number(bytes: Int), nonZero(bytes: Int), alias, variable, text, topic, binary }

    let name: String
    let identifier: UInt8
    let packet: String
    let isOfWill: Bool
    /// Properties without which this one may not be.
    let before: String
    let wrong: [(what: String, value: ByteBuffer, kind: MQTTDecodeError.Kind)]

    private init(
        _ identifier: UInt8,
        _ name: String,
        _ kind: Kind,
        in packet: String,
        ofWill: Bool = false,
        before: String = ""
    ) {
        self.name = name
        self.identifier = identifier
        self.packet = packet
        self.isOfWill = ofWill
        self.before = before
        self.wrong = Self.wrong(kind)
    }

    private static func wrong(_ kind: Kind) -> [(what: String, value: ByteBuffer, kind: MQTTDecodeError.Kind)] {
        func number(_ bytes: Int) -> [(String, ByteBuffer, MQTTDecodeError.Kind)] {
            (0..<bytes).map { ("\($0) of \(bytes) bytes", ByteBuffer(repeating: 1, count: $0), .truncated) }
        }
        let cut: [(String, ByteBuffer, MQTTDecodeError.Kind)] = [
            ("no length", ByteBuffer(), .truncated), ("half a length", wire("00"), .truncated),
            ("less than its length", wire("0002'a'"), .truncated), ("a length of 65535", wire("FFFF'a'"), .truncated),
        ]
        switch kind {
        case .flag:
            return number(1) + [("2", wire("02"), .invalidValue(2)), ("255", wire("FF"), .invalidValue(255))]
        case .number(let bytes): return number(bytes)
        case .nonZero(let bytes):
            return number(bytes) + [("0", ByteBuffer(repeating: 0, count: bytes), .invalidValue(0))]
        case .alias: return number(2) + [("0", wire("0000"), .topicAliasZero)]
        case .variable:
            return number(1) + [
                ("0", wire("00"), .invalidValue(0)), ("padded", wire("8100"), .varIntNotMinimal),
                ("0, padded", wire("808000"), .varIntNotMinimal), ("five bytes", wire("FFFFFFFF01"), .varIntTooLong),
                ("no end", wire("FFFF"), .truncated),
            ]
        case .binary: return cut
        case .text:
            return cut
                + (OddText.illFormed + OddText.withNull).map { ($0.name, $0.field, FieldCase.kind(of: $0)) }
        case .topic:
            return cut
                + OddText.illFormed.map { ($0.name, $0.field, .topicName(.illFormedUTF8)) }
                + OddText.withNull.map { ($0.name, $0.field, .topicName(.nullCharacter)) } + [
                    ("empty", wire("0000"), .topicName(.empty)), ("+", wire("0001'+'"), .topicName(.misplacedWildcard)),
                    ("a/#", wire("0003'a/#'"), .topicName(.misplacedWildcard)),
                ]
        }
    }

    static let all: [PropertySample] = [
        PropertySample(0x01, "Payload Format Indicator", .flag, in: "PUBLISH"),
        PropertySample(0x02, "Message Expiry Interval", .number(bytes: 4), in: "PUBLISH"),
        PropertySample(0x03, "Content Type", .text, in: "PUBLISH"),
        PropertySample(0x08, "Response Topic", .topic, in: "PUBLISH"),
        PropertySample(0x09, "Correlation Data", .binary, in: "PUBLISH"),
        PropertySample(0x0B, "Subscription Identifier", .variable, in: "PUBLISH"),
        PropertySample(0x0B, "Subscription Identifier", .variable, in: "SUBSCRIBE"),
        PropertySample(0x23, "Topic Alias", .alias, in: "PUBLISH"),
        PropertySample(0x01, "Payload Format Indicator", .flag, in: "CONNECT", ofWill: true),
        PropertySample(0x02, "Message Expiry Interval", .number(bytes: 4), in: "CONNECT", ofWill: true),
        PropertySample(0x03, "Content Type", .text, in: "CONNECT", ofWill: true),
        PropertySample(0x08, "Response Topic", .topic, in: "CONNECT", ofWill: true),
        PropertySample(0x09, "Correlation Data", .binary, in: "CONNECT", ofWill: true),
        PropertySample(0x18, "Will Delay Interval", .number(bytes: 4), in: "CONNECT", ofWill: true),
        PropertySample(0x11, "Session Expiry Interval", .number(bytes: 4), in: "CONNECT"),
        PropertySample(0x15, "Authentication Method", .text, in: "CONNECT"),
        PropertySample(0x16, "Authentication Data", .binary, in: "CONNECT", before: "150001'm'"),
        PropertySample(0x17, "Request Problem Information", .flag, in: "CONNECT"),
        PropertySample(0x19, "Request Response Information", .flag, in: "CONNECT"),
        PropertySample(0x21, "Receive Maximum", .nonZero(bytes: 2), in: "CONNECT"),
        PropertySample(0x22, "Topic Alias Maximum", .number(bytes: 2), in: "CONNECT"),
        PropertySample(0x27, "Maximum Packet Size", .nonZero(bytes: 4), in: "CONNECT"),
        PropertySample(0x11, "Session Expiry Interval", .number(bytes: 4), in: "CONNACK"),
        PropertySample(0x12, "Assigned Client Identifier", .text, in: "CONNACK"),
        PropertySample(0x13, "Server Keep Alive", .number(bytes: 2), in: "CONNACK"),
        PropertySample(0x1A, "Response Information", .text, in: "CONNACK"),
        PropertySample(0x1C, "Server Reference", .text, in: "CONNACK"),
        PropertySample(0x21, "Receive Maximum", .nonZero(bytes: 2), in: "CONNACK"),
        PropertySample(0x22, "Topic Alias Maximum", .number(bytes: 2), in: "CONNACK"),
        PropertySample(0x24, "Maximum QoS", .flag, in: "CONNACK"),
        PropertySample(0x25, "Retain Available", .flag, in: "CONNACK"),
        PropertySample(0x27, "Maximum Packet Size", .nonZero(bytes: 4), in: "CONNACK"),
        PropertySample(0x28, "Wildcard Subscription Available", .flag, in: "CONNACK"),
        PropertySample(0x29, "Subscription Identifier Available", .flag, in: "CONNACK"),
        PropertySample(0x2A, "Shared Subscription Available", .flag, in: "CONNACK"),
        PropertySample(0x15, "Authentication Method", .text, in: "AUTH"),
        PropertySample(0x16, "Authentication Data", .binary, in: "AUTH", before: "150001'm'"),
        PropertySample(0x11, "Session Expiry Interval", .number(bytes: 4), in: "DISCONNECT"),
        PropertySample(0x1C, "Server Reference", .text, in: "DISCONNECT"),
        PropertySample(0x1F, "Reason String", .text, in: "CONNACK"),
        PropertySample(0x1F, "Reason String", .text, in: "PUBACK"),
        PropertySample(0x1F, "Reason String", .text, in: "SUBACK"),
        PropertySample(0x1F, "Reason String", .text, in: "UNSUBACK"),
        PropertySample(0x1F, "Reason String", .text, in: "DISCONNECT"),
        PropertySample(0x1F, "Reason String", .text, in: "AUTH", before: "150001'm'"),
    ]
}
