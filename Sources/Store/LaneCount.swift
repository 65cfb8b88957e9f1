/// What the store knows of one lane without reading it: kept in memory, and told by the first and the last row.
///
/// Every row carries how many messages and bytes its lane had ever stored before it. While records go in order, from the
/// front or from the newest end, the difference between the two ends is the size, and nothing else need be counted. A
/// record that goes from between others leaves a hole, which the difference counts; then the sizes of those that go are
/// added up until the holes are closed.
struct LaneCount {
    /// The oldest row.
    struct First {
        var sequence: Int64
        /// See ``SpoolRecord/knownTime``.
        var knownTime: Int64
        var messagesBefore: Int64
        var bytesBefore: Int64
    }

    /// Where the counters stand after the last record.
    struct Tail {
        var messages: Int64 = 0
        var bytes: Int64 = 0
        /// Of the last record; 0: there is none.
        var sequence: Int64 = 0
    }

    let uplink: Int64
    var tail = Tail()
    /// nil: there is no row, or it has to be looked for: see ``isFirstKnown``.
    var first: First?
    var isFirstKnown = true
    /// The first row whose time is known, or one before it.
    var oldest: (sequence: Int64, knownTime: Int64)?
    /// Whether ``oldest`` is that row, or none if there is none.
    var isOldestKnown = true
    private(set) var messages: Int64 = 0
    private(set) var bytes: Int64 = 0
    /// Holes that this run made.
    private(set) var hasHoles = false
    /// As it is on disk: other than 0 if the lane has to be counted at the next start; the counters of rows up to this
    /// sequence tell nothing.
    var sparseThrough: Int64 = 0
    /// Some of its records may be in table `expiry`.
    var mayExpire = false
    /// Noted for a rollback.
    var isNoted = false

    init(uplink: Int64) {
        self.uplink = uplink
    }

    /// Messages that the two ends count and that are not there.
    var holes: Int64 { self.span.messages - self.messages }

    /// What the two ends tell.
    private var span: (messages: Int64, bytes: Int64) {
        guard let first = self.first else { return (0, 0) }
        return (self.tail.messages - first.messagesBefore, self.tail.bytes - first.bytesBefore)
    }

    /// A record was appended.
    mutating func insert(_ record: SpoolRecord, bytes: Int64) {
        if self.isFirstKnown, self.first == nil {
            self.first = First(
                sequence: record.sequence,
                knownTime: record.knownTime,
                messagesBefore: self.tail.messages,
                bytesBefore: self.tail.bytes
            )
        }
        self.tail.messages += 1
        self.tail.bytes += bytes
        self.tail.sequence = max(self.tail.sequence, record.sequence)
        self.messages += 1
        self.bytes += bytes
        if self.isOldestKnown, self.oldest == nil, record.knownTime < StoredTime.range.upperBound {
            self.oldest = (record.sequence, record.knownTime)
        }
    }

    /// These go: if the oldest is among them, it has to be looked for.
    mutating func forget(oldestIn sequences: ClosedRange<Int64>) {
        guard let oldest = self.oldest, sequences.contains(oldest.sequence) else { return }
        self.isOldestKnown = false
    }

    /// Records went that were added up.
    mutating func remove(messages: Int64, bytes: Int64) {
        self.messages -= messages
        self.bytes -= bytes
        self.hasHoles = true
    }

    /// All records went.
    mutating func removeAll() {
        self.first = nil
        self.isFirstKnown = true
        self.oldest = nil
        self.isOldestKnown = true
        self.mayExpire = false
        self.messages = 0
        self.bytes = 0
        self.hasHoles = false
    }

    /// ``first`` is known again: what the ends tell is right, or the most that can be there.
    mutating func settle() {
        guard let first = self.first else { return self.removeAll() }
        guard first.sequence > self.sparseThrough else {
            self.hasHoles = true
            return
        }
        let span = self.span
        // With more than the ends tell, the difference is holes that a crash made us forget.
        guard !self.hasHoles || span.messages <= self.messages else { return }
        self.messages = span.messages
        self.bytes = span.bytes
        self.hasHoles = false
    }

    /// At the start: what was counted of a lane that has to be.
    mutating func count(messages: Int64, bytes: Int64) {
        self.messages = messages
        self.bytes = bytes
        self.hasHoles = true
        self.settle()
    }

    /// For the gateway.
    var totals: SpoolTotals {
        guard let first = self.first else { return SpoolTotals(uplink: self.uplink) }
        return SpoolTotals(
            uplink: self.uplink,
            messages: max(0, Int(self.messages)),
            bytes: max(0, Int(self.bytes)),
            oldestStoredAt: self.oldest?.knownTime,
            sequences: first.sequence...max(first.sequence, self.tail.sequence)
        )
    }
}
