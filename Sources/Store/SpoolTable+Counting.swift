import GRDBSQLite

/// The sizes of the lanes: see ``LaneCount``.
extension SpoolTable {
    /// At the start: the lanes that there are, and their sizes.
    func readLanes(on connection: OpaquePointer) throws(SQLiteFailure) {
        let expiries = try PreparedStatement("SELECT 1 FROM expiry LIMIT 1", on: connection)
        let hasExpiries = try expiries.step()
        let known = try PreparedStatement("SELECT id, sparse_through FROM uplink ORDER BY id", on: connection)
        while try known.step() {
            guard SpoolKey.uplinks.contains(known.integer(0)) else { continue }
            let index = self.index(of: known.integer(0))
            self.lanes[index].sparseThrough = known.integer(1)
            try self.readTail(index)
            guard self.lanes[index].tail.sequence > 0 else { continue }
            self.lanes[index].isFirstKnown = false
            self.lanes[index].isOldestKnown = false
            self.lanes[index].mayExpire = hasExpiries
            if self.lanes[index].sparseThrough != 0 {
                let sum = try self.sum(SpoolKey.all(uplink: known.integer(0)))
                try self.settle(index)
                self.lanes[index].count(messages: sum.messages, bytes: sum.bytes)
                self.countedLanes.append(known.integer(0))
            } else {
                try self.settle(index)
            }
            self.heldBytes += self.lanes[index].bytes
        }
        self.committed()
    }

    /// Finds the last row. Of a lane without any the counters go on where they are.
    func readTail(_ index: Int) throws(SQLiteFailure) {
        let keys = SpoolKey.all(uplink: self.lanes[index].uplink)
        self.lastStatement.bind(keys.lowerBound, at: 1)
        self.lastStatement.bind(keys.upperBound, at: 2)
        defer { self.lastStatement.reset() }
        guard try self.lastStatement.step() else {
            self.lanes[index].tail.sequence = 0
            return
        }
        self.lanes[index].tail = LaneCount.Tail(
            messages: self.lastStatement.integer(1) + 1,
            bytes: self.lastStatement.integer(2),
            sequence: SpoolKey.sequence(of: self.lastStatement.integer(0))
        )
    }

    /// Finds the first row, if it may be another, and takes its counters.
    func settle(_ index: Int) throws(SQLiteFailure) {
        let before = self.lanes[index].bytes
        if !self.lanes[index].isFirstKnown {
            let keys = SpoolKey.all(uplink: self.lanes[index].uplink)
            self.lanes[index].first = try self.firstRow(in: keys)
            self.lanes[index].isFirstKnown = true
        }
        self.lanes[index].settle()
        self.heldBytes += self.lanes[index].bytes - before
        try self.findOldest(index)
    }

    private func firstRow(in keys: ClosedRange<Int64>) throws(SQLiteFailure) -> LaneCount.First? {
        self.firstStatement.bind(keys.lowerBound, at: 1)
        self.firstStatement.bind(keys.upperBound, at: 2)
        defer { self.firstStatement.reset() }
        guard try self.firstStatement.step() else { return nil }
        return LaneCount.First(
            sequence: SpoolKey.sequence(of: self.firstStatement.integer(0)),
            knownTime: SpoolFlags(rawValue: self.firstStatement.integer(4)).knownTime(self.firstStatement.integer(1)),
            messagesBefore: self.firstStatement.integer(2),
            bytesBefore: self.firstStatement.integer(3)
        )
    }

    private func findOldest(_ index: Int) throws(SQLiteFailure) {
        let lane = self.lanes[index]
        guard let first = lane.first, !lane.isOldestKnown || first.knownTime < StoredTime.range.upperBound else {
            return
        }
        if first.knownTime < StoredTime.range.upperBound {
            self.lanes[index].oldest = (first.sequence, first.knownTime)
        } else {
            let from = max(first.sequence, lane.oldest?.sequence ?? 0)
            self.oldestStatement.bind(SpoolKey.make(uplink: lane.uplink, sequence: from), at: 1)
            self.oldestStatement.bind(SpoolKey.all(uplink: lane.uplink).upperBound, at: 2)
            self.oldestStatement.bind(StoredTime.range.upperBound - 1, at: 3)
            defer { self.oldestStatement.reset() }
            let isFound = try self.oldestStatement.step()
            self.lanes[index].oldest =
                isFound
                ? (SpoolKey.sequence(of: self.oldestStatement.integer(0)), self.oldestStatement.integer(1)) : nil
        }
        self.lanes[index].isOldestKnown = true
    }

    /// The first sequence of a lane whose time is known; nil: there is none.
    func oldestSequence(uplink: Int64) throws(SQLiteFailure) -> Int64? {
        let index = self.index(of: uplink)
        if !self.lanes[index].isFirstKnown || !self.lanes[index].isOldestKnown {
            self.note(index)
            try self.settle(index)
        }
        return self.lanes[index].oldest?.sequence
    }

    /// The sizes of the lanes that this transaction has changed, in the order of their numbers; the last thing in it.
    func changedTotals() throws(SQLiteFailure) -> [SpoolTotals] {
        var all: [SpoolTotals] = []
        for item in self.noted {
            try self.settle(item.index)
            try self.mark(item.index)
            all.append(self.lanes[item.index].totals)
        }
        if all.count > 1 { all.sort { $0.uplink < $1.uplink } }
        return all
    }

    /// Sees to it that a lane with more holes than may be forgotten is counted at the next start.
    private func mark(_ index: Int) throws(SQLiteFailure) {
        let lane = self.lanes[index]
        let sparseThrough: Int64
        if !lane.hasHoles {
            sparseThrough = 0
        } else if lane.sparseThrough == 0, lane.holes > self.uncountedHoles {
            sparseThrough = 1
        } else {
            return
        }
        guard sparseThrough != lane.sparseThrough else { return }
        self.markStatement.bind(lane.uplink, at: 1)
        self.markStatement.bind(sparseThrough, at: 2)
        try self.markStatement.run()
        self.lanes[index].sparseThrough = sparseThrough
    }

    /// The size of every lane that has held a record since it was opened or had one then.
    var totals: [SpoolTotals] {
        self.lanes.filter { $0.tail.sequence > 0 || $0.tail.messages > 0 }.map(\.totals).sorted {
            $0.uplink < $1.uplink
        }
    }
}
