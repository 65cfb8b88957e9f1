import DequeModule
import NIOCore
import Store

/// The head of one uplink's spool in memory: what is sent next, without reading it back from disk.
///
/// Everything in it is committed. When the link is down or slow the queue fills up to its bounds and the rest stays on
/// disk only; `wantsLoad` then says from where to read on. Bound to the gateway's loop.
struct SpoolQueue {
    /// Most records in memory that wait for the link.
    static let maxRecords = 4096
    /// Most bytes of them.
    static let maxBytes = 4 << 20

    private var ready: Deque<SpoolRecord> = []
    private var readyBytes = 0
    /// The highest sequence that was in memory at some time; everything above it up to `newest` is on disk only.
    private var newestLoaded: Int64
    private var newest: Int64
    private var isLoading = false
    /// `newest` when the read under way was asked for.
    private var newestAtLoad: Int64 = 0

    /// - Parameter stored: The highest sequence on disk when the gateway started; 0 for none. Nothing is in memory yet.
    init(stored: Int64) {
        self.newestLoaded = 0
        self.newest = stored
    }

    /// Nothing waits, neither in memory nor on disk.
    var isEmpty: Bool { self.ready.isEmpty && self.newestLoaded >= self.newest }

    /// A committed record, in the order of sequences.
    mutating func append(_ record: SpoolRecord) {
        let canHold = self.canHold
        self.newest = record.sequence
        if canHold { self.push(record) }
    }

    /// Whether one more record would stay in memory, behind nothing that is on disk only.
    var canHold: Bool { self.newestLoaded >= self.newest && !self.isLoading && self.hasRoom }

    /// A record of this sequence is on disk and on its way already: it is not to be sent from here.
    mutating func skip(_ sequence: Int64) {
        if self.newestLoaded >= self.newest, !self.isLoading { self.newestLoaded = sequence }
        self.newest = sequence
    }

    /// The records in memory from `sequence` on are not to be sent from here.
    mutating func removeLast(from sequence: Int64) {
        while let last = self.ready.last, last.sequence >= sequence {
            self.readyBytes -= self.ready.removeLast().countedBytes
        }
    }

    /// Whether a record is in memory.
    var hasFirst: Bool { !self.ready.isEmpty }

    /// The next record to send; ``removeFirst()`` when it is on its way.
    var first: SpoolRecord? { self.ready.first }

    mutating func removeFirst() {
        self.readyBytes -= self.ready.removeFirst().countedBytes
    }

    /// Sequence after which records must be read from disk, when the memory runs low and the disk has more. The caller
    /// reads and calls ``loaded(_:)``.
    mutating func wantsLoad() -> Int64? {
        guard !self.isLoading, self.newestLoaded < self.newest, self.ready.count < Self.maxRecords / 4,
            self.readyBytes < Self.maxBytes / 4
        else { return nil }
        self.isLoading = true
        self.newestAtLoad = self.newest
        return self.newestLoaded
    }

    /// What the store found after the sequence that ``wantsLoad()`` gave.
    ///
    /// - Parameters:
    ///   - isLast: Nothing was stored behind these when they were read. What was committed since has been
    ///     reported by ``append(_:)`` meanwhile, in that order, and is behind `newest`.
    ///   - readThrough: The last row that was read, if rows that can't be used may be behind the records.
    mutating func loaded(_ records: [SpoolRecord], isLast: Bool, readThrough: Int64? = nil) {
        self.isLoading = false
        for record in records { self.push(record) }
        if let readThrough { self.newestLoaded = max(self.newestLoaded, readThrough) }
        if records.isEmpty, isLast { self.newestLoaded = max(self.newestLoaded, self.newestAtLoad) }
    }

    /// The read failed; it is tried again at the next occasion.
    mutating func loadFailed() {
        self.isLoading = false
    }

    /// Records went by a limit and must not be sent any more.
    ///
    /// - Parameter sequence: The highest of them.
    mutating func dropped(_ extent: StoreBatch.Drop.Extent, through sequence: Int64) {
        guard case .oldest = extent else {
            self.ready.removeAll { extent.takes($0, through: sequence) }
            self.readyBytes = self.ready.reduce(0) { $0 + $1.countedBytes }
            return
        }
        while let first = self.ready.first, first.sequence <= sequence { self.removeFirst() }
        self.newestLoaded = max(self.newestLoaded, sequence)
    }

    private var hasRoom: Bool { self.ready.count < Self.maxRecords && self.readyBytes < Self.maxBytes }

    private mutating func push(_ record: SpoolRecord) {
        self.newestLoaded = record.sequence
        self.readyBytes += record.countedBytes
        self.ready.append(record)
    }
}
