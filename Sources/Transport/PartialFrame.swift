import NIOCore

/// The bytes of a frame that is not whole yet, between two reads.
///
/// Kept in storage of their own: the rest of a read buffer must not outlive its burst for a few bytes. What is in such
/// storage already stays there, so that a packet in many small pieces is not copied for each of them.
struct PartialFrame {
    private var kept: ByteBuffer?
    /// Where the bytes began when they were joined with a read; nil for a read without any before it.
    private var start: Int?

    /// Bytes kept.
    var count: Int { self.kept?.readableBytes ?? 0 }

    /// What was kept, and behind it what has just been read: to be cut into frames.
    mutating func join(_ read: ByteBuffer) -> ByteBuffer {
        guard var joined = self.kept.take() else {
            self.start = nil
            return read
        }
        joined.writeImmutableBuffer(read)
        self.start = joined.readerIndex
        return joined
    }

    /// Keeps what is left of the buffer that ``join(_:)`` gave.
    mutating func keep(_ rest: ByteBuffer) {
        guard rest.readableBytes > 0 else { return }
        self.kept = rest.readerIndex == self.start ? rest : ByteBuffer(bytes: rest.readableBytesView)
    }

    /// Forgets it: the connection is over.
    mutating func clear() {
        self.kept = nil
    }
}
