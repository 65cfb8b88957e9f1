import Devices
import NIOCore
import TestSupport
import Testing

@testable import Store

@Suite("Drops", .ownThread)
struct SpoolDropTests {
    private let state = TemporaryState()

    @Test(
        "free so many records and so many bytes, oldest first",
        arguments: [
            (count: 0, bytes: 0, dropped: 0), (0, 1, 1), (2, 1, 2), (1, 1_500, 2), (0, 2_500, 3), (100, 0, 10),
            (0, .max, 10),
        ]
    )
    func oldest(count: Int, bytes: Int, dropped: Int) async throws {
        let store = try self.state.open()
        defer { store.close() }
        // About a kilobyte each.
        try await self.state.commit(.inserting((1...10).map { try .sample($0, bytes: 1_000) }), to: store)
        try await self.state.commit(.inserting([.sample(11, uplink: 2)]), to: store)
        let drop = StoreBatch.Drop.Extent.oldest(count: count, bytes: bytes)
        let committed = try await self.state.commit(.dropping(drop), to: store)
        #expect(committed.dropped.map(\.messages).reduce(0, +) == dropped)
        #expect(committed.totals.map(\.messages) == [10 - dropped])
        let left = try await self.state.load(store, uplink: 1).records
        #expect(left.map(\.sequence) == Array(Int64(1)...10).suffix(10 - dropped))
        if let last = committed.dropped.map(\.lastSequence).max() {
            #expect(left.allSatisfy { !drop.takes($0, through: last) })
        }
        #expect(try await self.state.load(store, uplink: 2).records.count == 1)
    }

    @Test("by age pass over what was taken without a clock, and end at the first that is younger")
    func age() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let unknown = StoredTime.range.upperBound
        let times: [Int64] = [1, 50, unknown, 60, 2, 3, 100, 70]
        var records = try times.enumerated().map { try SpoolRecord.sample(Int64($0 + 1), storedAt: $1) }
        for index in [0, 4, 5] { records[index].isClockless = true }
        try await self.state.commit(.inserting(records), to: store)
        let drop = StoreBatch.Drop.Extent.storedBefore(90)
        let committed = try await self.state.commit(.dropping(drop), to: store)
        #expect(committed.dropped.map(\.messages) == [2] && committed.dropped.map(\.lastSequence) == [4])
        let left = try await self.state.load(store, uplink: 1).records
        #expect(left.map(\.sequence) == [1, 3, 5, 6, 7, 8])
        #expect(records.filter { drop.takes($0, through: 4) }.map(\.sequence) == [2, 4])
        #expect(committed.totals.map(\.oldestStoredAt) == [100])
        #expect(committed.totals.map(\.messages) == [6])
    }

    @Test("by expiry take those whose time has come, of their lane, wherever they are; across a restart too")
    func expired() async throws {
        var store = try self.state.open()
        #expect(try store.uplinkID(named: "cloud") == 1)
        #expect(try store.uplinkID(named: "backup") == 2)
        var records = try (1...6).map { try SpoolRecord.sample($0, uplink: $0 == 5 ? 2 : 1) }
        for (index, expiry) in [(0, 30), (2, 10), (3, 20), (4, 10), (5, 5)] as [(Int, Int64)] {
            records[index].expiresAt = expiry
        }
        records[5].isClockless = true
        try await self.state.commit(.inserting(records), to: store)
        store.close()
        store = try self.state.open()
        defer { store.close() }
        let drop = StoreBatch.Drop.Extent.expired(before: 20)
        var committed = try await self.state.commit(.dropping(drop), to: store)
        #expect(committed.dropped.map(\.messages) == [1] && committed.dropped.map(\.lastSequence) == [3])
        #expect(try await self.state.load(store, uplink: 1).records.map(\.sequence) == [1, 2, 4, 6])
        #expect(records.filter { drop.takes($0, through: 6) }.map(\.sequence) == [3, 5])
        committed = try await self.state.commit(.dropping(drop, uplink: 2), to: store)
        #expect(committed.totals == [SpoolTotals(uplink: 2)])
        // What is acknowledged takes its entry along.
        try await self.state.commit(.acknowledging(4...4), to: store)
        #expect(try self.state.numbers("SELECT expires_at FROM expiry") == [30])
        try await self.state.commit(.acknowledging(1...6), to: store)
        #expect(try self.state.numbers("SELECT expires_at FROM expiry").isEmpty)
    }

    @Test("take a bounded number at once, and the rest with the next")
    func bound() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let limit = StoreBatch.Drop.maxRecords
        for extent in [StoreBatch.Drop.Extent.storedBefore(100), .expired(before: 100)] {
            var next = store.lastSequence
            let records = try (0...limit).map { _ in
                next += 1
                var record = try SpoolRecord.sample(next, storedAt: 1)
                record.expiresAt = 1
                return record
            }
            try await self.state.commit(.inserting(records), to: store)
            var committed = try await self.state.commit(.dropping(extent), to: store)
            #expect(committed.totals.map(\.messages) == [1])
            committed = try await self.state.commit(.dropping(extent), to: store)
            #expect(committed.totals.map(\.messages) == [0])
        }
    }
}
