import DequeModule
import NIOCore
import Store

/// The head of one spool in memory for `order = "newest-first"`: what is taken now goes out at once, and what waited follows
/// behind it, the newest first.
///
/// What is taken while the link is up keeps its order. When the link comes up, everything that waited till then becomes
/// backlog, which is read from the disk backwards. Bound to the gateway's loop.
struct NewestFirstQueue {
    /// Taken since the link came up, oldest first.
    private var live: Deque<SpoolRecord> = []
    private var liveBytes = 0
    /// Read from the disk, newest first.
    private var page: Deque<SpoolRecord> = []
    private var pageBytes = 0
    /// Stretches of sequences that are on disk only, ascending.
    private var stretches: [ClosedRange<Int64>] = []
    /// Upper end of the stretch that is being read.
    private var loadingFrom: Int64?
    private var droppedThrough: Int64 = 0

    /// - Parameter stored: What is on disk when the gateway starts.
    init(stored: ClosedRange<Int64>?) {
        if let stored { self.stretches = [stored] }
    }

    /// Nothing waits, neither in memory nor on disk.
    var isEmpty: Bool { self.live.isEmpty && self.page.isEmpty && self.stretches.isEmpty }
    /// Whether what is to be sent next has waited while newer records were sent.
    var isFirstBacklog: Bool { self.live.isEmpty }

    /// Whether one more record would stay in memory.
    var canHold: Bool { self.live.count < SpoolQueue.maxRecords && self.liveBytes < SpoolQueue.maxBytes }

    /// A new record, of a sequence higher than all before.
    mutating func append(_ record: SpoolRecord) {
        if self.canHold {
            self.live.append(record)
            self.liveBytes += record.countedBytes
        } else if let last = self.stretches.last, last.upperBound > self.live.last?.sequence ?? 0,
            last.upperBound != self.loadingFrom
        {
            self.stretches[self.stretches.count - 1] = last.lowerBound...record.sequence
        } else {
            self.stretches.append(record.sequence...record.sequence)
        }
    }

    /// Whether a record is in memory.
    var hasFirst: Bool { !self.live.isEmpty || !self.page.isEmpty }

    /// The next record to send; ``removeFirst()`` when it is on its way.
    var first: SpoolRecord? { self.live.first ?? self.page.first }

    mutating func removeFirst() {
        if !self.live.isEmpty {
            self.liveBytes -= self.live.removeFirst().countedBytes
        } else {
            self.pageBytes -= self.page.removeFirst().countedBytes
        }
    }

    /// The newest records of the live ones, down to `sequence`, are not to be sent from here.
    mutating func removeLast(from sequence: Int64) {
        while let last = self.live.last, last.sequence >= sequence {
            self.liveBytes -= self.live.removeLast().countedBytes
        }
    }

    /// The link is up: what has waited is backlog from here on.
    mutating func linkCameUp() {
        guard let first = self.live.first, let last = self.live.last else { return }
        self.live.removeAll(keepingCapacity: true)
        self.liveBytes = 0
        // Newer ones than these that were read back meanwhile are in the stretch too.
        self.page.removeAll { $0.sequence >= first.sequence }
        self.pageBytes = self.page.reduce(0) { $0 + $1.countedBytes }
        // Those that came after the memory was full are in a stretch above, which becomes one with this.
        var upper = last.sequence
        while let top = self.stretches.last, top.upperBound > first.sequence {
            upper = max(upper, top.upperBound)
            self.stretches.removeLast()
        }
        self.stretches.append(first.sequence...upper)
    }

    /// Sequence before which records must be read from disk, when the memory runs low and the disk has more.
    mutating func wantsLoad() -> Int64? {
        guard self.loadingFrom == nil, let newest = self.stretches.last, self.page.count < SpoolQueue.maxRecords / 4,
            self.pageBytes < SpoolQueue.maxBytes / 4
        else { return nil }
        self.loadingFrom = newest.upperBound
        return newest.upperBound + 1
    }

    /// What the store found, newest first, before the sequence that ``wantsLoad()`` gave.
    ///
    /// - Parameters:
    ///   - isLast: There is nothing before these.
    ///   - readThrough: The last row that was read, if rows that can't be used may be behind the records.
    mutating func loaded(_ records: [SpoolRecord], isLast: Bool, readThrough: Int64? = nil) {
        guard let from = self.loadingFrom.take(),
            let place = self.stretches.lastIndex(where: { $0.upperBound == from })
        else { return }
        let stretch = self.stretches[place]
        var isDone = isLast
        var next = stretch.upperBound
        for record in records {
            guard record.sequence >= stretch.lowerBound else {
                isDone = true
                break
            }
            next = record.sequence - 1
            guard record.sequence > self.droppedThrough else { continue }
            self.page.append(record)
            self.pageBytes += record.countedBytes
        }
        if let readThrough { next = min(next, readThrough - 1) }
        if isDone || next < stretch.lowerBound {
            self.stretches.remove(at: place)
        } else {
            self.stretches[place] = stretch.lowerBound...next
        }
    }

    /// The read failed; it is tried again at the next occasion.
    mutating func loadFailed() {
        self.loadingFrom = nil
    }

    /// Records went by a limit and must not be sent any more.
    ///
    /// - Parameter sequence: The highest of them.
    mutating func dropped(_ extent: StoreBatch.Drop.Extent, through sequence: Int64) {
        self.page.removeAll { extent.takes($0, through: sequence) }
        self.live.removeAll { extent.takes($0, through: sequence) }
        self.pageBytes = self.page.reduce(0) { $0 + $1.countedBytes }
        self.liveBytes = self.live.reduce(0) { $0 + $1.countedBytes }
        guard case .oldest = extent else { return }
        self.droppedThrough = max(self.droppedThrough, sequence)
        self.stretches = self.stretches.compactMap { stretch in
            stretch.upperBound > sequence ? max(stretch.lowerBound, sequence + 1)...stretch.upperBound : nil
        }
    }
}
