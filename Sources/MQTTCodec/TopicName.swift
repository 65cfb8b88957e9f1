public import NIOCore

/// A topic name: the label of one message (MQTT 5.0 §4.7, MQTT 3.1.1 §4.7).
///
/// Held as the bytes that arrived and compared as bytes. Swift's `String ==` is canonical equivalence, under which two
/// topics that a broker must tell apart can be equal; no access decision may rest on that.
public struct TopicName: Hashable, Sendable, CustomStringConvertible {
    /// Most levels of a name or filter, a bound on the work that one topic can cause.
    public static let maxLevels = 128

    /// The empty name of a PUBLISH that names its topic by Topic Alias only (MQTT 5.0 §3.3.2.1).
    static let aliasOnly = TopicName(unchecked: ByteBuffer())

    /// The UTF-8 bytes. A slice of what was read: use ``compacted()`` before keeping it for long.
    public let buffer: ByteBuffer

    /// Takes the readable bytes of `buffer` as a topic name.
    ///
    /// - Throws: ``TopicError`` if they are empty, longer than 65,535 bytes, deeper than ``maxLevels``, not well-formed
    ///   UTF-8, or hold U+0000 or a wildcard character.
    public init(validating buffer: ByteBuffer) throws(TopicError) {
        try TopicSyntax.check(buffer, wildcards: .refused)
        self.buffer = buffer
    }

    /// For topics of our own; the same checks as ``init(validating:)``.
    public init(_ text: String) throws(TopicError) {
        try self.init(validating: ByteBuffer(string: text))
    }

    /// Whether the first character is `$`: such a topic is never matched by a wildcard at the first level
    /// `[MQTT-4.7.2-1]`.
    public var startsWithDollar: Bool {
        self.buffer.getInteger(at: self.buffer.readerIndex, as: UInt8.self) == UInt8(ascii: "$")
    }

    /// The same name in storage of its own, so that keeping it does not keep a whole read buffer.
    public func compacted() -> TopicName {
        TopicName(unchecked: self.buffer.compacted())
    }

    /// For bytes that are known to be a valid name, such as those of a filter's literal levels or of the store.
    package init(unchecked buffer: ByteBuffer) {
        self.buffer = buffer
    }

    /// For logs and people; ill-formed sequences can't occur.
    public var description: String { String(buffer: self.buffer) }

    /// The same bytes.
    public static func == (left: TopicName, right: TopicName) -> Bool { RawBytes.equal(left.buffer, right.buffer) }

    /// Over the bytes.
    public func hash(into hasher: inout Hasher) {
        self.buffer.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
    }
}
