package import NIOCore

/// A connection whose written bytes wait for the end of the present burst of events.
package protocol BurstFlushing: AnyObject {
    func flushBurst()
}

/// Collects the connections that were written to while one event was handled, so that each is flushed once: one system
/// call and one TLS record for all the acknowledgements of a commit, not one for each.
///
/// Also lends the buffers that those writes fill, so that an idle connection holds none. Bound to one event loop.
package final class WriteBurst {
    /// Most buffers kept for the next burst.
    private static let maxSpareBuffers = 64
    /// A buffer that grew past this is given back to the allocator instead.
    private static let maxSpareCapacity = 64 << 10

    /// Bytes of all connections of this loop since the start, without those of TLS and WebSocket.
    package internal(set) var bytesRead = 0
    package internal(set) var bytesWritten = 0
    private let loop: any EventLoop
    private var waiting: [any BurstFlushing] = []
    private var spare: [ByteBuffer] = []
    private var isScheduled = false

    package init(loop: any EventLoop) {
        self.loop = loop
    }

    /// The connection has bytes to flush; it comes once per burst.
    package func add(_ connection: any BurstFlushing) {
        self.waiting.append(connection)
        guard !self.isScheduled else { return }
        self.isScheduled = true
        self.loop.assumeIsolated().execute {
            self.isScheduled = false
            self.flush()
        }
    }

    /// An empty buffer to write into.
    package func takeBuffer() -> ByteBuffer {
        self.spare.popLast() ?? ByteBufferAllocator().buffer(capacity: 512)
    }

    /// Gives a buffer back after its bytes were written.
    package func giveBack(_ buffer: consuming ByteBuffer) {
        guard self.spare.count < Self.maxSpareBuffers, buffer.capacity <= Self.maxSpareCapacity else { return }
        buffer.clear()
        self.spare.append(buffer)
    }

    private func flush() {
        let now = self.waiting
        self.waiting.removeAll(keepingCapacity: now.count <= 1024)
        for connection in now { connection.flushBurst() }
    }
}
