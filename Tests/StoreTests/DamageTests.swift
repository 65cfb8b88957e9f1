import Devices
import Foundation
import GRDB
import GRDBSQLite
import MQTTCodec
import NIOCore
import TestSupport
import Testing

@testable import Store

@Suite("Damage", .ownThread, .serialized, .enabled(if: sqlite3_compileoption_used("ENABLE_DBSTAT_VTAB") != 0))
struct DamageTests {
    /// What a page is overwritten with.
    enum Spoilt: String, CaseIterable {
        case noise, zeros

        func page(_ number: Int) -> [UInt8] {
            switch self {
            case .noise:
                var dice = Dice(state: UInt64(number))
                return (0..<4_096).map { _ in UInt8.random(in: 0...255, using: &dice) }
            case .zeros: return [UInt8](repeating: 0, count: 4_096)
            }
        }
    }

    /// Opens the damaged copy as the gateway does, compares what is there, and sees that it works.
    private func open(
        _ copy: TemporaryState,
        _ fixture: DamageFixture,
        damaged: some Collection<Int>,
        _ comment: Comment
    ) async throws {
        let bytes = FileManager.default.contents(atPath: copy.database)
        let store = try copy.open()
        defer { store.close() }
        if let aside = store.setAside {
            #expect(FileManager.default.contents(atPath: aside) == bytes, comment)
            #expect(StateDirectory.status(of: copy.database)?.mode == 0o600)
            #expect(store.salvaged?.cutShort == nil && store.salvaged != nil, comment)
        }
        #expect(try copy.files().filter { $0.contains("salvage") }.isEmpty, comment)
        let mayHaveMore = store.salvaged?.mayHaveDeletedRows ?? false
        // Pages that are not in the table of pages are free, or list those that are.
        let used = Set(fixture.pages.map(\.number)).subtracting([1])
        #expect(!mayHaveMore || damaged.contains { !used.contains($0) }, comment)
        try fixture.check(
            copy.database,
            damaged: damaged,
            mayHaveMore: mayHaveMore,
            isUnnoticed: store.setAside == nil,
            comment
        )
        // Everything can be read by those who read it, and sizes are right.
        #expect(try store.devices().allSatisfy { $0.isRevoked == ($0.id.text == "device-7") }, comment)
        _ = try store.sessions()
        _ = try store.retained()
        for (id, lane) in try store.lanes() {
            _ = try store.uplinkState(uplink: id)
            let sequences = try await copy.sequences(store, uplink: id)
            let totals = store.spoolTotals.first { $0.uplink == id }
            #expect((totals?.messages ?? 0) == sequences.count, "\(comment): \(lane)")
            #expect(totals?.sequences?.lowerBound == sequences.first && totals?.sequences?.upperBound == sequences.last)
        }
        let next = store.lastSequence + 1
        #expect(next > 1 << 20, comment)
        let uplink = try store.uplinkID(named: "cloud")
        let before = store.spoolTotals.first { $0.uplink == uplink }?.messages ?? 0
        let committed = try await copy.commit(.inserting([.sample(next, uplink: uplink)]), to: store)
        #expect(committed.totals.first?.messages == before + 1, comment)
    }

    @Test("of any page takes its own rows and no others, and is set aside", arguments: Spoilt.allCases)
    func anyPage(spoilt: Spoilt) async throws {
        let fixture = try await DamageFixture()
        #expect(fixture.pageCount > 40 && fixture.pages.count < fixture.pageCount)
        for page in 1...fixture.pageCount {
            let copy = try fixture.state.copy()
            try copy.overwrite(copy.database, at: (page - 1) * 4_096, with: spoilt.page(page))
            try await self.open(copy, fixture, damaged: [page], "\(spoilt) in page \(page)")
        }
    }

