import Store

/// The head of one lane's spool in memory, in the order that the uplink asks for. Bound to the gateway's loop.
struct LaneQueue {
    let order: SpoolOrder
    // Side by side and not in an enum, whose payloads would be copied at each change.
    private var oldestFirst: SpoolQueue
    private var newestFirst: NewestFirstQueue

    /// - Parameter stored: The sequences on disk when the gateway starts; nil for none.
    init(order: SpoolOrder, stored: ClosedRange<Int64>?) {
        self.order = order
        self.oldestFirst = SpoolQueue(stored: order == .oldestFirst ? stored?.upperBound ?? 0 : 0)
        self.newestFirst = NewestFirstQueue(stored: order == .newestFirst ? stored : nil)
    }

    /// Nothing waits, neither in memory nor on disk.
    var isEmpty: Bool { self.order == .oldestFirst ? self.oldestFirst.isEmpty : self.newestFirst.isEmpty }

    /// Whether one more record would stay in memory and go out before all that is on disk only.
    var canHold: Bool { self.order == .oldestFirst ? self.oldestFirst.canHold : self.newestFirst.canHold }

    /// Whether a record can be sent without reading the disk.
    var hasFirst: Bool { self.order == .oldestFirst ? self.oldestFirst.hasFirst : self.newestFirst.hasFirst }

    /// The next record to send; ``removeFirst()`` when it is on its way.
    var first: SpoolRecord? { self.order == .oldestFirst ? self.oldestFirst.first : self.newestFirst.first }

    /// Newer records may have been sent before the first one.
    var isFirstBacklog: Bool { self.order == .newestFirst && self.newestFirst.isFirstBacklog }

    mutating func removeFirst() {
        if self.order == .oldestFirst { self.oldestFirst.removeFirst() } else { self.newestFirst.removeFirst() }
    }

    /// A record of a sequence higher than all before: committed, or held in memory alone.
    mutating func append(_ record: SpoolRecord) {
        if self.order == .oldestFirst { self.oldestFirst.append(record) } else { self.newestFirst.append(record) }
    }

    /// A record of this sequence is on disk and on its way already.
    mutating func skip(_ sequence: Int64) {
        if self.order == .oldestFirst { self.oldestFirst.skip(sequence) }
    }

    /// The newest records in memory, down to `sequence`, are not to be sent from here.
    mutating func removeLast(from sequence: Int64) {
        if self.order == .oldestFirst {
            self.oldestFirst.removeLast(from: sequence)
        } else {
            self.newestFirst.removeLast(from: sequence)
        }
    }

    /// The link is up: what has waited till now may have to let newer records pass.
    mutating func linkCameUp() {
        if self.order == .newestFirst { self.newestFirst.linkCameUp() }
    }

    /// From where on records are wanted from the disk; nil while enough are in memory.
    mutating func wantsLoad() -> SpoolCursor? {
        if self.order == .oldestFirst { return self.oldestFirst.wantsLoad().map { .after($0) } }
        return self.newestFirst.wantsLoad().map { .before($0) }
    }

    /// What the store found; see ``SpoolQueue/loaded(_:isLast:readThrough:)``.
    mutating func loaded(_ page: SpoolPage) {
        if self.order == .oldestFirst {
            self.oldestFirst.loaded(page.records, isLast: page.isLast, readThrough: page.readThrough)
        } else {
            self.newestFirst.loaded(page.records, isLast: page.isLast, readThrough: page.readThrough)
        }
    }

    /// The read failed.
    mutating func loadFailed() {
        if self.order == .oldestFirst { self.oldestFirst.loadFailed() } else { self.newestFirst.loadFailed() }
    }

    /// Records went by a limit; see ``SpoolQueue/dropped(_:through:)``.
    mutating func dropped(_ extent: StoreBatch.Drop.Extent, through sequence: Int64) {
        if self.order == .oldestFirst {
            self.oldestFirst.dropped(extent, through: sequence)
        } else {
            self.newestFirst.dropped(extent, through: sequence)
        }
    }
}
