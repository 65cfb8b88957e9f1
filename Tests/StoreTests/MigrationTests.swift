import Broker
import Devices
import Foundation
import GRDB
import MQTTCodec
import NIOCore
import TestSupport
import Testing

@testable import Store

@Suite("Migration", .ownThread)
struct MigrationTests {
    private let state = TemporaryState()

    /// The tables as the first release made them, with something in each.
    private static let firstRelease = """
        CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
        INSERT INTO grdb_migrations VALUES ('1 spool, retained, devices');

        CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
        INSERT INTO meta (name, value) VALUES ('sequence_reserved', 5000), ('device_generation', 3);
        CREATE TABLE uplink (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
        INSERT INTO uplink VALUES (1, 'cloud');
        CREATE TABLE spool (
            key INTEGER PRIMARY KEY, flags INTEGER NOT NULL, stored_at INTEGER NOT NULL,
            messages_before INTEGER NOT NULL, bytes_before INTEGER NOT NULL, topic BLOB NOT NULL, device TEXT,
            payload BLOB NOT NULL
        );
        INSERT INTO spool VALUES ((1 << 48) | 42, 1, 1700000000000, 0, 0, x'61', 'kitchen', x'6869');
        CREATE TABLE retained (
            topic BLOB PRIMARY KEY, payload BLOB NOT NULL, qos INTEGER NOT NULL, device TEXT,
            stored_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        INSERT INTO retained VALUES (x'62', x'6f6e', 1, 'kitchen', 7);
        CREATE TABLE device (
            id TEXT PRIMARY KEY, profile TEXT NOT NULL, seal TEXT, epoch INTEGER NOT NULL, revoked INTEGER NOT NULL,
            node_id TEXT, keys_of TEXT, v1_keys BLOB, psk BLOB, created INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        INSERT INTO device VALUES ('kitchen', 'sensor', NULL, 1, 0, NULL, NULL, NULL, NULL, 9);
        """

    @Test("keeps everything that the first release stored, and takes sessions from then on")
    func firstRelease() async throws {
        try FileManager.default.createDirectory(
            atPath: self.state.path,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        try self.state.execute("PRAGMA user_version = 0")
        try self.state.execute(Self.firstRelease)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: self.state.database)
        let error = #expect(throws: StoreError.self) { try self.state.open(.readOnly) }
        #expect(error?.kind == .notReady)

        let store = try self.state.open()
        #expect(store.setAside == nil)
        #expect(store.lastSequence == 5_000)
        #expect(try store.uplinkID(named: "cloud") == 1)
        #expect(try store.devices().map(\.id.text) == ["kitchen"])
        let records = try await self.state.load(store, uplink: 1).records
        #expect(records.map(\.sequence) == [42] && records.map { String(buffer: $0.payload) } == ["hi"])
        var retained = try store.retained()
        #expect(retained.map { String(buffer: $0.payload) } == ["on"] && retained.map(\.storedAt) == [7])
        #expect(retained[0].properties.readableBytes == 0 && retained[0].expiresAt == nil)
        #expect(try store.sessions().sessions.isEmpty)

        retained[0].properties = ByteBuffer(bytes: [1, 1])
        retained[0].expiresAt = 1_763_000_000_123
        var batch = StoreBatch.changing(
            [.open(.sample(5_001)), .enqueue(5_001, 5_003, 5_002)],
            messages: [.sample(5_002)]
        )
        batch.retained = [.set(retained[0])]
        try await self.state.commit(batch, to: store)
        store.close()
        let again = try self.state.open()
        defer { again.close() }
        #expect(try again.retained() == retained)
        #expect(try again.sessions().messages == [5_002: .sample(5_002)])
        // Taken back when the next message of the topic has none.
        retained[0].properties = ByteBuffer()
        retained[0].expiresAt = nil
        batch = StoreBatch()
        batch.retained = [.set(retained[0])]
        try await self.state.commit(batch, to: again)
        #expect(try again.retained() == retained)
    }

    @Test("keeps the spools of the release before lanes, their sizes and their numbers")
    func beforeLanes() async throws {
        try FileManager.default.createDirectory(
            atPath: self.state.path,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        let old = try DatabaseQueue(path: self.state.database)
        try Schema.migrator.migrate(old, upTo: "3 passwords")
        try await old.write { db in
            try db.execute(
                sql: """
                    UPDATE meta SET value = 2000000 WHERE name = 'sequence_reserved';
                    INSERT INTO uplink VALUES (1, 'cloud'), (2, 'backup');
                    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
                    INSERT INTO spool SELECT (1 << 48) + 100 + i, 1 + 4 * (i % 2), 1700000000000 + i, 50 + i, 500 + 5 * i,
                    x'61', 'kitchen', x'00010203' FROM n;
                    INSERT INTO spool VALUES ((2 << 48) + 7, 2, 5, 0, 0, x'62', NULL, x'');
                    """
            )
        }
        try old.close()
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: self.state.database)

        let store = try self.state.open()
        #expect(store.setAside == nil && store.lastSequence == 2_000_000)
        #expect(try store.lanes() == [1: .init(uplink: "cloud"), 2: .init(uplink: "backup")])
        #expect(try store.uplinkID(named: "backup") == 2)
        let cloud = SpoolTotals(
            uplink: 1,
            messages: 1_000,
            bytes: 5_000,
            oldestStoredAt: 1_700_000_000_000,
            sequences: 100...1_099
        )
        let backup = SpoolTotals(uplink: 2, messages: 1, bytes: 1, oldestStoredAt: 5, sequences: 7...7)
        #expect(store.spoolTotals == [cloud, backup])
        let records = try await self.state.load(store, uplink: 1).records
        #expect(records.map(\.sequence) == Array(100...1_099))
        #expect(records.map(\.retain).prefix(2) == [false, true])
        #expect(records.allSatisfy { $0.properties.readableBytes == 0 && $0.expiresAt == nil && !$0.isClockless })
        var next = try SpoolRecord.sample(store.lastSequence + 1)
        next.expiresAt = 1
        try await self.state.commit(.inserting([next]), to: store)
        let committed = try await self.state.commit(.dropping(.expired(before: 2)), to: store)
        #expect(committed.dropped.map(\.messages) == [1] && committed.totals == [cloud])
        #expect(try store.deadLetters(limit: 1).isEmpty && store.timeFloor() == 0)
        store.close()
    }
}
