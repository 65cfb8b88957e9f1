import Devices
import GRDBSQLite

/// What goes without having been delivered.
extension SpoolTable {
    /// What one drop has taken so far.
    private struct Tally {
        let uplink: Int64
        private(set) var records = 0
        private(set) var bytes = 0
        private var byDevice: [String: DroppedRecords] = [:]

        init(uplink: Int64) { self.uplink = uplink }

        mutating func add(sequence: Int64, bytes: Int, device: String) {
            self.records += 1
            self.bytes += bytes
            var entry =
                self.byDevice[device]
                ?? DroppedRecords(uplink: self.uplink, device: try? DeviceID(device), messages: 0, bytes: 0)
            entry.messages += 1
            entry.bytes += bytes
            entry.lastSequence = max(entry.lastSequence, sequence)
            self.byDevice[device] = entry
        }

        /// One element for each device, in the order of their names.
        var result: [DroppedRecords] { self.byDevice.sorted { $0.key < $1.key }.map(\.value) }
    }

    /// Neighbours that go with one statement.
    private struct Stretch {
        var keys: ClosedRange<Int64>
        var sum: Sum
    }

    /// Deletes and says what went, one element for each device.
    func drop(_ drop: StoreBatch.Drop) throws(SQLiteFailure) -> [DroppedRecords] {
        self.touch(uplink: drop.uplink)
        var tally = Tally(uplink: drop.uplink)
        let stretches =
            switch drop.extent {
            case .oldest(let count, let bytes): try self.oldest(count: count, bytes: bytes, &tally)
            case .storedBefore(let time): try self.stored(before: time, &tally)
            case .expired(let time): try self.expired(before: time, &tally)
            }
        for stretch in stretches { try self.remove(uplink: drop.uplink, keys: stretch.keys, stretch.sum) }
        return tally.result
    }

    private func oldest(count: Int, bytes: Int, _ tally: inout Tally) throws(SQLiteFailure) -> [Stretch] {
        let keys = SpoolKey.all(uplink: tally.uplink)
        self.frontStatement.bind(keys.lowerBound, at: 1)
        self.frontStatement.bind(keys.upperBound, at: 2)
        self.frontStatement.bind(-1, at: 3)
        defer { self.frontStatement.reset() }
        var last: Int64?
        while tally.records < count || tally.bytes < bytes, try self.frontStatement.step() {
            last = self.take(self.frontStatement, &tally)
        }
        guard let last else { return [] }
        return [Stretch(keys: keys.lowerBound...last, sum: (Int64(tally.records), Int64(tally.bytes)))]
    }

    private func stored(before time: Int64, _ tally: inout Tally) throws(SQLiteFailure) -> [Stretch] {
        // What is before has no known time.
        guard let start = try self.oldestSequence(uplink: tally.uplink) else { return [] }
        self.frontStatement.bind(SpoolKey.make(uplink: tally.uplink, sequence: start), at: 1)
        self.frontStatement.bind(SpoolKey.all(uplink: tally.uplink).upperBound, at: 2)
        self.frontStatement.bind(Int64(StoreBatch.Drop.maxRecords), at: 3)
        defer { self.frontStatement.reset() }
        var stretches: [Stretch] = []
        var isOpen = false
        while try self.frontStatement.step() {
            let flags = SpoolFlags(rawValue: self.frontStatement.integer(4))
            let knownTime = flags.knownTime(self.frontStatement.integer(1))
            guard knownTime < time else {
                guard knownTime == StoredTime.range.upperBound else { break }
                isOpen = false
                continue
            }
            let bytes = tally.bytes
            let key = self.take(self.frontStatement, &tally)
            if isOpen, let open = stretches.last {
                let sum = (open.sum.messages + 1, open.sum.bytes + Int64(tally.bytes - bytes))
                stretches[stretches.count - 1] = Stretch(keys: open.keys.lowerBound...key, sum: sum)
            } else {
                stretches.append(Stretch(keys: key...key, sum: (1, Int64(tally.bytes - bytes))))
                isOpen = true
            }
        }
        return stretches
    }

    private func expired(before time: Int64, _ tally: inout Tally) throws(SQLiteFailure) -> [Stretch] {
        let keys = SpoolKey.all(uplink: tally.uplink)
        self.expiredStatement.bind(keys.lowerBound, at: 1)
        self.expiredStatement.bind(keys.upperBound, at: 2)
        self.expiredStatement.bind(Int64(StoreBatch.Drop.maxRecords), at: 3)
        self.expiredStatement.bind(time, at: 4)
        defer { self.expiredStatement.reset() }
        var stretches: [Stretch] = []
        while try self.expiredStatement.step() {
            let bytes = tally.bytes
            let key = self.take(self.expiredStatement, &tally)
            stretches.append(Stretch(keys: key...key, sum: (1, Int64(tally.bytes - bytes))))
        }
        return stretches
    }

    /// Adds the current row; gives its key.
    private func take(_ row: borrowing PreparedStatement, _ tally: inout Tally) -> Int64 {
        let key = row.integer(0)
        tally.add(sequence: SpoolKey.sequence(of: key), bytes: Int(row.integer(2)), device: row.text(3) ?? "")
        return key
    }
}
