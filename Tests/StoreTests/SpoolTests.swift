import Devices
import MQTTCodec
import NIOCore
import TestSupport
import Testing

@testable import Store

@Suite("Spool", .ownThread)
struct SpoolTests {
    private let state = TemporaryState()

    @Test(
        "gives a record back as it was stored",
        arguments: [
            (QoS.atMostOnce, false, nil as String?, 0),
            (.atLeastOnce, true, "kitchen", 5),
            (.exactlyOnce, true, "a-device-with-a-name-of-more-than-fifteen-bytes", 100_000),
            (.atLeastOnce, false, "attic", 0),
        ]
    )
    func roundTrip(qos: QoS, retain: Bool, device: String?, payloadBytes: Int) async throws {
        let store = try self.state.open()
        defer { store.close() }
        let uplink = try store.uplinkID(named: "cloud")
        let record = SpoolRecord(
            sequence: store.lastSequence + 1,
            uplink: uplink,
            topic: ByteBuffer(bytes: Array("sites/\u{e9}/e\u{301}".utf8)),
            payload: ByteBuffer(repeating: 0, count: payloadBytes),
            qos: qos,
            retain: retain,
            device: try device.map { try DeviceID($0) },
            storedAt: 1_763_000_000_123
        )
        try await self.state.commit(.inserting([record]), to: store)
        let page = try await self.state.load(store, uplink: uplink)
        #expect(page == SpoolPage(records: [record], isLast: true, readThrough: record.sequence))
    }

    @Test("gives 10,000 records back in order, in pages bounded by messages and bytes, across a restart")
    func paging() async throws {
        let first = try self.state.open()
        let uplink = try first.uplinkID(named: "cloud")
        let start = first.lastSequence
        for hundred in 0..<100 {
            let records = try (1...100).map {
                try SpoolRecord.sample(start + Int64(hundred * 100 + $0), uplink: uplink)
            }
            try await self.state.commit(.inserting(records), to: first)
        }
        first.close()

        let store = try self.state.open()
        defer { store.close() }
        var seen: [Int64] = []
        var after: Int64 = 0
        var pages = 0
        while true {
            let page = try await self.state.load(
                store,
                uplink: uplink,
                from: .after(after),
                maxMessages: 300,
                maxBytes: 6_000
            )
            #expect(page.records.count <= 300)
            #expect(page.records.map(\.countedBytes).reduce(0, +) <= 6_000)
            seen += page.records.map(\.sequence)
            pages += 1
            if page.isLast { break }
            after = try #require(page.records.last).sequence
        }
        #expect(seen == (1...10_000).map { start + Int64($0) })
        #expect(pages > 34)
    }

    @Test("gives one record even if it alone is over the page's bytes")
    func oversizedPage() async throws {
        let store = try self.state.open()
        defer { store.close() }
        try await self.state.commit(.inserting([.sample(1, bytes: 500), .sample(2, bytes: 500)]), to: store)
        let page = try await self.state.load(store, uplink: 1, maxBytes: 100)
        #expect(page.records.map(\.sequence) == [1])
        #expect(!page.isLast)
    }

