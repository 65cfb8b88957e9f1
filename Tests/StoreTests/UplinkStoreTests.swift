import Devices
import GRDBSQLite
import MQTTCodec
import NIOCore
import TestSupport
import Testing

@testable import Store

@Suite("Uplinks in the store", .ownThread)
struct UplinkStoreTests {
    private let state = TemporaryState()

    // MARK: - Lanes

    @Test("gives every lane a number of its own, for ever the same")
    func lanes() async throws {
        let store = try self.state.open()
        let kitchen = try DeviceID("kitchen")
        let expected: [StoredLane] = [
            .init(uplink: "cloud"), .init(uplink: "cloud", lane: .high), .init(uplink: "cloud", lane: .low),
            .init(uplink: "cloud", device: kitchen), .init(uplink: "cloud", lane: .high, device: kitchen),
            .init(uplink: "backup"),
        ]
        var numbers: [Int64] = []
        for lane in expected {
            numbers.append(try store.uplinkID(named: lane.uplink, lane: lane.lane, device: lane.device))
        }
        #expect(numbers == Array(1...6))
        let loop = self.state.loop
        let again = try await withCheckedThrowingContinuation { continuation in
            store.uplinkID(of: expected[3], on: loop) { continuation.resume(with: $0) }
        }
        #expect(again == 4)
        #expect(try store.lanes() == Dictionary(uniqueKeysWithValues: zip(numbers, expected)))
        #expect(try store.uplinks()[5] == "cloud")
        let records = try (Int64(1)...6).map { try SpoolRecord.sample($0, uplink: $0) }
        let committed = try await self.state.commit(.inserting(records), to: store)
        #expect(committed.totals.map(\.uplink) == numbers && committed.totals.allSatisfy { $0.messages == 1 })
        store.close()
        let reopened = try self.state.open()
        defer { reopened.close() }
        #expect(reopened.spoolTotals.map(\.uplink) == numbers)
        #expect(try reopened.uplinkID(named: "cloud", lane: .high, device: kitchen) == 5)
        #expect(try await self.state.load(reopened, uplink: 3).records == [records[2]])
    }

