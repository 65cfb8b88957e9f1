import MQTTCodec
import NIOCore
import Store
import Testing

@testable import Gateway

@Suite("Spool queue")
struct SpoolQueueTests {
    private func record(_ sequence: Int64, bytes: Int = 1) -> SpoolRecord {
        SpoolRecord(
            sequence: sequence,
            uplink: 1,
            topic: ByteBuffer(string: "t"),
            payload: ByteBuffer(repeating: 0, count: bytes),
            qos: .atLeastOnce,
            retain: false,
            device: nil,
            storedAt: 0
        )
    }

    private func drain(_ queue: inout SpoolQueue) -> [Int64] {
        var found: [Int64] = []
        while let first = queue.first {
            found.append(first.sequence)
            queue.removeFirst()
        }
        return found
    }

    @Test("hands on what is committed, in order, without reading the disk")
    func inMemory() {
        var queue = SpoolQueue(stored: 0)
        #expect(queue.isEmpty)
        for sequence in 1...3 { queue.append(self.record(Int64(sequence))) }
        #expect(self.drain(&queue) == [1, 2, 3])
        #expect(queue.wantsLoad() == nil)
        #expect(queue.isEmpty)
    }

    @Test("reads on from the disk after a restart, and takes what is committed meanwhile in its turn")
    func afterRestart() {
        var queue = SpoolQueue(stored: 4)
        #expect(!queue.isEmpty)
        #expect(queue.wantsLoad() == 0)
        #expect(queue.wantsLoad() == nil)
        queue.append(self.record(5))
        queue.loaded([self.record(1), self.record(2), self.record(3)], isLast: false)
        #expect(self.drain(&queue) == [1, 2, 3])
        #expect(queue.wantsLoad() == 3)
        queue.append(self.record(6))
        queue.loaded([self.record(4), self.record(5)], isLast: true)
        #expect(queue.wantsLoad() == 5)
        queue.loaded([self.record(6)], isLast: true)
        queue.append(self.record(7))
        #expect(self.drain(&queue) == [4, 5, 6, 7])
        #expect(queue.isEmpty)
    }

    @Test("keeps within its bounds while nothing is taken, and misses nothing")
    func bounds() {
        var queue = SpoolQueue(stored: 0)
        let count = Int64(SpoolQueue.maxRecords + 500)
        for sequence in 1...count { queue.append(self.record(sequence)) }
        #expect(queue.wantsLoad() == nil)
        var seen = self.drain(&queue)
        #expect(seen.count == SpoolQueue.maxRecords)
        while let after = queue.wantsLoad() {
            let page = ((after + 1)...min(after + 200, count)).map { self.record($0) }
            queue.loaded(page, isLast: page.last?.sequence == count)
            seen += self.drain(&queue)
        }
        #expect(seen == Array(1...count))
        #expect(queue.isEmpty)
    }

    @Test("bounds bytes too")
    func byteBound() {
        var queue = SpoolQueue(stored: 0)
        for sequence in 1...10 { queue.append(self.record(Int64(sequence), bytes: SpoolQueue.maxBytes / 4)) }
        #expect(self.drain(&queue).count < 6)
        #expect(queue.wantsLoad() != nil)
    }

    @Test("tries a failed read again")
    func failedLoad() {
        var queue = SpoolQueue(stored: 1)
        #expect(queue.wantsLoad() == 0)
        queue.loadFailed()
        #expect(queue.wantsLoad() == 0)
    }

    @Test("sends nothing of what a limit dropped")
    func dropped() {
        var queue = SpoolQueue(stored: 0)
        for sequence in 1...5 { queue.append(self.record(Int64(sequence))) }
        queue.dropped(.oldest(count: 1), through: 3)
        #expect(self.drain(&queue) == [4, 5])
        var stored = SpoolQueue(stored: 9)
        stored.dropped(.oldest(count: 1), through: 9)
        #expect(stored.isEmpty)
    }

    @Test("reads on behind rows that can't be used, though they are still there")
    func badRows() {
        var queue = SpoolQueue(stored: 9)
        #expect(queue.wantsLoad() == 0)
        queue.loaded([], isLast: false, readThrough: 4)
        #expect(queue.wantsLoad() == 4)
        queue.loaded([self.record(5)], isLast: false, readThrough: 6)
        #expect(queue.wantsLoad() == 6)
        queue.loaded([], isLast: true, readThrough: 8)
        #expect(queue.wantsLoad() == nil)
        #expect(self.drain(&queue) == [5])
        #expect(queue.isEmpty)
    }

    @Test("is empty when the disk turns out to have nothing more")
    func nothingThere() {
        var queue = SpoolQueue(stored: 9)
        #expect(queue.wantsLoad() == 0)
        queue.loaded([], isLast: true)
        #expect(queue.isEmpty)
    }
}
