import NIOCore
import Store
import Testing

@testable import Gateway

@Suite("Unwritten records")
struct UnwrittenRecordsTests {
    private func filled(_ sequences: ClosedRange<Int64>) -> UnwrittenRecords {
        var records = UnwrittenRecords()
        for sequence in sequences {
            let deadline = NIODeadline.uptimeNanoseconds(UInt64(sequence))
            records.append(.init(record: SpoolRecords.make(sequence * 3), waiter: nil, deadline: deadline))
        }
        return records
    }

    @Test("gives up each once, in whatever order they are acknowledged")
    func anyOrder() {
        var records = self.filled(1...5)
        #expect(records.count == 5)
        #expect(records.remove(9)?.record.sequence == 9)
        #expect(records.remove(9) == nil)
        #expect(records[9] == nil)
        #expect(records[12]?.record.sequence == 12)
        #expect(records.remove(3)?.record.sequence == 3)
        #expect(records.remove(4) == nil)
        #expect(records.remove(100) == nil)
        #expect(records.takeAll().map(\.record.sequence) == [6, 12, 15])
        #expect(records.isEmpty)
        #expect(records.bytes == 0)
    }

    @Test("hands out all together when the patience of the first is over, and none before")
    func overdue() {
        var records = self.filled(5...7)
        #expect(records.takeOverdue(now: .uptimeNanoseconds(4)).count == 0)
        #expect(records.nextDeadline == .uptimeNanoseconds(5))
        #expect(records.takeOverdue(now: .uptimeNanoseconds(5)).count == 3)
        #expect(records.nextDeadline == nil)
    }
}
