internal import NIOCore

/// Gives each read a buffer of its own, of the size that the last reads needed.
///
/// swift-nio keeps the first buffers of a channel for all its life, as many as it may read at once, and reuses them as long
/// as they do not grow. After a burst ten thousand idle connections would hold 64 KiB each. So the buffers that it keeps are
/// small ones, and those after them are never said to be large enough to be used again.
struct ReadBufferAllocator: RecvByteBufferAllocator {
    /// Of the buffers that the channel keeps, in bytes.
    static let keptBytes = 64

    private var sizes: AdaptiveRecvByteBufferAllocator
    private var kept: Int

    /// - Parameters:
    ///   - maximum: Largest buffer in bytes.
    ///   - kept: How many buffers the channel keeps: its `maxMessagesPerRead`.
    init(maximum: Int, kept: Int) {
        self.sizes = AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 2048, maximum: maximum)
        self.kept = kept
    }

    /// Largest buffer in bytes.
    var maximum: Int { self.sizes.maximum }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        self.kept > 0 ? allocator.buffer(capacity: Self.keptBytes) : self.sizes.buffer(allocator: allocator)
    }

    mutating func record(actualReadBytes: Int) -> Bool {
        if self.kept > 0 {
            self.kept -= 1
        } else {
            _ = self.sizes.record(actualReadBytes: actualReadBytes)
        }
        return true
    }
}
