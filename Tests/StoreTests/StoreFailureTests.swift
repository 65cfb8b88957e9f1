import Foundation
import GRDB
import GRDBSQLite
import MQTTCodec
import NIOCore
import TestSupport
import Testing

@testable import Store

@Suite("Store failures", .ownThread)
struct StoreFailureTests {
    private let state = TemporaryState()

    // MARK: - Durability

    @Test("has everything that was acknowledged in the files, without a close")
    func durability() async throws {
        let store = try self.state.open()
        let uplink = try store.uplinkID(named: "cloud")
        let start = store.lastSequence
        var copies: [TemporaryState] = []
        for step in 0..<5 {
            let records = try (1...100).map { try SpoolRecord.sample(start + Int64(step * 100 + $0), uplink: uplink) }
            try await self.state.commit(.inserting(records), to: store)
            copies.append(try self.state.copy())
        }
        for (step, copy) in copies.enumerated() {
            let again = try copy.open()
            #expect(again.setAside == nil)
            #expect(again.spoolTotals.first?.messages == (step + 1) * 100)
            #expect(again.lastSequence >= start + Int64(step + 1) * 100)
            #expect(try await copy.load(again, uplink: uplink).records.count == (step + 1) * 100)
            again.close()
        }
        store.close()
    }

    @Test("loses only the torn end of a write-ahead log that was cut short")
    func tornLog() async throws {
        let store = try self.state.open()
        let uplink = try store.uplinkID(named: "cloud")
        for sequence in Int64(1)...20 {
            try await self.state.commit(.inserting([.sample(sequence, uplink: uplink)]), to: store)
        }
        let copy = try self.state.copy()
        store.close()
        let log = try #require(FileHandle(forUpdatingAtPath: copy.database + "-wal"))
        try log.truncate(atOffset: try log.seekToEnd() - 10)
        try log.close()
        let again = try copy.open()
        defer { again.close() }
        #expect(again.setAside == nil)
        #expect(try await copy.load(again, uplink: uplink).records.map(\.sequence) == Array(1...19))
    }

    // MARK: - Failed commits

