import NIOCore
import Testing

@testable import Transport

@Suite struct ReadBufferAllocatorTests {
    /// One read of `bytes`, as a channel does it; returns the size of its buffer.
    private func read(_ bytes: Int, _ pool: inout NIOPooledRecvBufferAllocator) -> Int {
        let (buffer, count) = pool.buffer(allocator: ByteBufferAllocator()) { buffer in
            let count = min(bytes, buffer.writableBytes)
            buffer.writeRepeatingByte(1, count: count)
            return count
        }
        pool.record(actualReadBytes: count)
        return buffer.capacity
    }

    @Test("buffers grow with what is read, and the channel keeps small ones only")
    func sizes() {
        var pool = NIOPooledRecvBufferAllocator(
            capacity: 4,
            recvAllocator: ReadBufferAllocator(maximum: 16 << 10, kept: 4)
        )
        #expect((0..<4).map { _ in self.read(100_000, &pool) } == [64, 64, 64, 64])
        #expect((0..<5).map { _ in self.read(100_000, &pool) } == [2048, 4096, 8192, 16_384, 16_384])
        #expect(pool.count == 4)
        let sizes = (0..<20).map { _ in self.read(10, &pool) }
        #expect(sizes.last == 512 && pool.count == 4)
    }
}