    @Test("by a cut or a tail of zeros takes what was behind it", arguments: [true, false])
    func anyLength(isCut: Bool) async throws {
        let fixture = try await DamageFixture()
        for pages in stride(from: 1, to: fixture.pageCount, by: 2) {
            let copy = try fixture.state.copy()
            // In the middle of a page, so that this one is gone too.
            let offset = pages * 4_096 - (pages % 3) * 1_024
            if isCut {
                try copy.cut(copy.database, to: offset)
            } else {
                let zeros = [UInt8](repeating: 0, count: fixture.pageCount * 4_096 - offset)
                try copy.overwrite(copy.database, at: offset, with: zeros)
            }
            let damaged = (pages % 3 == 0 ? pages + 1 : pages)...fixture.pageCount
            try await self.open(copy, fixture, damaged: damaged, "\(isCut ? "cut" : "zeros") from \(offset)")
        }
    }

    @Test("to the header alone loses nothing", arguments: [0, 16, 18, 19, 20, 21, 28, 32, 36, 44, 56])
    func header(offset: Int) async throws {
        let fixture = try await DamageFixture()
        let copy = try fixture.state.copy()
        try copy.overwrite(copy.database, at: offset, with: offset < 28 ? [0xEE] : [0xEE, 0xEE, 0xEE, 0xEE])
        let bytes = FileManager.default.contents(atPath: copy.database)
        let store = try copy.open()
        defer { store.close() }
        let aside = store.setAside.flatMap { FileManager.default.contents(atPath: $0) }
        #expect(aside == nil || aside == bytes)
        let mayHaveMore = store.salvaged?.mayHaveDeletedRows ?? false
        try fixture.check(
            copy.database,
            damaged: [],
            mayHaveMore: mayHaveMore,
            isUnnoticed: false,
            "header at \(offset)"
        )
    }

    @Test("to a file that is no database, or has no bytes, begins anew")
    func noDatabase() async throws {
        for content in ["This is not a database at all, is it?", ""] {
            let state = TemporaryState()
            try state.open().close()
            try state.cut(state.database, to: 0)
            try state.overwrite(state.database, at: 0, with: Array(content.utf8))
            let store = try state.open()
            defer { store.close() }
            let aside = try #require(store.setAside)
            #expect(FileManager.default.contents(atPath: aside) == Data(content.utf8))
            #expect(store.salvaged?.rows == [:])
            try await state.commit(.inserting([.sample(store.lastSequence + 1)]), to: store)
        }
    }

    /// A copy of a state whose log holds everything since the fixture was closed.
    private func withLog() async throws -> (fixture: DamageFixture, copy: TemporaryState) {
        let fixture = try await DamageFixture()
        let store = try fixture.state.open()
        for number in Int64(1)...20 {
            try await fixture.state.commit(.inserting([.sample(store.lastSequence + number, bytes: 500)]), to: store)
        }
        let copy = try fixture.state.copy()
        store.close()
        return (fixture, copy)
    }