    @Test("gives many lanes their numbers at once")
    func manyLanes() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let lanes = try (1...1000).map { StoredLane(uplink: "cloud", device: try DeviceID("d\($0)")) }
        let first = try store.uplinkIDs(of: Array(lanes[..<600]))
        #expect(Set(first.values) == Set(1...600))
        let loop = self.state.loop
        let all = try await withCheckedThrowingContinuation { continuation in
            store.uplinkIDs(of: lanes, on: loop) { continuation.resume(with: $0) }
        }
        #expect(all.count == 1000 && all.filter { first[$0.key] != nil } == first)
        #expect(try store.lanes().count == 1000)
        #expect(try store.uplinkIDs(of: []) == [:])
        try self.state.execute("DELETE FROM uplink")
        try self.state.execute(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 32766)
            INSERT INTO uplink SELECT i, 'x', 1, 'd' || i, 0 FROM n
            """
        )
        #expect(try store.uplinkIDs(of: Array(lanes[..<3])) == [lanes[0]: 32767])
    }

    @Test("tells of all lanes which identifiers of QoS 2 are in use")
    func states() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let (one, two) = (try store.uplinkID(named: "a"), try store.uplinkID(named: "b"))
        var batch = StoreBatch()
        batch.releases = [.set(uplink: one, packetID: 7, sequence: 1, lane: one)]
        batch.held = [.hold(uplink: one, packetID: 9), .hold(uplink: two, packetID: 3)]
        _ = try await self.state.commit(batch, to: store)
        let states = try store.uplinkStates()
        #expect(states.count == 2)
        #expect(states[one]?.releases == [7] && states[one]?.held == [9])
        #expect(states[two]?.releases == [] && states[two]?.held == [3])
    }

    @Test("uses the numbers up to 32,767, then those that are free, then says that there are none")
    func numbersRunOut() throws {
        let store = try self.state.open()
        defer { store.close() }
        #expect(try store.uplinkID(named: "a") == 1)
        try self.state.execute("INSERT INTO uplink VALUES (32767, 'z', 1, '', 0)")
        #expect(try store.uplinkID(named: "b") == 2)
        try self.state.execute(
            """
            WITH RECURSIVE n(i) AS (SELECT 4 UNION ALL SELECT i + 1 FROM n WHERE i < 32766)
            INSERT INTO uplink SELECT i, 'x', 1, 'd' || i, 0 FROM n
            """
        )
        #expect(try store.uplinkID(named: "c") == 3)
        let error = #expect(throws: StoreError.self) { try store.uplinkID(named: "d") }
        #expect(error?.kind == .tooManyLanes)
        #expect(error?.description.contains("32767") == true)
        #expect(try store.uplinkID(named: "b") == 2)
    }

    @Test("gives numbers of devices' lanes up if there are very many that hold nothing")
    func idleLanes() async throws {
        let store = try self.state.open()
        #expect(try store.uplinkID(named: "cloud") == 1)
        try self.state.execute(
            """
            WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 16386)
            INSERT INTO uplink SELECT i, 'cloud', 1, 'd' || i, 0 FROM n
            """
        )
        var batch = try StoreBatch.inserting([.sample(1, uplink: 100)])
        batch.held = [.hold(uplink: 200, packetID: 1)]
        batch.dead = [.sample(0, uplink: 300)]
        try await self.state.commit(batch, to: store)
        store.close()
        let again = try self.state.open()
        defer { again.close() }
        #expect(try Set(again.lanes().keys) == [1, 100, 200, 300])
    }

    // MARK: - Records

    @Test("gives properties, expiry and the mark of a missing clock back as they were stored")
    func columns() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let uplink = try store.uplinkID(named: "cloud")
        var properties = MQTTProperties()
        properties.userProperties = [UserProperty(name: "a", value: "b")]
        var record = try SpoolRecord.sample(1, uplink: uplink)
        record.properties = properties.serialized
        record.expiresAt = 1_763_000_000_123
        record.isClockless = true
        var plain = record
        (plain.sequence, plain.isClockless, plain.expiresAt) = (2, false, nil)
        let committed = try await self.state.commit(.inserting([record, plain]), to: store)
        #expect(committed.totals.map(\.bytes) == [2 * record.countedBytes])
        #expect(committed.totals.map(\.oldestStoredAt) == [plain.storedAt])
        #expect(record.countedBytes > record.topic.readableBytes + record.payload.readableBytes)
        #expect(try await self.state.load(store, uplink: uplink).records == [record, plain])
    }

    @Test("reads a lane from either end, in bounded pages")
    func cursors() async throws {
        let store = try self.state.open()
        defer { store.close() }
        try await self.state.commit(.inserting((1...100).map { try .sample($0) }), to: store)
        var seen: [Int64] = []
        var cursor = SpoolCursor.before(.max)
        while true {
            let page = try await self.state.load(store, uplink: 1, from: cursor, maxMessages: 7, maxBytes: 100)
            #expect(page.records.count <= 7 && page.records.map(\.countedBytes).reduce(0, +) <= 100)
            seen += page.records.map(\.sequence)
            if page.isLast { break }
            cursor = .before(try #require(page.records.last).sequence)
        }
        #expect(seen == (1...100).reversed())
        for cursor in [SpoolCursor.before(1), .before(.min), .after(.max), .after(100)] {
            #expect(try await self.state.load(store, uplink: 1, from: cursor) == SpoolPage(records: [], isLast: true))
        }
        #expect(try await self.state.load(store, uplink: 1, from: .before(3)).records.map(\.sequence) == [2, 1])
        #expect(try await self.state.load(store, uplink: 1, from: .after(-7)).records.count == 100)
    }

    @Test("passes over rows that this release can't have written, and deletes them")
    func badRows() async throws {
        let first = try self.state.open()
        #expect(try first.uplinkID(named: "cloud") == 1)
        try await self.state.commit(.inserting((1...12).map { try .sample($0) }), to: first)
        first.close()
        try self.state.execute(
            """
            UPDATE spool SET flags = 3 WHERE key & 255 = 2;
            UPDATE spool SET flags = 16 WHERE key & 255 = 3;
            UPDATE spool SET topic = x'' WHERE key & 255 = 4;
            UPDATE spool SET topic = 'a/#' WHERE key & 255 = 5;
            UPDATE spool SET topic = x'c0c0' WHERE key & 255 = 6;
            UPDATE spool SET properties = x'ff' WHERE key & 255 = 7;
            UPDATE spool SET expires_at = -1 WHERE key & 255 = 8;
            UPDATE spool SET device = 'no/device' WHERE key & 255 = 9;
            """
        )
        let store = try self.state.open()
        defer { store.close() }
        let records = try await self.state.load(store, uplink: 1, maxMessages: 9).records
        #expect(records.map(\.sequence) == [1, 7, 8, 9])
        #expect(records[1].properties.readableBytes == 0 && records[2].expiresAt == nil && records[3].device == nil)
        let rest = try await self.state.load(store, uplink: 1, from: .after(9))
        #expect(rest.records.map(\.sequence) == [10, 11, 12] && rest.isLast)
        #expect(try self.state.numbers("SELECT count(*) FROM spool") == [7])
    }

    @Test("gives a place to read on from when a full disk keeps bad rows from being deleted")
    func badRowsOnFullDisk() async throws {
        let first = try self.state.open()
        try await self.state.commit(.inserting((1...6).map { try .sample($0) }), to: first)
        first.close()
        try self.state.execute("UPDATE spool SET flags = 3 WHERE key & 255 BETWEEN 2 AND 5")
        var options = StoreOptions()
        options.fault = { if case .commit = $0 { SQLITE_FULL } else { SQLITE_OK } }
        let store = try self.state.open(options: options)
        defer { store.close() }
        let expected: [(SpoolCursor, records: [Int64], readThrough: Int64?, isLast: Bool)] = [
            (.after(1), [], 3, false), (.after(3), [], 5, false), (.after(5), [6], 6, true), (.after(6), [], nil, true),
            (.before(6), [], 4, false), (.before(4), [], 2, false), (.before(2), [1], 1, true),
        ]
        for (cursor, records, readThrough, isLast) in expected {
            let page = try await self.state.load(store, uplink: 1, from: cursor, maxMessages: 2)
            #expect(page.records.map(\.sequence) == records, "\(cursor)")
            #expect(page.readThrough == readThrough && page.isLast == isLast, "\(cursor)")
        }
        #expect(try self.state.numbers("SELECT count(*) FROM spool") == [6])
    }

    // MARK: - QoS 2

    @Test("remembers releases and held identifiers, and deletes the record with its release")
    func packets() async throws {
        let store = try self.state.open()
        let (cloud, high) = (try store.uplinkID(named: "cloud"), try store.uplinkID(named: "cloud", lane: .high))
        var batch = try StoreBatch.inserting((1...4).map { try .sample($0, uplink: $0 % 2 == 0 ? high : cloud) })
        batch.held = [
            .hold(uplink: cloud, packetID: 65_535), .hold(uplink: cloud, packetID: 7), .hold(uplink: high, packetID: 3),
        ]
        try await self.state.commit(batch, to: store)
        batch = StoreBatch()
        batch.releases = [
            .set(uplink: cloud, packetID: 0x8001, sequence: 1),
            .set(uplink: cloud, packetID: 0x8002, sequence: 2, lane: high),
            .set(uplink: cloud, packetID: 0x8002, sequence: 2, lane: high),
        ]
        batch.held = [.free(uplink: cloud, packetID: 7), .free(uplink: cloud, packetID: 8)]
        let committed = try await self.state.commit(batch, to: store)
        #expect(committed.totals.map(\.messages) == [1, 1])
        store.close()
        let again = try self.state.open()
        defer { again.close() }
        #expect(try again.uplinkState(uplink: cloud).releases == [0x8001, 0x8002])
        #expect(try again.uplinkState(uplink: cloud).held == [65_535])
        #expect(try again.uplinkState(uplink: high).held == [3])
        #expect(try await self.state.load(again, uplink: cloud).records.map(\.sequence) == [3])
        #expect(try await self.state.load(again, uplink: high).records.map(\.sequence) == [4])
        batch = StoreBatch()
        batch.releases = [.clear(uplink: cloud, packetID: 0x8001), .set(uplink: cloud, packetID: 0x8003, sequence: 3)]
        batch.releases.append(.clear(uplink: cloud, packetID: 0x8003))
        try await self.state.commit(batch, to: again)
        #expect(try again.uplinkState(uplink: cloud).releases == [0x8002])
    }

    @Test("does not forget the releases, frees and dead letters of a failed batch, but its holds")
    func owed() async throws {
        var options = StoreOptions()
        options.fault = { $0 == .commit(2) || $0 == .commit(3) ? SQLITE_IOERR : SQLITE_OK }
        let store = try self.state.open(options: options)
        defer { store.close() }
        var batch = try StoreBatch.inserting((1...5).map { try .sample($0) })
        batch.held = [.hold(uplink: 1, packetID: 9)]
        batch.releases = [.set(uplink: 1, packetID: 0x9000, sequence: 100)]
        try await self.state.commit(batch, to: store)
        batch = StoreBatch()
        batch.held = [.free(uplink: 1, packetID: 9), .hold(uplink: 1, packetID: 10)]
        batch.releases = [.set(uplink: 1, packetID: 0x8001, sequence: 1), .clear(uplink: 1, packetID: 0x9000)]
        batch.dead = [.sample(2), .sample(0)]
        for _ in 0..<2 {
            let result = await self.state.submit(batch, to: store)
            #expect(throws: StoreError.self) { try result.get() }
            batch = .acknowledging(3...3)
        }
        #expect(try await self.state.load(store, uplink: 1).records.count == 5)
        try await self.state.commit(.inserting([.sample(6)]), to: store)
        #expect(try await self.state.load(store, uplink: 1).records.map(\.sequence) == [4, 5, 6])
        let kept = try store.uplinkState(uplink: 1)
        #expect(kept.releases == [0x8001] && kept.held.isEmpty)
        #expect(try store.deadLetters(limit: 10).map(\.letter.record.sequence) == [2])
    }

    // MARK: - Time

    @Test("writes the time floor when it has moved by a minute, and gives it at the next start")
    func timeFloor() async throws {
        let store = try self.state.open()
        #expect(try store.timeFloor() == 0)
        var batch = try StoreBatch.inserting([.sample(1)])
        batch.timeFloor = 1_800_000_000_000
        try await self.state.commit(batch, to: store)
        #expect(try store.timeFloor() == 1_800_000_000_000)
        for (time, stored) in [(59_999, 0), (60_000, 60_000), (-1, 0)] as [(Int64, Int64)] {
            batch = .acknowledging(1...1)
            batch.timeFloor = 1_800_000_000_000 + time
            try await self.state.commit(batch, to: store)
            #expect(try store.timeFloor() == 1_800_000_000_000 + (stored == 0 && time < 0 ? time : stored))
        }
        store.close()
        let again = try self.state.open()
        defer { again.close() }
        #expect(try again.timeFloor() == 1_799_999_999_999)
        var only = StoreBatch()
        only.timeFloor = 5
        #expect(only.isEmpty)
        try self.state.execute("UPDATE meta SET value = -5 WHERE name = 'time_floor'")
        #expect(try again.timeFloor() == 0)
    }

    @Test("knows how much room the disk has")
    func freeSpace() throws {
        let store = try self.state.open()
        defer { store.close() }
        #expect(try #require(store.freeDiskBytes()) > 0)
    }
}
