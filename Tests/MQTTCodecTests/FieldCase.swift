import MQTTCodec
import NIOCore
import Testing

/// A packet of which one field is wrong.
struct FieldCase: Sendable, CustomTestStringConvertible {
    let packet: String
    let field: String
    let what: String
    let version: MQTTVersion
    let frame: MQTTFrame
    let error: MQTTDecodeError

    var testDescription: String { "MQTT \(self.version) \(self.packet), \(self.field): \(self.what)" }

    init(_ shape: PacketShape, _ what: String, _ frame: MQTTFrame, _ error: MQTTDecodeError, field: String? = nil) {
        self.packet = shape.name
        self.field = field ?? error.field
        self.what = what
        self.version = shape.version
        self.frame = frame
        self.error = error
    }

    static let all = PacketShape.all.flatMap { Self.flags($0) + Self.cuts($0) + Self.trailing($0) + Self.fields($0) }

    /// Bits 3 to 0 of the first byte.
    private static func flags(_ shape: PacketShape) -> [FieldCase] {
        (0..<16).compactMap { (flags: UInt8) in
            guard flags != shape.firstByte & 0x0F else { return nil }
            var frame = shape.frame()
            frame.firstByte = shape.firstByte & 0xF0 | flags
            let error: MQTTDecodeError
            if shape.name != "PUBLISH" {
                let field = "flags of \(shape.name.lowercased())"
                error = MQTTDecodeError(kind: .reservedBits(flags), field: field, offset: 0)
            } else if flags & 0b0110 == 0b0110 {
                error = MQTTDecodeError(kind: .invalidQoS(3), field: "QoS", offset: 0)
            } else if flags & 0b1110 == 0b1000 {
                error = MQTTDecodeError(kind: .duplicateFlagWithQoS0, field: "DUP", offset: 0)
            } else {
                return nil
            }
            return FieldCase(shape, "flags \(flags)", frame, error)
        }
    }

    /// Remaining Length ends before or within each field.
    private static func cuts(_ shape: PacketShape) -> [FieldCase] {
        let whole = shape.frame()
        return shape.fields.enumerated().flatMap { index, field -> [FieldCase] in
            let offset = shape.offset(of: index)
            return (0..<field.bytes.readableBytes).compactMap { kept in
                guard field.kind != .payload, let body = whole.body.getSlice(at: 0, length: offset - 2 + kept) else {
                    return nil
                }
                let frame = MQTTFrame(firstByte: shape.firstByte, body: body)
                if kept == 0 {
                    guard let kind = field.missing else { return nil }
                    let error = MQTTDecodeError(kind: kind, field: field.name, offset: offset)
                    return FieldCase(shape, "not there", frame, error)
                }
                // Of properties the length is there.
                let isLength = field.kind == .properties
                let error = MQTTDecodeError(
                    kind: .truncated,
                    field: isLength ? "Properties" : field.name,
                    offset: isLength ? offset + 1 : offset
                )
                return FieldCase(shape, "\(kept) bytes of it", frame, error)
            }
        }
    }

    /// One byte more than there are fields.
    private static func trailing(_ shape: PacketShape) -> [FieldCase] {
        var frame = shape.frame()
        let offset = 2 + frame.body.readableBytes
        frame.body.writeInteger(UInt8(0xFF))
        let error: MQTTDecodeError
        switch shape.name {
        case "PUBLISH": return []
        case "SUBSCRIBE", "UNSUBSCRIBE":
            error = MQTTDecodeError(kind: .truncated, field: "Topic Filter", offset: offset)
        case "SUBACK",
            "UNSUBACK" where shape.version == .v5:
            error = MQTTDecodeError(kind: .invalidReasonCode(0xFF), field: "Reason Code", offset: offset)
        default:
            error = MQTTDecodeError(kind: .trailingBytes(1), field: "MQTT Control Packet", offset: offset)
        }
        return [FieldCase(shape, "a byte behind the last field", frame, error)]
    }

