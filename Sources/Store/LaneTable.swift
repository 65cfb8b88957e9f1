import Devices
import GRDB

/// Table `uplink`: a row for each lane. The statements of the start, not of the message path.
enum LaneTable {
    /// More device lanes than this, and those that nothing is stored under are given up at the next start.
    static let maxIdleLanes = 16_384

    static func find(_ lane: StoredLane, _ db: Database) throws -> Int64? {
        try Int64.fetchOne(
            db,
            sql: "SELECT id FROM uplink WHERE name = ? AND lane = ? AND device = ?",
            arguments: [lane.uplink, Int64(lane.lane.rawValue), lane.device?.text ?? ""]
        )
    }

    /// Gives the lane the number after the highest, or else the lowest that is free; nil: there is none.
    static func add(_ lane: StoredLane, _ db: Database) throws -> Int64? {
        var number = try Int64.fetchOne(db, sql: "SELECT ifnull(max(id), 0) + 1 FROM uplink") ?? 1
        if !SpoolKey.uplinks.contains(number) {
            let gap = """
                SELECT min(id) + 1 FROM (SELECT 0 AS id UNION ALL SELECT id FROM uplink)
                WHERE id >= 0 AND id < \(SpoolKey.uplinks.upperBound) AND id + 1 NOT IN (SELECT id FROM uplink)
                """
            guard let free = try Int64.fetchOne(db, sql: gap) else { return nil }
            number = free
        }
        try self.insert(lane, number: number, db)
        return number
    }

    static func insert(_ lane: StoredLane, number: Int64, sparseThrough: Int64 = 0, _ db: Database) throws {
        try db.execute(
            sql: "INSERT INTO uplink (id, name, lane, device, sparse_through) VALUES (?, ?, ?, ?, ?)",
            arguments: [
                number, lane.uplink, Int64(lane.lane.rawValue), lane.device?.text ?? "", sparseThrough,
            ]
        )
    }

    /// Rows that no release up to this one can have written are left out.
    static func all(_ db: Database) throws -> [Int64: StoredLane] {
        var lanes: [Int64: StoredLane] = [:]
        let rows = try Row.fetchCursor(db, sql: "SELECT id, name, lane, device FROM uplink")
        while let row = try rows.next() {
            let device: String = row["device"]
            guard let lane = UInt8(exactly: row["lane"] as Int64).flatMap(SpoolLane.init(rawValue:)),
                device.isEmpty || (try? DeviceID(device)) != nil
            else { continue }
            lanes[row["id"]] = StoredLane(uplink: row["name"], lane: lane, device: try? DeviceID(device))
        }
        return lanes
    }

    /// Frees the numbers of devices' lanes that nothing is stored under, if there are very many: devices come and go.
    static func removeIdle(_ db: Database) throws {
        let count = try Int64.fetchOne(db, sql: "SELECT count(*) FROM uplink WHERE device <> ''") ?? 0
        guard count > self.maxIdleLanes else { return }
        try db.execute(
            sql: """
                DELETE FROM uplink WHERE device <> ''
                AND NOT EXISTS (SELECT 1 FROM spool WHERE key BETWEEN uplink.id << 48 AND (uplink.id + 1 << 48) - 1)
                AND id NOT IN (SELECT uplink FROM dead) AND id NOT IN (SELECT uplink FROM uplink_packet)
                """
        )
    }
}
