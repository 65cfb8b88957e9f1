public import NIOCore

/// A topic filter: what a subscription or a policy line names (MQTT 5.0 §4.7.1). Compared as bytes.
public struct TopicFilter: Hashable, Sendable, CustomStringConvertible {
    /// The UTF-8 bytes. A slice of what was read: use ``compacted()`` before keeping it for long.
    public let buffer: ByteBuffer
    /// Whether the filter holds `+` or `#`.
    public let hasWildcards: Bool

    /// Takes the readable bytes of `buffer` as a topic filter.
    ///
    /// - Throws: ``TopicError`` if they are empty, too long or too deep, not well-formed UTF-8, hold U+0000, or a wildcard
    ///   stands where it may not (`[MQTT-4.7.1-1]`, `[MQTT-4.7.1-2]`).
    public init(validating buffer: ByteBuffer) throws(TopicError) {
        self.hasWildcards = try TopicSyntax.check(buffer, wildcards: .allowed)
        self.buffer = buffer
    }

    /// For filters of the configuration; the same checks as ``init(validating:)``.
    public init(_ text: String) throws(TopicError) {
        try self.init(validating: ByteBuffer(string: text))
    }

    /// The same filter in storage of its own.
    public func compacted() -> TopicFilter {
        TopicFilter(buffer: self.buffer.compacted(), hasWildcards: self.hasWildcards)
    }

    private init(buffer: ByteBuffer, hasWildcards: Bool) {
        self.buffer = buffer
        self.hasWildcards = hasWildcards
    }

    /// Whether a message on `topic` matches. Linear in the length of the two, no allocation, no recursion.
    public func matches(_ topic: TopicName) -> Bool {
        if !self.hasWildcards { return RawBytes.equal(self.buffer, topic.buffer) }
        return self.buffer.withUnsafeReadableBytes { filter in
            topic.buffer.withUnsafeReadableBytes { name in
                TopicSyntax.covers(filter, name, nameIsFilter: false)
            }
        }
    }

    /// Whether every topic that `other` can match is matched by this filter too: a subscription is allowed only if an
    /// allowed filter covers it as a whole.
    public func covers(_ other: TopicFilter) -> Bool {
        self.buffer.withUnsafeReadableBytes { filter in
            other.buffer.withUnsafeReadableBytes { name in
                TopicSyntax.covers(filter, name, nameIsFilter: true)
            }
        }
    }

    /// Whether some topic is matched by both filters.
    public func overlaps(_ other: TopicFilter) -> Bool {
        self.buffer.withUnsafeReadableBytes { first in
            other.buffer.withUnsafeReadableBytes { second in
                TopicSyntax.overlap(first, second)
            }
        }
    }

    /// For logs and people.
    public var description: String { String(buffer: self.buffer) }

    /// The same bytes.
    public static func == (left: TopicFilter, right: TopicFilter) -> Bool { RawBytes.equal(left.buffer, right.buffer) }

    /// Over the bytes.
    public func hash(into hasher: inout Hasher) {
        self.buffer.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
    }
}
