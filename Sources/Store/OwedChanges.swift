/// What batches that failed had to take away from the spools. It is still true, and goes with the next commit: the outside
/// broker will not say it again.
struct OwedChanges {
    /// Acknowledged ranges kept for another try, and changes of each other kind; past this the oldest are forgotten, and
    /// those messages are sent again after a restart.
    static let maxChanges = 4_096
    /// Most bytes of dead letters that are kept.
    static let maxDeadBytes = 4 << 20

    private var acknowledged: [StoreBatch.Acknowledgement] = []
    /// Dead letters, releases and held identifiers.
    private(set) var changes = StoreBatch()

    /// Whether ``changes`` has any.
    var hasUplinkChanges: Bool {
        !self.changes.dead.isEmpty || !self.changes.releases.isEmpty || !self.changes.held.isEmpty
    }

    var isEmpty: Bool { self.acknowledged.isEmpty && !self.hasUplinkChanges }

    /// Whether some of it needs room on the disk.
    var takesSpace: Bool { !self.changes.dead.isEmpty || self.changes.releases.contains(where: \.isSet) }

    mutating func removeAll() {
        self.acknowledged.removeAll(keepingCapacity: true)
        if self.hasUplinkChanges { self.changes = StoreBatch() }
    }

    /// Keeps what is to be kept of a batch that failed.
    mutating func add(_ batch: StoreBatch) {
        self.acknowledged += batch.acknowledged
        if self.acknowledged.count > Self.maxChanges {
            self.acknowledged = Self.merged(self.acknowledged).suffix(Self.maxChanges)
        }
        self.changes.dead += batch.dead.filter { $0.record.sequence > 0 }
        for change in batch.releases { self.add(change) }
        self.changes.held += batch.held.filter { if case .free = $0 { true } else { false } }
        self.bound()
    }

    private mutating func add(_ change: ReleaseChange) {
        // Sets may have to wait longer than clears, and must not come after them.
        if case .clear(let uplink, let packetID) = change {
            self.changes.releases.removeAll { earlier in
                guard case .set(uplink, packetID, let sequence, let lane) = earlier else { return false }
                self.acknowledged.append(.init(uplink: lane ?? uplink, sequences: sequence...sequence))
                return true
            }
        }
        self.changes.releases.append(change)
    }

    private mutating func bound() {
        self.changes.releases.removeFirst(max(0, self.changes.releases.count - Self.maxChanges))
        self.changes.held.removeFirst(max(0, self.changes.held.count - Self.maxChanges))
        var bytes = 0
        let kept = self.changes.dead.reversed().prefix { letter in
            bytes += letter.record.countedBytes
            return bytes <= Self.maxDeadBytes
        }
        if kept.count < self.changes.dead.count { self.changes.dead = kept.reversed() }
        self.changes.dead.removeFirst(max(0, self.changes.dead.count - Self.maxChanges))
    }

    /// Takes out what needs room on the disk, to be added again.
    mutating func takeSpaceTakers() -> StoreBatch {
        var batch = StoreBatch()
        swap(&batch.dead, &self.changes.dead)
        batch.releases = self.changes.releases.filter(\.isSet)
        self.changes.releases.removeAll(where: \.isSet)
        return batch
    }

    /// What is owed and what the batches delete, neighbours joined: one statement for each stretch.
    func acknowledgements(with batches: some Collection<StoreBatch>) -> [StoreBatch.Acknowledgement] {
        var all = self.acknowledged
        if self.hasUplinkChanges { all += self.changes.deletedRecords }
        for batch in batches {
            all += batch.acknowledged
            if !batch.dead.isEmpty || !batch.releases.isEmpty { all += batch.deletedRecords }
        }
        return Self.merged(all)
    }

    private static func merged(_ all: [StoreBatch.Acknowledgement]) -> [StoreBatch.Acknowledgement] {
        guard all.count > 1 else { return all }
        let all = all.sorted { ($0.uplink, $0.sequences.lowerBound) < ($1.uplink, $1.sequences.lowerBound) }
        var merged = [all[0]]
        for next in all.dropFirst() {
            let last = merged[merged.count - 1]
            if next.uplink == last.uplink, next.sequences.lowerBound - 1 <= last.sequences.upperBound {
                let upperBound = max(last.sequences.upperBound, next.sequences.upperBound)
                merged[merged.count - 1].sequences = last.sequences.lowerBound...upperBound
            } else {
                merged.append(next)
            }
        }
        return merged
    }
}

extension StoreBatch {
    /// The spool records that its dead letters and releases are about.
    fileprivate var deletedRecords: [Acknowledgement] {
        var all: [Acknowledgement] = []
        for letter in self.dead where letter.record.sequence > 0 {
            let sequence = letter.record.sequence
            all.append(Acknowledgement(uplink: letter.record.uplink, sequences: sequence...sequence))
        }
        for case .set(let uplink, _, let sequence, let lane) in self.releases {
            all.append(Acknowledgement(uplink: lane ?? uplink, sequences: sequence...sequence))
        }
        return all
    }
}

extension ReleaseChange {
    fileprivate var isSet: Bool { if case .set = self { true } else { false } }
}
