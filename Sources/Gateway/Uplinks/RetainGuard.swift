import NIOCore

/// Keeps an old value from becoming a topic's retained message at the outside broker when a newer one was sent before it, as
/// happens with `order = "newest-first"`.
struct RetainGuard {
    /// Topics that are remembered; past this, what waited is sent without RETAIN, which is never wrong.
    private static let limit = 65_536

    private var seen: Set<Int> = []

    /// Whether a message may be sent with RETAIN.
    ///
    /// - Parameter isBacklog: It waited, so that a newer one of its topic may have been sent.
    mutating func mayRetain(_ topic: ByteBuffer, isBacklog: Bool) -> Bool {
        // A hash that two topics share costs one of them the flag of an old value.
        var hasher = Hasher()
        topic.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
        let hash = hasher.finalize()
        if self.seen.count < Self.limit { return self.seen.insert(hash).inserted || !isBacklog }
        return !isBacklog
    }

    /// Whether nothing is remembered.
    var isEmpty: Bool { self.seen.isEmpty }

    /// Nothing waits any more: what comes to wait from here on is newer than all that was sent.
    mutating func reset() {
        self.seen.removeAll(keepingCapacity: true)
    }
}
