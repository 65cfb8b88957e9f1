import Store
import Testing

@testable import Gateway

@Suite("Newest-first queue")
struct NewestFirstQueueTests {
    private func drain(_ queue: inout NewestFirstQueue) -> [Int64] {
        var found: [Int64] = []
        while let first = queue.first {
            found.append(first.sequence)
            queue.removeFirst()
        }
        return found
    }

    @Test("hands on what comes while the link is up, in its order")
    func live() {
        var queue = NewestFirstQueue(stored: nil)
        queue.linkCameUp()
        for record in SpoolRecords.make(1...3) { queue.append(record) }
        #expect(!queue.isFirstBacklog)
        #expect(self.drain(&queue) == [1, 2, 3])
        #expect(queue.isEmpty)
        #expect(queue.wantsLoad() == nil)
    }

    @Test("sends what waited behind what comes, from the newest to the oldest")
    func backlog() {
        var queue = NewestFirstQueue(stored: 1...4)
        queue.linkCameUp()
        #expect(queue.wantsLoad() == 5)
        #expect(queue.wantsLoad() == nil)
        queue.loaded(SpoolRecords.make([4, 3]), isLast: false)
        queue.append(SpoolRecords.make(5))
        #expect(queue.first?.sequence == 5)
        queue.removeFirst()
        #expect(queue.isFirstBacklog)
        #expect(queue.wantsLoad() == 3)
        queue.loaded(SpoolRecords.make([2, 1]), isLast: true)
        queue.append(SpoolRecords.make(6))
        #expect(self.drain(&queue) == [6, 4, 3, 2, 1])
        #expect(queue.isEmpty)
    }

    @Test("reads on before rows that can't be used, though they are still there")
    func badRows() {
        var queue = NewestFirstQueue(stored: 1...9)
        #expect(queue.wantsLoad() == 10)
        queue.loaded([], isLast: false, readThrough: 6)
        #expect(queue.wantsLoad() == 6)
        queue.loaded(SpoolRecords.make([5]), isLast: false, readThrough: 3)
        #expect(queue.wantsLoad() == 3)
        queue.loaded([], isLast: false, readThrough: 1)
        #expect(queue.wantsLoad() == nil)
        #expect(self.drain(&queue) == [5])
        #expect(queue.isEmpty)
    }

    @Test("makes backlog of what came while the link was down")
    func outage() {
        var queue = NewestFirstQueue(stored: nil)
        for record in SpoolRecords.make(1...3) { queue.append(record) }
        queue.linkCameUp()
        #expect(queue.first == nil)
        #expect(!queue.isEmpty)
        queue.append(SpoolRecords.make(4))
        #expect(queue.wantsLoad() == 4)
        queue.loaded(SpoolRecords.make([3, 2, 1]), isLast: true)
        #expect(self.drain(&queue) == [4, 3, 2, 1])
        #expect(queue.isEmpty)
    }

    @Test("keeps to its memory, and finds on disk what did not fit")
    func overflow() {
        var queue = NewestFirstQueue(stored: nil)
        let count = Int64(SpoolQueue.maxRecords + 10)
        for record in SpoolRecords.make(1...count) { queue.append(record) }
        #expect(!queue.canHold)
        #expect(self.drain(&queue).count == SpoolQueue.maxRecords)
        #expect(!queue.isEmpty)
        #expect(queue.wantsLoad() == count + 1)
        queue.append(SpoolRecords.make(count + 1))
        queue.loaded(SpoolRecords.make((count - 9...count).reversed()), isLast: false)
        queue.append(SpoolRecords.make(count + 2))
        #expect(self.drain(&queue) == [count + 1, count + 2] + (count - 9...count).reversed())
        #expect(queue.isEmpty)
    }

    @Test("an outage that overflowed is one stretch of backlog with what was in memory")
    func overflowInOutage() {
        var queue = NewestFirstQueue(stored: 1...5)
        let last = Int64(SpoolQueue.maxRecords + 20)
        for record in SpoolRecords.make(6...last) { queue.append(record) }
        queue.linkCameUp()
        #expect(queue.first == nil)
        #expect(queue.wantsLoad() == last + 1)
        queue.loaded(SpoolRecords.make([last, last - 1]), isLast: false)
        #expect(queue.wantsLoad() == last - 1)
        queue.loaded(SpoolRecords.make([last - 2, 6, 5]), isLast: false)
        #expect(self.drain(&queue) == [last, last - 1, last - 2, 6])
        #expect(queue.wantsLoad() == 6)
        queue.loaded(SpoolRecords.make([5, 4, 3, 2, 1]), isLast: true)
        #expect(self.drain(&queue) == [5, 4, 3, 2, 1])
        #expect(queue.isEmpty)
    }

    @Test("what was read back while the link was down is not sent twice")
    func readInOutage() {
        var queue = NewestFirstQueue(stored: nil)
        let full = Int64(SpoolQueue.maxRecords)
        for record in SpoolRecords.make(1...full + 3) { queue.append(record) }
        #expect(queue.wantsLoad() == full + 4)
        queue.loaded(SpoolRecords.make([full + 3, full + 2, full + 1]), isLast: false)
        queue.append(SpoolRecords.make(full + 4))
        queue.linkCameUp()
        #expect(queue.first == nil)
        #expect(queue.wantsLoad() == full + 5)
        queue.loaded(SpoolRecords.make((1...full + 4).reversed()), isLast: true)
        #expect(self.drain(&queue) == (1...full + 4).reversed())
        #expect(queue.isEmpty)
    }

    @Test("sends nothing that a limit dropped, whatever is being read")
    func dropped() {
        var queue = NewestFirstQueue(stored: 1...10)
        queue.linkCameUp()
        #expect(queue.wantsLoad() == 11)
        queue.dropped(.oldest(count: 1), through: 7)
        queue.loaded(SpoolRecords.make([10, 9, 8, 7, 6]), isLast: false)
        #expect(self.drain(&queue) == [10, 9, 8])
        #expect(queue.isEmpty)
        queue.append(SpoolRecords.make(11))
        queue.append(SpoolRecords.make(12))
        queue.dropped(.oldest(count: 1), through: 11)
        #expect(self.drain(&queue) == [12])
    }

    @Test("a read of a stretch that is dropped whole changes nothing else")
    func droppedWhileReading() {
        var queue = NewestFirstQueue(stored: 1...3)
        #expect(queue.wantsLoad() == 4)
        queue.dropped(.oldest(count: 1), through: 3)
        for record in SpoolRecords.make(4...5) { queue.append(record) }
        queue.linkCameUp()
        queue.loaded(SpoolRecords.make([3, 2, 1]), isLast: true)
        #expect(queue.first == nil)
        #expect(queue.wantsLoad() == 6)
        queue.loaded(SpoolRecords.make([5, 4]), isLast: true)
        #expect(self.drain(&queue) == [5, 4])
        #expect(queue.isEmpty)
    }

    @Test("reads again after a read that failed")
    func failedRead() {
        var queue = NewestFirstQueue(stored: 1...1)
        #expect(queue.wantsLoad() == 2)
        queue.loadFailed()
        #expect(queue.wantsLoad() == 2)
    }

    @Test("gives the newest back to whoever writes them down")
    func removeLast() {
        var queue = NewestFirstQueue(stored: nil)
        for record in SpoolRecords.make(1...4) { queue.append(record) }
        queue.removeLast(from: 3)
        #expect(self.drain(&queue) == [1, 2])
    }
}
