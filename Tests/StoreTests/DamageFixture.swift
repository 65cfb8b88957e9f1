import Broker
import Devices
import Foundation
import GRDB
import GRDBSQLite
import MQTTCodec
import NIOCore
import Sealing
import Testing

@testable import Store

/// A database with something of everything, closed, and what is in which page of it.
struct DamageFixture: Sendable {
    /// A page of the sound database.
    struct Page: Sendable {
        var number: Int
        var table: String
        /// Most rows that are lost with it.
        var rows: Int
    }

    let state: TemporaryState
    /// Each table's rows, as text.
    let rows: [String: Set<String>]
    let pages: [Page]
    /// Pages of the file that hold nothing are not among ``pages``.
    let pageCount: Int

    /// Tables whose rows are compared, with their columns in the order of the comparison.
    private static let tables: [String: String] = [
        "device": "id, profile, seal, epoch, revoked, node_id, v1_keys, psk, created",
        "spool": "key, flags, stored_at, topic, device, payload, properties, expires_at",
        "expiry": "expires_at, key",
        "dead":
            "id, uplink, sequence, flags, died_at, reason, code, resend, detail, device, topic, properties, payload",
        "command_session": "device, ids, used",
        "oscore": "context, next, seen",
        "retained": "topic, payload, qos, device, stored_at, properties, expires_at",
        "session": "number, client_id, owner, expiry_interval, left_at",
        "subscription": "session, filter, options, identifier",
        "message": "number, topic, payload, qos, properties, expires_at, publisher",
        "queue": "position, session, message, flags, packet_id, subscription_ids",
        "held": "session, packet_id",
        "will": "session, topic, payload, flags, properties, delay",
        "uplink_packet": "uplink, kind, packet_id",
    ]

    static func dump(_ path: String) throws -> [String: Set<String>] {
        let database = try DatabaseQueue(path: path)
        defer { try? database.close() }
        return try database.read { db in
            try Self.tables.mapValues { columns in columns.split(separator: ",").map { "quote(\($0))" } }
                .reduce(into: [:]) { all, table in
                    let columns = table.value.joined(separator: " || ' ' || ")
                    all[table.key] = Set(try String.fetchAll(db, sql: "SELECT \(columns) FROM \(table.key)"))
                }
        }
    }

    init() async throws {
        let state = TemporaryState()
        self.state = state
        let store = try state.open()
        let keys = try V1Keys(
            staticIV: Array("static iv 16 byt".utf8),
            ivKey: Array("iv key of 24 bytes......".utf8),
            dataKey: Array("data key of 32 bytes............".utf8),
            passphrase: Array("passphrase".utf8)
        )
        try store.insert(
            (1...40).map {
                let id = try DeviceID("device-\($0)")
                return Device(id: id, profile: "sensor", seal: .v1, nodeID: "\($0)", v1Keys: keys, created: 7)
            }
        )
        try store.setRevoked(true, of: DeviceID("device-7"))
        let lanes = [
            try store.uplinkID(named: "cloud"), try store.uplinkID(named: "cloud", lane: .high),
            try store.uplinkID(named: "cloud", device: DeviceID("device-3")), try store.uplinkID(named: "backup"),
        ]
        try await Self.fill(store, state, lanes, from: store.lastSequence)
        store.close()
        self.rows = try Self.dump(state.database)
        (self.pages, self.pageCount) = try Self.map(state.database)
    }

