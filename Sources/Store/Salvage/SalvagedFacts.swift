import Devices
import GRDB
import GRDBSQLite
import NIOCore

/// What is not saved row by row: names of lanes, the counters of the database, and what they must be at least.
struct SalvagedFacts {
    private struct Lane {
        var name: String
        var lane: Int64
        var device: String
    }

    private var lanes: [Int64: Lane] = [:]
    private var numbers: [String: Int64] = [:]
    private var masterKeyCheck: [UInt8]?
    /// The highest sequence of each lane that has records.
    private var lastSequences: [Int64: Int64] = [:]
    private var highestNumber: Int64 = 0
    /// There are steps of the schema that this release does not know, and so there is content that it would lose.
    private(set) var isOfNewerRelease = false

    private static let migrations = Set(Schema.migrator.migrations)

    /// Names in table `meta` that are numbers.
    private static let counters: Set<String> = [
        "sequence_reserved", "device_generation", "time_floor", "dead_generation",
    ]

    /// A row that was saved.
    mutating func note(_ row: RawRow, of table: SalvagedTable) {
        guard table.kind == .table, let rowid = row.rowid else {
            if table.name == "queued messages" { self.highestNumber = max(self.highestNumber, row.integer(0)) }
            return
        }
        guard table.name == SalvagedTable.spool else {
            if SpoolKey.sequences.contains(rowid) { self.highestNumber = max(self.highestNumber, rowid) }
            return
        }
        let (uplink, sequence) = (rowid >> SpoolKey.sequenceBits, SpoolKey.sequence(of: rowid))
        self.lastSequences[uplink] = max(self.lastSequences[uplink] ?? 0, sequence)
        self.highestNumber = max(self.highestNumber, sequence)
    }

    /// A row of none of the tables: of `meta`, of `uplink`, or of its index, which tells the same once more.
    mutating func note(_ row: RawRow) {
        switch (row.rowid, row.values.count) {
        case (nil, 2):
            guard let name = row.text(0) else { return }
            if Self.counters.contains(name), case .integer(let value) = row.values[1] {
                guard 0..<SpoolKey.sequences.upperBound - SpoolWriter.reservation ~= value else { return }
                self.numbers[name] = max(self.numbers[name] ?? 0, value)
            } else if name == OSCORETable.unknownReserved {
                // Not taken over: rows may be lost, so there may be contexts that are not known although they were used.
            } else if name == "master_key_check", case .blob(let range) = row.values[1] {
                self.masterKeyCheck = Array(row.bytes[range])
            } else if case .integer(let id) = row.values[1], name.first?.isNumber != true {
                self.note(id, Lane(name: name, lane: 1, device: ""))
            }
        case (let id?, 2):
            // Row ids of `sqlite_sequence` come with a text in front.
            guard row.values[0] == .null, let name = row.text(1) else { return }
            self.note(id, Lane(name: name, lane: 1, device: ""))
        case (.some, 1):
            guard let step = row.text(0), step.first?.isNumber == true else { return }
            if !Self.migrations.contains(step) { self.isOfNewerRelease = true }
        case (let id?, 5):
            guard row.values[0] == .null, let name = row.text(1), let device = row.text(3) else { return }
            self.note(id, Lane(name: name, lane: row.integer(2), device: device))
        case (nil, 4):
            guard let name = row.text(0), let device = row.text(2), case .integer(let id) = row.values[3] else {
                return
            }
            self.note(id, Lane(name: name, lane: row.integer(1), device: device))
        default: break
        }
    }

    private mutating func note(_ id: Int64, _ lane: Lane) {
        guard SpoolKey.uplinks.contains(id), !lane.name.isEmpty,
            UInt8(exactly: lane.lane).flatMap(SpoolLane.init) != nil,
            lane.device.isEmpty || (try? DeviceID(lane.device)) != nil
        else { return }
        // Of a name without lane and device the other row knows more.
        if let known = self.lanes[id], known.lane != 1 || !known.device.isEmpty { return }
        self.lanes[id] = lane
    }

    /// Inside a transaction, the last thing in it.
    func write(on connection: OpaquePointer) throws(SQLiteFailure) {
        let uplink = try PreparedStatement(
            "INSERT OR IGNORE INTO uplink (id, name, lane, device, sparse_through) VALUES (?1, ?2, ?3, ?4, ?5)",
            on: connection
        )
        for (id, last) in self.lastSequences.merging(self.lanes.mapValues { _ in 0 }, uniquingKeysWith: { $0 + $1 })
            .sorted(by: { $0.key < $1.key })
        {
            // Records whose uplink's name is lost wait under a name that says so.
            let lane = self.lanes[id] ?? Lane(name: "recovered-\(id)", lane: 1, device: "")
            uplink.bind(id, at: 1)
            uplink.bind(copying: lane.name, at: 2)
            uplink.bind(lane.lane, at: 3)
            uplink.bind(copying: lane.device, at: 4)
            uplink.bind(last, at: 5)
            try uplink.run()
        }
        let meta = try PreparedStatement("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", on: connection)
        var numbers = self.numbers
        // The mark may be lost, or be of before the last time that it was raised.
        numbers["sequence_reserved"] = max(
            numbers["sequence_reserved"] ?? 0,
            min(self.highestNumber + SpoolWriter.reservation, SpoolKey.sequences.upperBound)
        )
        for (name, value) in numbers.sorted(by: { $0.key < $1.key }) {
            meta.bind(copying: name, at: 1)
            meta.bind(value, at: 2)
            try meta.run()
        }
        if let masterKeyCheck {
            meta.bind(copying: "master_key_check", at: 1)
            meta.bind(copying: ByteBuffer(bytes: masterKeyCheck), at: 2)
            try meta.run()
        }
    }
}
