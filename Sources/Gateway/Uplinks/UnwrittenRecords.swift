import DequeModule
import NIOCore
import Store

/// Records of an uplink with `acknowledge = "end-to-end"` that are on their way to the outside broker and not on disk.
///
/// Each waits for the broker's acknowledgement until its patience ends; then it is written down. Bound to the gateway's loop.
struct UnwrittenRecords {
    struct Entry {
        let record: SpoolRecord
        /// Who waits for it; nil for a message at QoS 0.
        let waiter: PendingAcknowledgement?
        let deadline: NIODeadline
        fileprivate var isDone = false

        init(record: SpoolRecord, waiter: PendingAcknowledgement?, deadline: NIODeadline) {
            self.record = record
            self.waiter = waiter
            self.deadline = deadline
        }
    }

    /// In the order of sequences.
    private var entries: Deque<Entry> = []
    /// Of topics and payloads.
    private(set) var bytes = 0
    private(set) var count = 0

    var isEmpty: Bool { self.count == 0 }
    /// When the first one's patience ends.
    var nextDeadline: NIODeadline? { self.entries.first?.deadline }

    /// Takes a record of a sequence higher than all before.
    mutating func append(_ entry: Entry) {
        self.entries.append(entry)
        self.bytes += entry.record.countedBytes
        self.count += 1
    }

    /// The record of this sequence is safe elsewhere; nil if it is not here.
    mutating func remove(_ sequence: Int64) -> Entry? {
        guard let place = self.place(of: sequence), !self.entries[place].isDone else { return nil }
        self.entries[place].isDone = true
        let entry = self.entries[place]
        self.bytes -= entry.record.countedBytes
        self.count -= 1
        while self.entries.first?.isDone == true { self.entries.removeFirst() }
        return entry
    }

    /// The record of this sequence, which stays.
    subscript(sequence: Int64) -> Entry? {
        self.place(of: sequence).map { self.entries[$0] }.flatMap { $0.isDone ? nil : $0 }
    }

    /// Takes everything out, if the first one's patience is over: those behind it must not be written before it, and it is cheaper
    /// to write them together.
    mutating func takeOverdue(now: NIODeadline) -> [Entry] {
        guard let deadline = self.nextDeadline, deadline <= now else { return [] }
        return self.takeAll()
    }

    /// Takes everything out, in order.
    mutating func takeAll() -> [Entry] {
        let all = Array(self.entries.lazy.filter { !$0.isDone })
        self.entries.removeAll(keepingCapacity: true)
        self.bytes = 0
        self.count = 0
        return all
    }

    private func place(of sequence: Int64) -> Int? {
        var low = 0
        var high = self.entries.count
        // Nearly always it is the first.
        if self.entries.first?.record.sequence == sequence { return 0 }
        while low < high {
            let middle = (low + high) / 2
            if self.entries[middle].record.sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low < self.entries.count && self.entries[low].record.sequence == sequence ? low : nil
    }
}