    private static func fill(_ store: Store, _ state: TemporaryState, _ lanes: [Int64], from start: Int64) async throws
    {
        var properties = MQTTProperties()
        properties.contentType = MQTTString("text/plain")
        try await state.commit(.inserting((1...200).map { try .sample(start + $0, bytes: 100) }), to: store)
        var batch = StoreBatch()
        for number in start + 201...start + 400 {
            var record = try SpoolRecord.sample(number, uplink: lanes[Int(number % 4)], bytes: Int(number % 50))
            if number % 3 == 0 { record.properties = properties.serialized }
            if number % 5 == 0 { record.expiresAt = 1_900_000_000_000 + number }
            if number % 7 == 0 { record.isClockless = true }
            if number % 40 == 0 { record.payload = ByteBuffer(repeating: UInt8(number & 0x7F) + 1, count: 9_000) }
            batch.inserts.append(record)
        }
        for number in start + 401...start + 430 {
            batch.dead.append(.sample(number, uplink: lanes[0], bytes: Int(number % 9) * 20))
            batch.retained.append(
                .set(
                    RetainedRecord(
                        topic: ByteBuffer(string: "retained/\(number)"),
                        payload: ByteBuffer(repeating: 65, count: 60),
                        qos: .atLeastOnce,
                        publisher: "device-1",
                        storedAt: number,
                        properties: properties.serialized
                    )
                )
            )
        }
        for number in start + 501...start + 540 {
            batch.sessions += [
                .open(.sample(number)), .subscribe(session: number, .sample("a/\(number)")),
                .hold(session: number, packetID: UInt16(number & 0xFF) + 1),
                .will(session: number, .sample("wills/\(number)")),
                .enqueue(number, number + 100, number + 200),
            ]
            batch.messages.append(.sample(number + 200, bytes: 30))
        }
        for number in 1...40 {
            let ids = ByteBuffer(repeating: UInt8(number), count: 32)
            batch.commandSessions.append(CommandSessionRecord(device: "device-\(number)", ids: ids, used: ids))
        }
        for number in UInt8(1)...120 {
            let fingerprint = OSCOREFingerprint([UInt8](repeating: number, count: OSCOREFingerprint.count))
            let window = OSCOREReplayWindow(next: UInt64(number), seen: 5)
            batch.oscore += fingerprint.map { [OSCORERecord(fingerprint: $0, window: window, reserved: 256)] } ?? []
        }
        for packetID in UInt16(1)...40 {
            batch.releases.append(.set(uplink: lanes[0], packetID: 0x8000 + packetID, sequence: 1))
            batch.held.append(.hold(uplink: lanes[3], packetID: packetID))
        }
        batch.timeFloor = 1_800_000_000_000
        try await state.commit(batch, to: store)
        // Leaves pages behind that hold old rows.
        try await state.commit(.acknowledging(start + 1...start + 200), to: store)
    }

    /// Which page belongs to what, by SQLite's own table of pages.
    private static func map(_ path: String) throws -> (pages: [Page], count: Int) {
        let database = try DatabaseQueue(path: path)
        defer { try? database.close() }
        return try database.read { db in
            let pages = try Row.fetchAll(db, sql: "SELECT name, pageno, pagetype, ncell FROM dbstat").map { row in
                // A page that leads to others has rows only in trees without row ids; a long row may be in two of its pages.
                let hasRowids = ["spool", "dead", "session", "message", "will", "uplink"].contains(
                    row["name"] as String
                )
                let rows =
                    switch row["pagetype"] as String {
                    case "overflow": 1
                    case "internal": hasRowids ? 0 : row["ncell"] as Int
                    default: row["ncell"] as Int
                    }
                return Page(number: row["pageno"], table: row["name"], rows: rows)
            }
            return (pages, try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0)
        }
    }

    /// Compares what a store has with what was there, but for the rows of damaged pages.
    ///
    /// - Parameters:
    ///   - mayHaveMore: Rows that had been deleted may be there again.
    ///   - isUnnoticed: SQLite sees no damage: zeros in the rest of a long row look like any other bytes.
    func check(
        _ path: String,
        damaged: some Collection<Int>,
        mayHaveMore: Bool,
        isUnnoticed: Bool,
        _ comment: Comment
    ) throws {
        let left = try Self.dump(path)
        let gone = Set(damaged)
        for (table, all) in self.rows {
            // A message that nobody waits for goes too.
            let pages = self.pages.filter { $0.table == table || table == "message" && $0.table == "queue" }
            let bound = pages.filter { gone.contains($0.number) }.map(\.rows).reduce(0, +)
            let rows = left[table] ?? []
            // Expiries are made from what is left of the spool.
            if table == "expiry" { continue }
            #expect(all.subtracting(rows).count <= bound, "\(comment): \(table)")
            if !mayHaveMore, !isUnnoticed {
                #expect(rows.isSubset(of: all), "\(comment): \(table) has what was not there")
            }
        }
    }
}

extension TemporaryState {
    /// Overwrites a part of a file.
    func overwrite(_ file: String, at offset: Int, with bytes: [UInt8]) throws {
        let handle = try #require(FileHandle(forUpdatingAtPath: file))
        try handle.seek(toOffset: UInt64(offset))
        try handle.write(contentsOf: bytes)
        try handle.close()
    }

    /// Cuts a file.
    func cut(_ file: String, to bytes: Int) throws {
        let handle = try #require(FileHandle(forUpdatingAtPath: file))
        try handle.truncate(atOffset: UInt64(bytes))
        try handle.close()
    }

    /// The whole spool of a lane.
    func sequences(_ store: Store, uplink: Int64) async throws -> [Int64] {
        try await self.load(store, uplink: uplink).records.map(\.sequence)
    }
}
