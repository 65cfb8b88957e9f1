import Devices
import GRDBSQLite
import MQTTCodec
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Store

extension DeadLetter {
    /// A letter about ``SpoolRecord/sample(_:uplink:device:bytes:storedAt:)``.
    static func sample(_ sequence: Int64, uplink: Int64 = 1, device: String? = "kitchen", bytes: Int = 0) -> DeadLetter
    {
        let record = SpoolRecord(
            sequence: sequence,
            uplink: uplink,
            topic: ByteBuffer(string: "sites/attic/dead"),
            payload: ByteBuffer(repeating: 0, count: bytes),
            qos: .exactlyOnce,
            retain: true,
            device: device.flatMap { try? DeviceID($0) },
            storedAt: 1_700_000_000_000,
            expiresAt: 1_800_000_000_000,
            isClockless: true
        )
        return DeadLetter(
            record: record,
            reason: .refused,
            detail: "not authorized",
            code: 0x87,
            diedAt: 1_700_000_000_001
        )
    }
}

@Suite("Dead letters", .ownThread)
struct DeadLetterTests {
    private let state = TemporaryState()

    private func resends(_ store: Store, limit: Int = 100, maxBytes: Int = 1 << 20) async throws -> [StoredDeadLetter] {
        try await withCheckedThrowingContinuation { continuation in
            store.takeResends(limit: limit, maxBytes: maxBytes, on: self.state.loop) { continuation.resume(with: $0) }
        }
    }

    private func batch(_ letters: [DeadLetter]) -> StoreBatch {
        var batch = StoreBatch()
        batch.dead = letters
        return batch
    }