    @Test(
        "has nothing of a batch whose transaction failed, and goes on",
        arguments: [
            StoreFaultPoint.begin(2), .insert(3), .insert(4), .commit(2),
        ]
    )
    func failedBatch(point: StoreFaultPoint) async throws {
        var options = StoreOptions()
        options.fault = { $0 == point ? SQLITE_IOERR : SQLITE_OK }
        let store = try self.state.open(options: options)
        defer { store.close() }
        try await self.state.commit(.inserting([.sample(1), .sample(2)]), to: store)
        var batch = try StoreBatch.inserting([.sample(3), .sample(4)])
        batch.retained = [
            .set(
                .init(
                    topic: .init(string: "a"),
                    payload: .init(string: "1"),
                    qos: .atLeastOnce,
                    publisher: nil,
                    storedAt: 1
                )
            )
        ]
        let result = await self.state.submit(batch, to: store)
        #expect(throws: StoreError.self) { try result.get() }
        if case .failure(let error) = result { #expect(error.kind == .inputOutput) }
        #expect(try await self.state.load(store, uplink: 1).records.map(\.sequence) == [1, 2])
        #expect(try store.retained().isEmpty)
        let committed = try await self.state.commit(batch, to: store)
        #expect(committed.totals.first?.messages == 4)
        #expect(try await self.state.load(store, uplink: 1).records.map(\.sequence) == [1, 2, 3, 4])
    }

    @Test("does not forget what a failed batch had acknowledged")
    func owedAcknowledgements() async throws {
        var options = StoreOptions()
        options.fault = { $0 == .commit(2) ? SQLITE_IOERR : SQLITE_OK }
        let store = try self.state.open(options: options)
        defer { store.close() }
        try await self.state.commit(.inserting((1...5).map { try .sample($0) }), to: store)
        _ = await self.state.submit(.acknowledging(1...3), to: store)
        #expect(try await self.state.load(store, uplink: 1).records.count == 5)
        try await self.state.commit(.inserting([.sample(6)]), to: store)
        #expect(try await self.state.load(store, uplink: 1).records.map(\.sequence) == [4, 5, 6])
    }

    @Test("says that it is full, drains nevertheless, and takes messages again")
    func full() async throws {
        var options = StoreOptions()
        options.maxPages = 60
        let store = try self.state.open(options: options)
        defer { store.close() }
        var stored: Int64 = 0
        var failure: StoreError?
        while failure == nil, stored < 1_000 {
            let batch = try StoreBatch.inserting([.sample(stored + 1, bytes: 1_000)])
            switch await self.state.submit(batch, to: store) {
            case .success: stored += 1
            case .failure(let error): failure = error
            }
        }
        #expect(failure?.kind == .diskFull)
        #expect(failure?.cure.contains(self.state.database) == true)
        #expect(try await self.state.load(store, uplink: 1).records.count == Int(stored))

        // Acknowledgements in the same batch as records that find no room are not lost with them.
        var batch = StoreBatch.acknowledging(1...stored - 2)
        batch.inserts = try (1...500).map { try .sample(stored + $0, bytes: 1_000) }
        let result = await self.state.submit(batch, to: store)
        #expect(throws: StoreError.self) { try result.get() }
        #expect(try await self.state.load(store, uplink: 1).records.map(\.sequence) == [stored - 1, stored])
        try await self.state.commit(.inserting([.sample(stored + 1, bytes: 1_000)]), to: store)
    }

    @Test("waits for another process's lock, says so when it takes too long, and goes on after it")
    func busy() async throws {
        var options = StoreOptions()
        options.busyTimeout = .milliseconds(20)
        let store = try self.state.open(options: options)
        defer { store.close() }
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let other = try DatabaseQueue(path: self.state.database, configuration: configuration)
        try await other.writeWithoutTransaction { db in try db.execute(sql: "BEGIN IMMEDIATE") }
        let result = await self.state.submit(.inserting([try .sample(1)]), to: store)
        if case .failure(let error) = result { #expect(error.kind == .busy) } else { Issue.record("stored") }
        try await other.writeWithoutTransaction { db in try db.execute(sql: "COMMIT") }
        try await self.state.commit(.inserting([.sample(1)]), to: store)
    }

    @Test("answers what is submitted after the close, and finishes what was submitted before")
    func closing() async throws {
        let store = try self.state.open()
        async let before = self.state.submit(.inserting([.sample(1)]), to: store)
        _ = try await before
        store.submit(.inserting([try .sample(2)]), on: self.state.loop) { _ in }
        store.close()
        store.close()
        let result = await self.state.submit(.inserting([try .sample(3)]), to: store)
        if case .failure(let error) = result { #expect(error.kind == .closed) } else { Issue.record("stored") }
        let again = try self.state.open()
        defer { again.close() }
        #expect(try await self.state.load(again, uplink: 1).records.map(\.sequence) == [1, 2])
    }

    // MARK: - Opening

    @Test("makes directory and files that nobody else can use")
    func modes() async throws {
        let store = try self.state.open()
        defer { store.close() }
        try await self.state.commit(.inserting([.sample(1)]), to: store)
        #expect(StateDirectory.status(of: self.state.path)?.mode == 0o700)
        #expect(
            try self.state.files().sorted() == ["sealgate.db", "sealgate.db-shm", "sealgate.db-wal", "sealgate.lock"]
        )
        for file in try self.state.files() {
            #expect(StateDirectory.status(of: self.state.path + "/" + file)?.mode == 0o600, "\(file)")
        }
    }

    @Test(
        "refuses files that others can use, and names the cure",
        arguments: [
            ("", 0o770), ("", 0o777), ("/sealgate.db", 0o640), ("/sealgate.db", 0o604),
        ]
    )
    func wrongModes(file: String, mode: Int) throws {
        try self.state.open().close()
        let path = self.state.path + file
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        for access in [StoreAccess.gateway, .command, .readOnly] {
            let error = #expect(throws: StoreError.self) { try self.state.open(access) }
            #expect(error?.kind == .permission)
            #expect(error?.file == path)
            #expect(error?.cure.contains(path) == true)
        }
    }

    /// Ways in which a database file can be spoilt.
    enum Damage: String, CaseIterable {
        case text, zeros, shortened, schema, page
    }

    @Test("sets a damaged database aside for the gateway, and leaves it alone for commands", arguments: Damage.allCases)
    func damage(_ damage: Damage) async throws {
        let first = try self.state.open()
        let uplink = try first.uplinkID(named: "cloud")
        try await self.state.commit(.inserting((1...200).map { try .sample($0, uplink: uplink) }), to: first)
        first.close()
        let file = try #require(FileHandle(forUpdatingAtPath: self.state.database))
        switch damage {
        case .text:
            try file.write(contentsOf: Data("This is not a database at all, is it?".utf8))
        case .zeros:
            try file.write(contentsOf: Data(count: 4_096))
        case .shortened:
            try file.truncate(atOffset: 2 * 4_096 + 100)
        case .schema:
            try file.seek(toOffset: 100)
            try file.write(contentsOf: Data(repeating: 0xA5, count: 3_000))
        case .page:
            try file.seek(toOffset: try file.seekToEnd() - 4_096)
            try file.write(contentsOf: Data(repeating: 0xA5, count: 4_096))
        }
        try file.close()

        if damage != .page, damage != .shortened {
            // A command looks at what it needs only.
            let error = #expect(throws: StoreError.self) { try self.state.open(.command) }
            #expect(error?.kind == .damaged)
        }
        #expect(try self.state.files().filter { $0.contains("damaged") }.isEmpty)

        let store = try self.state.open()
        defer { store.close() }
        let aside = try #require(store.setAside)
        #expect(aside.hasPrefix(self.state.database + ".damaged-20"))
        #expect(FileManager.default.fileExists(atPath: aside))
        #expect(store.spoolTotals.isEmpty == (damage == .shortened))
        try await self.state.commit(.inserting([.sample(store.lastSequence + 1)]), to: store)
    }

    @Test("looks at every page of a large database when the last run met damage")
    func suspicion() throws {
        let directory = StateDirectory(path: self.state.path)
        try self.state.open().close()
        directory.markSuspect()
        try self.state.open().close()
        #expect(!directory.isSuspect)
    }

    @Test("refuses the database of a newer release")
    func newerSchema() throws {
        try self.state.open().close()
        try DatabaseQueue(path: self.state.database).write { db in
            try db.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('9 from the future')")
        }
        for access in [StoreAccess.gateway, .command, .readOnly] {
            let error = #expect(throws: StoreError.self) { try self.state.open(access) }
            #expect(error?.kind == .schemaTooNew)
        }
        #expect(try self.state.files().filter { $0.contains("damaged") }.isEmpty)
    }

    @Test("lets one gateway at a time in, and commands beside it")
    func oneGateway() throws {
        let store = try self.state.open()
        let error = #expect(throws: StoreError.self) { try self.state.open() }
        #expect(error?.kind == .inUse)
        let command = try self.state.open(.command)
        command.close()
        store.close()
        try self.state.open().close()
    }

    @Test("touches nothing when it only reads")
    func readOnly() throws {
        let error = #expect(throws: StoreError.self) { try self.state.open(.readOnly) }
        #expect(error?.kind == .notReady)
        #expect(!FileManager.default.fileExists(atPath: self.state.path))
        try self.state.open(.command).close()
        let files = try self.state.files()
        let bytes = FileManager.default.contents(atPath: self.state.database)
        let store = try self.state.open(.readOnly)
        #expect(try store.devices().isEmpty)
        store.close()
        #expect(try self.state.files() == files)
        #expect(FileManager.default.contents(atPath: self.state.database) == bytes)
    }
}