    @Test("deletes what was acknowledged, of that uplink only")
    func acknowledgement() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let cloud = try store.uplinkID(named: "cloud")
        let backup = try store.uplinkID(named: "backup")
        #expect(cloud != backup)
        let records = try (1...20).map { try SpoolRecord.sample($0, uplink: $0 % 2 == 0 ? cloud : backup) }
        try await self.state.commit(.inserting(records), to: store)
        var batch = StoreBatch.acknowledging(1...11, uplink: cloud)
        batch.acknowledged.append(.init(uplink: cloud, sequences: 14...14))
        let committed = try await self.state.commit(batch, to: store)
        let page = try await self.state.load(store, uplink: cloud)
        #expect(page.records.map(\.sequence) == [12, 16, 18, 20])
        #expect(committed.totals.map(\.uplink) == [cloud])
        #expect(committed.totals.first?.sequences == 12...20)
        #expect(try await self.state.load(store, uplink: backup).records.count == 10)
    }

    @Test("knows the size of each spool after every commit and at the next start")
    func totals() async throws {
        let first = try self.state.open()
        #expect(try first.uplinkID(named: "cloud") == 1)
        let start = first.lastSequence
        let records = try (1...50).map { try SpoolRecord.sample(start + $0, bytes: 10, storedAt: 1_000 + $0) }
        var committed = try await self.state.commit(.inserting(records), to: first)
        let all = SpoolTotals(
            uplink: 1,
            messages: 50,
            bytes: records.map(\.countedBytes).reduce(0, +),
            oldestStoredAt: 1_001,
            sequences: start + 1...start + 50
        )
        #expect(committed.totals == [all])
        committed = try await self.state.commit(.acknowledging(start + 1...start + 20), to: first)
        #expect(committed.totals.first?.messages == 30)
        first.close()

        let store = try self.state.open()
        defer { store.close() }
        let rest = SpoolTotals(
            uplink: 1,
            messages: 30,
            bytes: records.dropFirst(20).map(\.countedBytes).reduce(0, +),
            oldestStoredAt: 1_021,
            sequences: start + 21...start + 50
        )
        #expect(store.spoolTotals == [rest])
        committed = try await self.state.commit(.inserting([.sample(store.lastSequence + 1)]), to: store)
        #expect(committed.totals.first?.messages == 31)
        committed = try await self.state.commit(.acknowledging(1...store.lastSequence + 1), to: store)
        #expect(committed.totals == [SpoolTotals(uplink: 1, messages: 0, bytes: 0)])
    }

    @Test("never lets a sequence be used twice, also after the spool was empty")
    func sequences() async throws {
        var highest: Int64 = 0
        for _ in 0..<4 {
            let store = try self.state.open()
            #expect(store.lastSequence >= highest)
            highest = store.lastSequence + 3
            let records = try (1...3).map { try SpoolRecord.sample(store.lastSequence + $0) }
            try await self.state.commit(.inserting(records), to: store)
            try await self.state.commit(.acknowledging(1...highest), to: store)
            store.close()
        }
        // Past the reservation too.
        let store = try self.state.open()
        highest = store.lastSequence + SpoolWriter.reservation + 5
        try await self.state.commit(.inserting([.sample(highest)]), to: store)
        try await self.state.commit(.acknowledging(1...highest), to: store)
        store.close()
        let last = try self.state.open()
        #expect(last.lastSequence >= highest)
        last.close()
    }

    @Test(
        "does not believe a mark of used sequences that nobody can have written",
        arguments: [Int64.max, 1 << 48, -1]
    )
    func spoiltMark(mark: Int64) async throws {
        let first = try self.state.open()
        #expect(try first.uplinkID(named: "cloud") == 1)
        try await self.state.commit(.inserting([.sample(7)]), to: first)
        first.close()
        try self.state.execute("UPDATE meta SET value = \(mark) WHERE name = 'sequence_reserved'")
        let store = try self.state.open()
        #expect(store.lastSequence == 7)
        try await self.state.commit(.inserting([.sample(8)]), to: store)
        store.close()
        let again = try self.state.open()
        defer { again.close() }
        #expect(again.lastSequence == 8 + SpoolWriter.reservation)
    }

    @Test("drops the oldest and says whose they were")
    func dropOldest() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let records = try (1...10).map {
            try SpoolRecord.sample($0, device: $0 == 4 ? nil : $0 < 3 ? "attic" : "kitchen")
        }
        try await self.state.commit(.inserting(records), to: store)
        var batch = StoreBatch.dropping(.oldest(count: 6))
        batch.inserts = [try .sample(11)]
        let committed = try await self.state.commit(batch, to: store)
        #expect(committed.dropped.map(\.device?.text) == [nil, "attic", "kitchen"])
        #expect(committed.dropped.map(\.messages) == [1, 2, 3])
        #expect(committed.dropped.map(\.lastSequence) == [4, 2, 6])
        let bytes = records.prefix(6).map(\.countedBytes).reduce(0, +)
        #expect(committed.dropped.map(\.bytes).reduce(0, +) == bytes)
        #expect(committed.totals.first?.messages == 5)
        #expect(try await self.state.load(store, uplink: 1).records.map(\.sequence) == [7, 8, 9, 10, 11])
    }

    @Test("drops what is too old, up to the first that is not")
    func expiry() async throws {
        let store = try self.state.open()
        defer { store.close() }
        try await self.state.commit(
            .inserting((1...10).map { try .sample($0, storedAt: 1_000 * $0) }),
            to: store
        )
        let committed = try await self.state.commit(.dropping(.storedBefore(4_000)), to: store)
        #expect(committed.dropped.map(\.messages) == [3])
        let again = try await self.state.commit(.dropping(.storedBefore(4_000)), to: store)
        #expect(again.dropped.isEmpty)
        #expect(again.totals.first?.oldestStoredAt == 4_000)
    }

    @Test("gives the disk back when a large spool has drained")
    func reclaim() async throws {
        var options = StoreOptions()
        options.reclaimBytes = 1 << 20
        let store = try self.state.open(options: options)
        defer { store.close() }
        for hundred in 0..<40 {
            let records = try (1...100).map { try SpoolRecord.sample(Int64(hundred * 100 + $0), bytes: 1_000) }
            try await self.state.commit(.inserting(records), to: store)
        }
        let full = try #require(StateDirectory.status(of: self.state.database)).bytes
        try await self.state.commit(.acknowledging(1...3_990), to: store)
        // The completion comes first; a read is behind it.
        #expect(try await self.state.load(store, uplink: 1).records.count == 10)
        let drained = try #require(StateDirectory.status(of: self.state.database)).bytes
        #expect(full > 3 << 20)
        #expect(drained < 1 << 18)
    }

    @Test("keeps the last retained message of each topic, until it is cleared")
    func retained() async throws {
        func record(_ topic: String, _ payload: String) throws -> RetainedRecord {
            RetainedRecord(
                topic: ByteBuffer(string: topic),
                payload: ByteBuffer(string: payload),
                qos: .atLeastOnce,
                publisher: "kitchen",
                storedAt: 1
            )
        }
        let store = try self.state.open()
        var batch = StoreBatch()
        batch.retained = try [
            .set(record("b", "1")), .set(record("a", "1")), .set(record("a", "2")), .set(record("c", "1")),
            .clear(topic: ByteBuffer(string: "c")),
        ]
        try await self.state.commit(batch, to: store)
        #expect(try store.retained() == [record("a", "2"), record("b", "1")])
        batch.retained = [.clear(topic: ByteBuffer(string: "b")), .clear(topic: ByteBuffer(string: "none"))]
        try await self.state.commit(batch, to: store)
        store.close()
        let again = try self.state.open()
        defer { again.close() }
        #expect(try again.retained() == [record("a", "2")])
    }
}