    @Test("takes a record out of the spool in the commit that keeps it, and gives it back to other processes")
    func keeping() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let (cloud, low) = (try store.uplinkID(named: "cloud"), try store.uplinkID(named: "cloud", lane: .low))
        let backup = try store.uplinkID(named: "backup")
        try await self.state.commit(.inserting((1...3).map { try .sample($0, uplink: cloud) }), to: store)
        var tooLarge = DeadLetter.sample(0, uplink: low, device: nil, bytes: 10_000)
        tooLarge.reason = .payloadTooLarge
        let committed = try await self.state.commit(
            self.batch([.sample(2, uplink: cloud), tooLarge, .sample(0, uplink: backup)]),
            to: store
        )
        #expect(committed.totals.first?.messages == 2 && committed.deadDropped == 0)
        #expect(try await self.state.load(store, uplink: cloud).records.map(\.sequence) == [1, 3])
        for access in [StoreAccess.command, .readOnly] {
            let other = try self.state.open(access)
            defer { other.close() }
            let letters = try other.deadLetters(limit: 10)
            #expect(letters.map(\.id) == [1, 2, 3] && letters.map(\.isToBeResent) == [false, false, false])
            #expect(letters[0].letter == .sample(2, uplink: cloud))
            #expect(letters[1].letter == tooLarge && letters[1].payloadBytes == 10_000)
            #expect(letters[1].lane == StoredLane(uplink: "cloud", lane: .low))
            #expect(try other.deadLetters(limit: 2).map(\.id) == [2, 3])
            #expect(try other.deadLetters(uplink: "cloud", limit: 10).map(\.id) == [1, 2])
            #expect(try other.deadLetters(uplink: "none", limit: 10).isEmpty)
            #expect(try other.deadLetters(device: DeviceID("kitchen"), limit: 10).map(\.id) == [1, 3])
            let cut = try other.deadLetters(limit: 10, maxPayloadBytes: 100)[1]
            #expect(cut.letter.record.payload.readableBytes == 100 && cut.payloadBytes == 10_000)
            #expect(try other.deadLetter(id: 2)?.letter == tooLarge)
            #expect(try other.deadLetter(id: 4) == nil)
        }
    }

    @Test("keeps so many, and so many bytes; the oldest go, also beside another process that drops some")
    func bounds() async throws {
        var options = StoreOptions()
        options.maxDeadLetters = 5
        options.maxDeadBytes = 10_000
        let store = try self.state.open(options: options)
        defer { store.close() }
        var committed = try await self.state.commit(self.batch((1...7).map { _ in .sample(0) }), to: store)
        #expect(committed.deadDropped == 2)
        #expect(try store.deadLetters(limit: 10).map(\.id) == [3, 4, 5, 6, 7])
        let other = try self.state.open(.command)
        #expect(try other.dropDead(ids: [4, 5, 5, 99]) == 2)
        committed = try await self.state.commit(self.batch([.sample(0), .sample(0, bytes: 1)]), to: store)
        #expect(committed.deadDropped == 0)
        committed = try await self.state.commit(self.batch([.sample(0, bytes: 9_960)]), to: store)
        #expect(committed.deadDropped == 4)
        #expect(try store.deadLetters(limit: 10).map(\.id) == [9, 10])
        committed = try await self.state.commit(self.batch([.sample(0, bytes: 10_001)]), to: store)
        #expect(committed.deadDropped == 1)
        #expect(try store.deadLetters(limit: 10).map(\.id) == [9, 10])
        other.close()
    }

    @Test("the device that has most loses its oldest first, and nobody else's go")
    func shares() async throws {
        var options = StoreOptions()
        options.maxDeadLetters = 6
        options.maxDeadBytes = 10_000
        var store = try self.state.open(options: options)
        let first = [DeadLetter.sample(0, device: "attic"), .sample(0, device: nil), .sample(0, device: "cellar")]
        try await self.state.commit(self.batch(first + (4...6).map { _ in .sample(0) }), to: store)
        var committed = try await self.state.commit(self.batch((7...11).map { _ in .sample(0) }), to: store)
        #expect(committed.deadDropped == 5)
        #expect(try store.deadLetters(limit: 10).map(\.id) == [1, 2, 3, 9, 10, 11])
        store.close()

        // Another device fills what the first leaves, up to as much; of two that have as much, the oldest letter goes.
        store = try self.state.open(options: options)
        defer { store.close() }
        let more = (12...14).map { _ in DeadLetter.sample(0, device: "attic") }
        committed = try await self.state.commit(self.batch(more), to: store)
        #expect(committed.deadDropped == 3)
        #expect(try store.deadLetters(limit: 10).map(\.id) == [2, 3, 11, 12, 13, 14])

        // The one with most bytes has few letters.
        committed = try await self.state.commit(self.batch([.sample(0, device: "cellar", bytes: 9_800)]), to: store)
        #expect(committed.deadDropped == 1)
        committed = try await self.state.commit(self.batch([.sample(0, device: "attic", bytes: 300)]), to: store)
        #expect(try store.deadLetters(limit: 10).map(\.id) == [2, 11, 13, 14, 16])
    }

    @Test("counts exactly after a transaction that failed")
    func boundsAfterFailure() async throws {
        var options = StoreOptions()
        options.maxDeadLetters = 3
        options.fault = { $0 == .commit(2) ? SQLITE_IOERR : SQLITE_OK }
        let store = try self.state.open(options: options)
        defer { store.close() }
        try await self.state.commit(self.batch([.sample(0), .sample(0)]), to: store)
        let result = await self.state.submit(self.batch([.sample(0), .sample(0)]), to: store)
        #expect(throws: StoreError.self) { try result.get() }
        let committed = try await self.state.commit(self.batch([.sample(0)]), to: store)
        #expect(committed.deadDropped == 0)
        #expect(try store.deadLetters(limit: 10).count == 3)
    }

    @Test("tells a running gateway of those to be sent again, and gives each once until it is in the spool")
    func sendingAgain() async throws {
        let store = try self.state.open()
        try await self.state.commit(self.batch((1...4).map { _ in .sample(0, bytes: 100) }), to: store)
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        store.watchDevices(
            every: .milliseconds(1),
            on: self.state.loop,
            deadLettersChanged: { continuation.yield() },
            changed: { _ in }
        )
        var news = stream.makeAsyncIterator()
        #expect(try await self.resends(store).isEmpty)
        let other = try self.state.open(.command)
        #expect(try other.resendDead(ids: [2, 3, 4, 77]) == 3)
        #expect(await news.next() != nil)
        #expect(try other.deadLetters(limit: 9).map(\.isToBeResent) == [false, true, true, true])
        #expect(try await self.resends(store, maxBytes: 150).map(\.id) == [2])
        let taken = try await self.resends(store, limit: 1)
        #expect(taken.map(\.id) == [3])
        #expect(try await self.resends(store).map(\.id) == [4])
        #expect(try await self.resends(store).isEmpty)
        store.releaseResends([4])

        var batch = StoreBatch()
        batch.inserts = [taken[0].letter.record]
        batch.inserts[0].sequence = 50
        batch.resent = [3]
        try await self.state.commit(batch, to: store)
        #expect(try store.deadLetters(limit: 9).map(\.id) == [1, 2, 4])
        #expect(try await self.state.load(store, uplink: 1).records == batch.inserts)
        #expect(try await self.resends(store).map(\.id) == [4])

        #expect(try other.dropDead(ids: [1]) == 1)
        #expect(await news.next() != nil)
        let counts = try await withCheckedThrowingContinuation { continuation in
            store.countDeadLetters(on: self.state.loop) { continuation.resume(with: $0) }
        }
        #expect(counts.byUplink == [1: 2] && counts.toBeResent == 2 && counts.total == 2)
        other.close()
        store.close()

        // What was taken and did not get into the spool is there at the next start.
        let again = try self.state.open()
        defer { again.close() }
        #expect(try await self.resends(again).map(\.id) == [2, 4])
    }

    @Test("gives those of a failed batch again")
    func failedResend() async throws {
        var options = StoreOptions()
        options.fault = { $0 == .commit(2) ? SQLITE_IOERR : SQLITE_OK }
        let store = try self.state.open(options: options)
        defer { store.close() }
        try await self.state.commit(self.batch([.sample(0)]), to: store)
        #expect(try store.resendDead(ids: [1]) == 1)
        #expect(try await self.resends(store).map(\.id) == [1])
        var batch = try StoreBatch.inserting([.sample(7)])
        batch.resent = [1]
        let result = await self.state.submit(batch, to: store)
        #expect(throws: StoreError.self) { try result.get() }
        #expect(try await self.resends(store).map(\.id) == [1])
        #expect(try await self.state.load(store, uplink: 1).records.isEmpty)
    }

    @Test("never uses a number twice, cuts long words at a whole character, and names every reason")
    func numbersAndWords() async throws {
        let store = try self.state.open()
        defer { store.close() }
        try await self.state.commit(self.batch([.sample(0), .sample(0)]), to: store)
        #expect(try store.dropDead(ids: [1, 2]) == 2)
        let long = String(repeating: "ä", count: 150)
        var letter = DeadLetter.sample(0)
        letter = DeadLetter(record: letter.record, reason: .closedOn, detail: "x" + long, code: 0, diedAt: 1)
        #expect(letter.detail.utf8.count == 199 && letter.detail.hasSuffix("ä"))
        try await self.state.commit(self.batch([letter]), to: store)
        #expect(try store.deadLetters(limit: 10).map(\.id) == [3])
        #expect(try store.deadLetters(limit: 10).map(\.letter) == [letter])
        #expect(Set(DeadReason.allCases.map(\.words)).count == DeadReason.allCases.count)
        try self.state.execute(
            "UPDATE dead SET reason = 200; INSERT INTO dead SELECT 9, 0, 0, 77, 0, 0, 0, 0, 0, 1, '', '', x'', x'', x''"
        )
        let letters = try store.deadLetters(limit: 10)
        #expect(letters.map(\.id) == [3] && letters[0].letter.reason == .other)
        #expect(try await self.resends(store).isEmpty)
    }

    @Test("makes room for what needs none when the disk is full")
    func fullDisk() async throws {
        var options = StoreOptions()
        options.maxPages = 80
        let store = try self.state.open(options: options)
        defer { store.close() }
        var stored: Int64 = 0
        while stored < 1_000 {
            let batch = try StoreBatch.inserting([.sample(stored + 1, bytes: 1_000)])
            guard case .success = await self.state.submit(batch, to: store) else { break }
            stored += 1
        }
        // A dead letter that finds no room must not keep what the outside broker has from going.
        var batch = StoreBatch.acknowledging(1...stored / 2)
        batch.dead = [.sample(stored, bytes: 400_000)]
        let result = await self.state.submit(batch, to: store)
        #expect(throws: StoreError.self) { try result.get() }
        let first = try await self.state.load(store, uplink: 1).records.first
        #expect(first?.sequence == stored / 2 + 1)
        #expect(try await self.state.load(store, uplink: 1).records.last?.sequence == stored)
        #expect(try store.deadLetters(limit: 1).isEmpty)
    }
}
