import Devices
import GRDBSQLite
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Store

/// Numbers that are the same in every run.
struct Dice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state = self.state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return self.state ^ self.state >> 29
    }
}

@Suite("Sizes of spools", .ownThread)
struct SpoolTotalsTests {
    private let state = TemporaryState()

    /// What should be there.
    private struct Model {
        /// Of one lane, by sequence.
        var records: [Int64: SpoolRecord] = [:]

        var totals: SpoolTotals {
            let sequences = self.records.keys.sorted()
            guard let first = sequences.first, let last = sequences.last else { return SpoolTotals(uplink: 1) }
            return SpoolTotals(
                uplink: 1,
                messages: sequences.count,
                bytes: self.records.values.map(\.countedBytes).reduce(0, +),
                oldestStoredAt: sequences.compactMap { self.records[$0] }.first { !$0.isClockless }?.storedAt,
                sequences: first...last
            )
        }

        mutating func remove(where isGone: (SpoolRecord) -> Bool) {
            self.records = self.records.filter { !isGone($0.value) }
        }
    }

    private func record(_ sequence: Int64, _ dice: inout Dice) throws -> SpoolRecord {
        var record = try SpoolRecord.sample(
            sequence,
            bytes: .random(in: 0...60, using: &dice),
            storedAt: 1_000 + sequence
        )
        record.isClockless = Int.random(in: 0..<5, using: &dice) == 0
        if Int.random(in: 0..<4, using: &dice) == 0 { record.expiresAt = .random(in: 1_000...6_000, using: &dice) }
        return record
    }

    @Test("are exact after every commit, wherever records go from, and after failures and restarts", arguments: 1...12)
    func anyOrder(seed: UInt64) async throws {
        var dice = Dice(state: seed)
        var options = StoreOptions()
        options.uncountedHoles = seed % 3 == 0 ? 4 : 1_024
        let failing = Atomic(false)
        options.fault = { point in
            if case .commit = point, failing.load(ordering: .relaxed) { return SQLITE_IOERR }
            return SQLITE_OK
        }
        var store = try self.state.open(options: options)
        #expect(try store.uplinkID(named: "cloud") == 1)
        var model = Model()
        /// Records that a restart may have begun to count again.
        var slack = 0
        var next: Int64 = store.lastSequence + 1
        for step in 0..<400 {
            var batch = StoreBatch()
            var after = model
            let sequences = model.records.keys.sorted()
            switch Int.random(in: 0..<9, using: &dice) {
            case 0...2: break
            case 3:
                let count = Int.random(in: 0...12, using: &dice)
                if let last = sequences.prefix(count).last {
                    batch.acknowledged = [.init(uplink: 1, sequences: 1...last)]
                    after.remove { $0.sequence <= last }
                }
            case 4:
                for sequence in sequences.suffix(Int.random(in: 0...6, using: &dice)).reversed() {
                    batch.acknowledged.append(.init(uplink: 1, sequences: sequence...sequence))
                    after.records[sequence] = nil
                }
            case 5:
                for sequence in sequences.shuffled(using: &dice).prefix(5) {
                    batch.dead.append(.sample(sequence))
                    after.records[sequence] = nil
                }
            case 6:
                let (count, bytes) = (Int.random(in: 0...3, using: &dice), Int.random(in: 0...150, using: &dice))
                batch.drops = [.init(uplink: 1, extent: .oldest(count: count, bytes: bytes))]
                var freed = (messages: 0, bytes: 0)
                for sequence in sequences where freed.messages < count || freed.bytes < bytes {
                    freed.messages += 1
                    freed.bytes += model.records[sequence]?.countedBytes ?? 0
                    after.records[sequence] = nil
                }
            case 7:
                let time = 1_000 + (sequences.first ?? 0) + .random(in: 0...10, using: &dice)
                batch.drops = [.init(uplink: 1, extent: .storedBefore(time))]
                after.remove { !$0.isClockless && $0.storedAt < time }
            default:
                let time = Int64.random(in: 900...3_000, using: &dice)
                batch.drops = [.init(uplink: 1, extent: .expired(before: time))]
                after.remove { $0.isExpired(at: time) }
            }
            for _ in 0..<Int.random(in: 0...7, using: &dice) {
                let record = try self.record(next, &dice)
                batch.inserts.append(record)
                after.records[next] = record
                next += .random(in: 1...3, using: &dice)
            }
            // What failed batches acknowledge would go with the next; not what this test is about.
            let isFailing = step % 11 == 10 && batch.acknowledged.isEmpty && batch.dead.isEmpty
            failing.store(isFailing, ordering: .relaxed)
            switch await self.state.submit(batch, to: store) {
            case .success(let committed):
                #expect(!isFailing)
                model = after
                var expected = model.totals
                if let totals = committed.totals.first {
                    #expect(totals.messages - expected.messages >= 0 && totals.messages - expected.messages <= slack)
                    if slack > 0 { (expected.messages, expected.bytes) = (totals.messages, totals.bytes) }
                    #expect(totals == expected, "step \(step)")
                }
                if model.records.isEmpty { slack = 0 }
            case .failure: #expect(isFailing)
            }
            if step % 60 == 59 {
                failing.store(false, ordering: .relaxed)
                store.close()
                store = try self.state.open(options: options)
                next = store.lastSequence + 1
                let expected = model.totals
                let totals = store.spoolTotals.first ?? expected
                slack = totals.messages - expected.messages
                #expect(0...options.uncountedHoles ~= slack, "step \(step)")
                #expect(totals.sequences == expected.sequences)
                #expect(totals.oldestStoredAt == expected.oldestStoredAt)
                if slack == 0 { #expect(totals.bytes == expected.bytes) }
                #expect(
                    try await self.state.load(store, uplink: 1).records.map(\.sequence) == model.records.keys.sorted()
                )
            }
        }
        store.close()
    }