    private static func fields(_ shape: PacketShape) -> [FieldCase] {
        shape.fields.enumerated().flatMap { index, field -> [FieldCase] in
            let replace: Replacement = { what, bytes, kind, name, delta in
                let frame = shape.frame(replacing: index, with: bytes)
                let offset = shape.offset(of: index) - 2 + Int(frame.headerSize) + delta
                let error = MQTTDecodeError(kind: kind, field: name, offset: offset)
                return FieldCase(shape, what, frame, error, field: name)
            }
            switch field.kind {
            case .number, .payload: return []
            case .packetID: return [replace("0", wire("0000"), .packetIdentifierZero, field.name, 0)]
            case .binary: return [Self.lie(field, replace)]
            case .text: return Self.texts(field, replace) + [Self.lie(field, replace)]
            case .topicName: return Self.topics(field, shape, replace) + [Self.lie(field, replace)]
            case .topicFilter: return Self.filters(field, shape, replace) + [Self.lie(field, replace)]
            case .properties: return Self.properties(field, replace)
            }
        }
    }

    /// A case by what the field is replaced with: what it is called, bytes, kind of error, its field, its offset in the field.
    typealias Replacement = (String, ByteBuffer, MQTTDecodeError.Kind, String, Int) -> FieldCase

    /// A length that ends beyond any packet.
    private static func lie(_ field: PacketShape.Field, _ replace: Replacement) -> FieldCase {
        var bytes = field.bytes
        bytes.setInteger(UInt16.max, at: 0)
        return replace("a length of 65535", bytes, .truncated, field.name, 0)
    }

    private static func texts(_ field: PacketShape.Field, _ replace: Replacement) -> [FieldCase] {
        OddText.illFormed.map { replace($0.name, $0.field, .illFormedUTF8, field.name, 0) }
            + OddText.withNull.map { replace($0.name, $0.field, .nullCharacter, field.name, 0) }
    }

    private static func string(_ text: String) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeInteger(UInt16(text.utf8.count))
        bytes.writeString(text)
        return bytes
    }

    private static func topics(
        _ field: PacketShape.Field,
        _ shape: PacketShape,
        _ replace: Replacement
    ) -> [FieldCase] {
        let mayBeEmpty = shape.name == "PUBLISH" && shape.version == .v5
        return OddText.illFormed.map { replace($0.name, $0.field, .topicName(.illFormedUTF8), field.name, 0) }
            + OddText.withNull.map { replace($0.name, $0.field, .topicName(.nullCharacter), field.name, 0) }
            + ["+", "#", "a/+", "+/a", "a/#", "a+", "a#b", "longer than 8/+"].map {
                replace($0, Self.string($0), .topicName(.misplacedWildcard), field.name, 0)
            } + [
                replace("empty", wire("0000"), mayBeEmpty ? .missingTopic : .topicName(.empty), field.name, 0),
                replace("129 levels", Self.string(Self.slashes), .topicName(.tooDeep), field.name, 0),
            ]
    }

    private static func filters(
        _ field: PacketShape.Field,
        _ shape: PacketShape,
        _ replace: Replacement
    ) -> [FieldCase] {
        let shared: [(String, SharedSubscription.SyntaxError)] = [
            ("$share/", .emptyGroup), ("$share//", .emptyGroup), ("$share//a", .emptyGroup),
            ("$share/g", .missingFilter), ("$share/g/", .missingFilter), ("$share/+/a", .wildcardInGroup),
            ("$share/#", .wildcardInGroup),
        ]
        let isSubscribe = shape.name == "SUBSCRIBE"
        return OddText.illFormed.map { replace($0.name, $0.field, .topicFilter(.illFormedUTF8), field.name, 0) }
            + OddText.withNull.map { replace($0.name, $0.field, .topicFilter(.nullCharacter), field.name, 0) }
            + ["a#", "a/b#", "#/a", "a/#/b", "##", "#/", "a+", "+a", "a/+b/c", "++", "a+/b", "longer than 8+"].map {
                replace($0, Self.string($0), .topicFilter(.misplacedWildcard), field.name, 0)
            } + [
                replace("empty", wire("0000"), .topicFilter(.empty), field.name, 0),
                replace("129 levels", Self.string(Self.slashes), .topicFilter(.tooDeep), field.name, 0),
            ]
            + (isSubscribe ? shared : []).map {
                replace($0.0, Self.string($0.0), .sharedSubscription($0.1), field.name, 0)
            }
    }

    private static let slashes = String(repeating: "/", count: 128)
}