    @Test("to the log takes the transactions behind it, and no others")
    func log() async throws {
        let (fixture, whole) = try await self.withLog()
        let bytes = try #require(StateDirectory.status(of: whole.database + "-wal")).bytes
        var kept: [Int] = []
        for part in 0...20 {
            for isCut in [true, false] {
                let copy = try whole.copy()
                let offset = bytes * part / 20
                if isCut {
                    try copy.cut(copy.database + "-wal", to: offset)
                } else {
                    let zeros = [UInt8](repeating: 0, count: bytes - offset)
                    try copy.overwrite(copy.database + "-wal", at: offset, with: zeros)
                }
                let store = try copy.open()
                defer { store.close() }
                #expect(store.setAside == nil)
                let left = try DamageFixture.dump(copy.database)
                for (table, rows) in fixture.rows { #expect(rows.isSubset(of: left[table] ?? []), "\(table)") }
                kept.append((left["spool"]?.count ?? 0) - (fixture.rows["spool"]?.count ?? 0))
            }
        }
        #expect(kept == kept.sorted() && kept.first == 0 && kept.last == 20)
    }

    @Test("to the database beside a log loses nothing that the log has")
    func besideLog() async throws {
        let (fixture, whole) = try await self.withLog()
        let names = ["emptied", "no header", "noise in every page"]
        for (kind, name) in names.enumerated() {
            let copy = try whole.copy()
            switch kind {
            case 0: try copy.cut(copy.database, to: 0)
            case 1: try copy.overwrite(copy.database, at: 0, with: [UInt8](repeating: 0xEE, count: 4_096))
            default:
                for page in 1...fixture.pageCount {
                    try copy.overwrite(copy.database, at: (page - 1) * 4_096, with: Spoilt.noise.page(page))
                }
            }
            if kind == 0 {
                let error = #expect(throws: StoreError.self) { try copy.open(.command) }
                #expect(error?.kind == .damaged)
            }
            let store = try copy.open()
            defer { store.close() }
            // The log has the header too.
            #expect((store.setAside == nil) == (kind == 1), "\(name)")
            let aside = store.setAside ?? ""
            // What SQLite has opened, it has also copied into the database when it closed it.
            if kind == 0 { #expect(FileManager.default.fileExists(atPath: aside + "-wal")) }
            let newest = try DamageFixture.dump(copy.database)["spool"]?.filter { $0.contains("1700000000000") }
            #expect((newest?.count ?? 0) >= 20, "\(name)")
        }
    }

    @Test("to the shared index of the log is mended")
    func sharedMemory() async throws {
        let (fixture, copy) = try await self.withLog()
        var dice = Dice(state: 9)
        let garbage = (0..<32_768).map { _ in UInt8.random(in: 0...255, using: &dice) }
        try copy.overwrite(copy.database + "-shm", at: 0, with: garbage)
        let store = try copy.open()
        defer { store.close() }
        #expect(store.setAside == nil)
        let left = try DamageFixture.dump(copy.database)
        #expect((left["spool"]?.count ?? 0) == (fixture.rows["spool"]?.count ?? 0) + 20)
    }

    @Test("of any bytes is read without harm")
    func anyBytes() async throws {
        let (_, whole) = try await self.withLog()
        let database = try #require(FileManager.default.contents(atPath: whole.database))
        let log = try #require(FileManager.default.contents(atPath: whole.database + "-wal"))
        let path = whole.path + "/mutant"
        var dice = Dice(state: 77)
        var rows = 0
        for round in 0..<150 {
            var bytes = (database: database, log: round % 3 == 0 ? log : Data())
            for _ in 0..<Int.random(in: 1...400, using: &dice) {
                // Near the beginnings of pages is what says where things are.
                let page = Int.random(in: 0..<database.count / 4_096, using: &dice)
                let offset = Int.random(in: 0..<(Bool.random(using: &dice) ? 40 : 4_096), using: &dice)
                bytes.database[page * 4_096 + offset] = .random(in: 0...255, using: &dice)
                if !bytes.log.isEmpty, round % 2 == 0 { bytes.log[Int.random(in: 0..<log.count, using: &dice)] ^= 1 }
            }
            try bytes.database.write(to: URL(fileURLWithPath: path))
            try bytes.log.write(to: URL(fileURLWithPath: path + "-wal"))
            let file = try #require(DamagedFile(path: path))
            var facts = SalvagedFacts()
            for kind in [DamagedFile.Kind.index, .table] {
                for page in 1...file.pageCount {
                    _ = try file.rows(ofPage: page, kind: kind) { row in
                        rows += 1
                        for table in SalvagedTable.devices + SalvagedTable.small + SalvagedTable.large
                        where table.fits(row) {
                            facts.note(row, of: table)
                        }
                        facts.note(row)
                    }
                }
            }
        }
        #expect(rows > 10_000)
    }

    // MARK: - What is special

    @Test("to the names of the uplinks leaves their records under a name that says so")
    func lostNames() async throws {
        let fixture = try await DamageFixture()
        let copy = try fixture.state.copy()
        for page in fixture.pages where page.table == "uplink" || page.table == "sqlite_autoindex_uplink_1" {
            try copy.overwrite(copy.database, at: (page.number - 1) * 4_096, with: Spoilt.noise.page(page.number))
        }
        let store = try copy.open()
        defer { store.close() }
        let names = try store.uplinks()
        #expect(names.values.sorted() == ["recovered-1", "recovered-2", "recovered-3", "recovered-4"])
        for id in names.keys { #expect(try await copy.sequences(store, uplink: id).count == 50) }
        #expect(try store.uplinkID(named: "cloud") == 5)
    }

    @Test("of the first release's tables is saved too")
    func oldRelease() async throws {
        let state = TemporaryState()
        try FileManager.default.createDirectory(
            atPath: state.path,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        let old = try DatabaseQueue(path: state.database)
        try Schema.migrator.migrate(old, upTo: "1 spool, retained, devices")
        try await old.write { db in
            try db.execute(
                sql: """
                    UPDATE meta SET value = 2000000 WHERE name = 'sequence_reserved';
                    INSERT INTO uplink VALUES (1, 'cloud'), (2, 'backup');
                    INSERT INTO spool VALUES ((2 << 48) + 7, 2, 5, 3, 3, x'62', NULL, x'00');
                    INSERT INTO retained VALUES (x'62', x'6f6e', 1, 'kitchen', 7);
                    INSERT INTO device VALUES ('kitchen', 'sensor', NULL, 1, 0, NULL, NULL, NULL, NULL, 9);
                    """
            )
        }
        try old.close()
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: state.database)
        try state.overwrite(state.database, at: 0, with: [0])
        let store = try state.open()
        defer { store.close() }
        #expect(store.setAside != nil && store.lastSequence == 2_000_000)
        #expect(try store.lanes() == [1: .init(uplink: "cloud"), 2: .init(uplink: "backup")])
        #expect(try await state.sequences(store, uplink: 2) == [7])
        #expect(try store.retained().count == 1 && store.devices().map(\.id.text) == ["kitchen"])
    }

    @Test("of a newer release's tables is set aside, and not read as if it were ours")
    func newerRelease() throws {
        let state = TemporaryState()
        try state.open().close()
        try state.execute("INSERT INTO grdb_migrations (identifier) VALUES ('9 from the future')")
        try state.overwrite(state.database, at: 0, with: [0])
        let store = try state.open()
        defer { store.close() }
        #expect(store.setAside != nil && store.salvaged == nil)
    }

    @Test("is read for a bounded time, devices first")
    func bounded() async throws {
        let fixture = try await DamageFixture()
        let copy = try fixture.state.copy()
        try copy.overwrite(copy.database, at: 0, with: [0])
        var options = StoreOptions()
        options.salvageTime = .zero
        let store = try copy.open(options: options)
        defer { store.close() }
        #expect(store.salvaged?.cutShort != nil)
        #expect(try store.devices().count == 40)
        #expect((store.salvaged?.rows[SalvagedTable.spool] ?? 0) < 200)
    }

    @Test("is dealt with to the end by the next start when the first was killed", arguments: [0, 1, 2])
    func killed(step: Int) async throws {
        let fixture = try await DamageFixture()
        let copy = try fixture.state.copy()
        try copy.overwrite(copy.database, at: 0, with: [0])
        let directory = StateDirectory(path: copy.path)
        switch step {
        case 0:
            try Data("half".utf8).write(to: URL(fileURLWithPath: directory.salvage))
        case 1:
            _ = try Salvage.run(directory, options: StoreOptions())
        default:
            _ = try Salvage.run(directory, options: StoreOptions())
            _ = try directory.setDatabaseAside(now: 1_800_000_000)
        }
        let store = try copy.open()
        defer { store.close() }
        #expect(try copy.files().filter { $0.contains(".damaged-") }.count == 1)
        #expect(try copy.files().filter { $0.contains("salvage") }.isEmpty)
        #expect((store.setAside == nil) == (step == 2))
        #expect(try store.devices().count == 40)
        #expect(try await copy.sequences(store, uplink: 1).count >= 50)
    }

    @Test("that leaves no room to save in is set aside all the same")
    func noRoom() async throws {
        let fixture = try await DamageFixture()
        for pages in [1, 36] {
            let copy = try fixture.state.copy()
            try copy.overwrite(copy.database, at: 0, with: [0])
            var options = StoreOptions()
            options.maxPages = pages
            let store = try? copy.open(options: options)
            defer { store?.close() }
            #expect(try copy.files().filter { $0.contains(".damaged-") }.count == 1)
            if pages > 1 {
                #expect(store?.salvaged?.cutShort == "the disk is full")
                #expect(try #require(store).devices().count == 40)
            }
        }
    }
}