    /// The mark on disk that a lane has to be counted.
    private var isMarked: Bool {
        get throws { try self.state.numbers("SELECT sparse_through FROM uplink") != [0] }
    }

    @Test("need no mark while the newest go first, with live messages on top and a window in flight")
    func newestFirst() async throws {
        let store = try self.state.open()
        defer { store.close() }
        #expect(try store.uplinkID(named: "cloud") == 1)
        var waiting = Array(Int64(1)...2_000)
        try await self.state.commit(.inserting(waiting.map { try .sample($0) }), to: store)
        var next: Int64 = 2_001
        var inFlight: [Int64] = []
        for step in 0..<60 {
            var batch = StoreBatch()
            // The window of the last round comes back; live messages have arrived on top meanwhile.
            batch.acknowledged = inFlight.map { .init(uplink: 1, sequences: $0...$0) }
            inFlight = []
            for _ in 0..<5 {
                batch.inserts.append(try .sample(next))
                waiting.append(next)
                next += 1
            }
            let committed = try await self.state.commit(batch, to: store)
            #expect(committed.totals.first?.messages == waiting.count, "step \(step)")
            inFlight = Array(waiting.suffix(20).reversed())
            #expect(try !self.isMarked)
            waiting.removeLast(20)
            // Those in flight are still on disk.
            let held = try await self.state.commit(.acknowledging(inFlight[0]...inFlight[0]), to: store)
            #expect(held.totals.first?.messages == waiting.count + 19)
            inFlight.removeFirst()
        }
    }

    @Test("are counted at the next start when many have gone from between others, and never again after")
    func sparse() async throws {
        var options = StoreOptions()
        options.uncountedHoles = 10
        var store = try self.state.open(options: options)
        #expect(try store.uplinkID(named: "cloud") == 1)
        try await self.state.commit(.inserting((1...100).map { try .sample($0) }), to: store)
        var batch = StoreBatch()
        batch.acknowledged = (1...11).map { .init(uplink: 1, sequences: $0 * 2...$0 * 2) }
        var committed = try await self.state.commit(batch, to: store)
        #expect(committed.totals.map(\.messages) == [89])
        #expect(try self.isMarked)
        store.close()

        store = try self.state.open(options: options)
        #expect(store.spoolTotals == committed.totals)
        committed = try await self.state.commit(.acknowledging(1...19), to: store)
        #expect(committed.totals.map(\.messages) == [79])
        #expect(try self.isMarked)
        committed = try await self.state.commit(.acknowledging(20...21), to: store)
        #expect(committed.totals.map(\.messages) == [78])
        #expect(try !self.isMarked)
        // And cleared when the lane is empty.
        batch.acknowledged = (13...30).map { .init(uplink: 1, sequences: $0 * 2...$0 * 2) }
        try await self.state.commit(batch, to: store)
        #expect(try self.isMarked)
        try await self.state.commit(.acknowledging(1...100), to: store)
        #expect(try !self.isMarked)
        store.close()
    }

    @Test("are right where the counters of old rows tell nothing")
    func untrustedCounters() async throws {
        var store = try self.state.open()
        #expect(try store.uplinkID(named: "cloud") == 1)
        let start = store.lastSequence
        try await self.state.commit(.inserting((1...20).map { try .sample(start + $0) }), to: store)
        let bytes = try (1...20).map { try SpoolRecord.sample(start + $0).countedBytes }
        store.close()
        try self.state.execute(
            "UPDATE spool SET messages_before = 0, bytes_before = 0; UPDATE uplink SET sparse_through = \(start + 20)"
        )
        store = try self.state.open()
        #expect(store.spoolTotals.map(\.messages) == [20])
        #expect(store.spoolTotals.map(\.bytes) == [bytes.reduce(0, +)])
        // The newest go, new ones come, the oldest go.
        var committed = try await self.state.commit(.acknowledging(start + 16...start + 20), to: store)
        #expect(committed.totals.map(\.messages) == [15])
        let next = store.lastSequence
        committed = try await self.state.commit(.inserting((1...10).map { try .sample(next + $0) }), to: store)
        #expect(committed.totals.map(\.messages) == [25])
        committed = try await self.state.commit(.acknowledging(1...start + 10), to: store)
        #expect(committed.totals.map(\.messages) == [15])
        store.close()
        store = try self.state.open()
        #expect(store.spoolTotals.map(\.messages) == [15])
        committed = try await self.state.commit(.acknowledging(1...start + 15), to: store)
        #expect(committed.totals.map(\.messages) == [10])
        #expect(try !self.isMarked)
        committed = try await self.state.commit(.acknowledging(1...next + 3), to: store)
        #expect(committed.totals.map(\.messages) == [7])
        #expect(
            committed.totals.map(\.bytes) == [
                try (4...10).map { try SpoolRecord.sample(next + $0).countedBytes }.reduce(0, +)
            ]
        )
        store.close()
    }
}
