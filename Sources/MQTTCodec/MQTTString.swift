public import NIOCore

/// A UTF-8 Encoded String of a packet (MQTT 5.0 §1.5.4): client identifier, user name, reason string and the like.
///
/// Not a `String`: Swift compares strings by canonical equivalence, so that two client identifiers of different bytes could
/// be equal, and making one would copy and check again. The bytes are kept as they arrived (U+FEFF included
/// `[MQTT-1.5.4-3]`) and compared as bytes.
public struct MQTTString: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// Why some bytes are no string.
    public enum ValidationError: Error, Equatable, Sendable {
        /// Over 65,535 bytes.
        case tooLong
        /// `[MQTT-1.5.4-1]`
        case illFormedUTF8
        /// `[MQTT-1.5.4-2]`
        case nullCharacter
    }

    /// The UTF-8 bytes. A slice of what was read: use ``compacted()`` before keeping it for long.
    public let buffer: ByteBuffer

    /// No characters.
    public static let empty = MQTTString(unchecked: ByteBuffer())

    /// Takes the readable bytes of `buffer`.
    public init(validating buffer: ByteBuffer) throws(ValidationError) {
        guard buffer.readableBytes <= 0xFFFF else { throw .tooLong }
        switch buffer.withUnsafeReadableBytes({ UTF8Rules.problem(in: $0) }) {
        case .illFormed: throw .illFormedUTF8
        case .nullCharacter: throw .nullCharacter
        case nil: self.buffer = buffer
        }
    }

    /// For text of our own. Throws if it holds U+0000 or is longer than 65,535 bytes.
    public init(_ text: String) throws(ValidationError) {
        try self.init(validating: ByteBuffer(string: text))
    }

    /// For names that stand in the source.
    public init(stringLiteral text: String) {
        precondition(text.utf8.count <= 0xFFFF && !text.utf8.contains(0), "no MQTT string")
        self.init(unchecked: ByteBuffer(string: text))
    }

    private init(unchecked buffer: ByteBuffer) { self.buffer = buffer }

    /// Whether there are no characters.
    public var isEmpty: Bool { self.buffer.readableBytes == 0 }

    /// Length in bytes.
    public var utf8Count: Int { self.buffer.readableBytes }

    /// The same string in storage of its own, so that keeping it does not keep a whole read buffer.
    public func compacted() -> MQTTString { MQTTString(unchecked: self.buffer.compacted()) }

    /// For logs and people. Compare ``MQTTString`` values, not these.
    public var description: String { String(buffer: self.buffer) }

    /// The same bytes.
    public static func == (left: MQTTString, right: MQTTString) -> Bool { RawBytes.equal(left.buffer, right.buffer) }

    /// Over the bytes.
    public func hash(into hasher: inout Hasher) {
        self.buffer.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
    }
}
