package import Devices
import Foundation
import GRDB
package import NIOCore

/// What belongs to the uplinks beside their records.
extension Store {
    // MARK: - Lanes

    /// The small number under which the spool keeps the records of a lane: the same for the same lane as long as anything
    /// is stored under it. Any thread, synchronous: at start-up.
    ///
    /// - Throws: ``StoreError``, `.tooManyLanes` when all 32,767 numbers are in use.
    package func uplinkID(
        named name: String,
        lane: SpoolLane = .normal,
        device: DeviceID? = nil
    ) throws(StoreError) -> Int64 {
        let lane = StoredLane(uplink: name, lane: lane, device: device)
        return try self.access(operation: Self.naming) { db in try self.number(of: lane, db) }
    }

    /// ``uplinkID(named:lane:device:)`` on the store's thread, for a lane that is new while the gateway runs.
    package func uplinkID(
        of lane: StoredLane,
        on loop: any EventLoop,
        completion: @escaping @Sendable (Result<Int64, StoreError>) -> Void
    ) {
        self.enqueue(operation: Self.naming, on: loop, completion: completion) { [weak self] _ in
            Result { () throws(StoreError) in
                guard let self else {
                    throw StoreError(.closed, file: "", operation: Self.naming, detail: "the store is closed")
                }
                return try self.access(operation: Self.naming) { db in try self.number(of: lane, db) }
            }
        }
    }

    /// The numbers of many lanes, new ones given out in one transaction. Lanes for which there is no number left are not in
    /// the result. Any thread, synchronous: at start-up.
    package func uplinkIDs(of lanes: [StoredLane]) throws(StoreError) -> [StoredLane: Int64] {
        guard !lanes.isEmpty else { return [:] }
        return try self.access(operation: Self.naming) { db in
            var numbers: [StoredLane: Int64] = [:]
            try db.inTransaction(.immediate) {
                var isFull = false
                for lane in lanes {
                    var number = try LaneTable.find(lane, db)
                    if number == nil, !isFull { number = try LaneTable.add(lane, db) }
                    isFull = isFull || number == nil
                    numbers[lane] = number
                }
                return .commit
            }
            return numbers
        }
    }

    /// ``uplinkIDs(of:)`` on the store's thread, in the order of the calls, for devices that came while the gateway runs.
    package func uplinkIDs(
        of lanes: [StoredLane],
        on loop: any EventLoop,
        completion: @escaping @Sendable (Result<[StoredLane: Int64], StoreError>) -> Void
    ) {
        self.enqueue(operation: Self.naming, on: loop, completion: completion) { [weak self] _ in
            Result { () throws(StoreError) in try self?.uplinkIDs(of: lanes) ?? [:] }
        }
    }

    private static var naming: String { "naming an uplink" }

    private func number(of lane: StoredLane, _ db: Database) throws -> Int64 {
        var number: Int64?
        try db.inTransaction(.immediate) {
            number = try LaneTable.find(lane, db) ?? LaneTable.add(lane, db)
            return .commit
        }
        guard let number else {
            let detail = "all \(SpoolKey.uplinks.count) numbers for lanes of uplinks are in use"
            throw StoreError(.tooManyLanes, file: self.directory.database, operation: Self.naming, detail: detail)
        }
        return number
    }

    /// What is behind the numbers, also of uplinks that are no longer configured and may have records waiting.
    package func lanes() throws(StoreError) -> [Int64: StoredLane] {
        try self.read(operation: "reading the uplinks") { db in try LaneTable.all(db) }
    }

    /// The uplinks' names behind the numbers of all lanes.
    package func uplinks() throws(StoreError) -> [Int64: String] {
        try self.lanes().mapValues(\.uplink)
    }

    // MARK: - QoS 2

    /// Packet identifiers of QoS 2 that were in use on the connection of this number when the gateway ended: those whose
    /// PUBREL is to be sent again, and those that the outside broker has used. In ascending order.
    package func uplinkState(uplink: Int64) throws(StoreError) -> (releases: [UInt16], held: [UInt16]) {
        try self.read(operation: "reading the state of an uplink") { db in
            func identifiers(_ kind: PacketTable.Kind) throws -> [UInt16] {
                // What no release can have written is passed over.
                try UInt16.fetchAll(
                    db,
                    sql: """
                        SELECT packet_id FROM uplink_packet
                        WHERE uplink = ? AND kind = ? AND packet_id BETWEEN 1 AND 65535 ORDER BY packet_id
                        """,
                    arguments: [uplink, kind.rawValue]
                )
            }
            return (try identifiers(.release), try identifiers(.held))
        }
    }

    /// ``uplinkState(uplink:)`` of all lanes that have any.
    package func uplinkStates() throws(StoreError) -> [Int64: (releases: [UInt16], held: [UInt16])] {
        try self.read(operation: "reading the state of the uplinks") { db in
            var states: [Int64: (releases: [UInt16], held: [UInt16])] = [:]
            let rows = try Row.fetchCursor(
                db,
                sql: """
                    SELECT uplink, kind, packet_id FROM uplink_packet
                    WHERE packet_id BETWEEN 1 AND 65535 ORDER BY packet_id
                    """
            )
            while let row = try rows.next() {
                let packetID: UInt16 = row["packet_id"]
                switch PacketTable.Kind(rawValue: row["kind"]) {
                case .release: states[row["uplink"], default: ([], [])].releases.append(packetID)
                case .held: states[row["uplink"], default: ([], [])].held.append(packetID)
                case nil: continue
                }
            }
            return states
        }
    }

    // MARK: - Other work

    /// Does `work`, which reads files, on the store's thread, between two commits.
    ///
    /// - Parameter completion: Called on `loop`; with nil if the store is closed.
    package func run<Value: Sendable>(
        on loop: any EventLoop,
        _ work: @escaping @Sendable () -> Value,
        completion: @escaping @Sendable (Value?) -> Void
    ) {
        self.enqueue(
            operation: "reading files",
            on: loop,
            completion: { completion(try? $0.get()) },
            work: { _ in .success(work()) }
        )
    }

    // MARK: - Time and space

    /// The time of day, in milliseconds since 1970, that the gateway has written down as past; 0: none.
    package func timeFloor() throws(StoreError) -> Int64 {
        try self.read(operation: "reading the time") { db in
            let floor = try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE name = 'time_floor'") ?? 0
            return StoredTime.range.contains(floor) ? floor : 0
        }
    }

    /// Bytes that this process may still write to the disk of the state directory; nil: nobody knows. A system call, and
    /// no I/O.
    package func freeDiskBytes() -> Int? {
        var status = statvfs()
        guard statvfs(self.directory.path, &status) == 0 else { return nil }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return overflow ? .max : Int(clamping: bytes)
    }
}
