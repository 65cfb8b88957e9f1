import Broker
import GRDB
import Logging
import MQTTCodec
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Store

@Suite("Sessions that can't be read", .ownThread)
struct SessionToleranceTests {
    private let state = TemporaryState()

    /// Keeps what was logged at warning or above.
    private final class Warnings: Sendable {
        let lines = Mutex<[String]>([])

        struct Handler: LogHandler {
            let warnings: Warnings
            var metadata: Logger.Metadata = [:]
            var logLevel = Logger.Level.warning

            init(_ warnings: Warnings) { self.warnings = warnings }

            subscript(metadataKey key: String) -> Logger.Metadata.Value? {
                get { self.metadata[key] }
                set { self.metadata[key] = newValue }
            }

            func log(event: LogEvent) {
                self.warnings.lines.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") }
            }
        }

        var logger: Logger { Logger(label: "test") { _ in Handler(self) } }
    }

    /// Two good sessions, the first with everything; the database is closed again.
    private func fill() async throws -> [StoredSession] {
        let store = try self.state.open()
        let changes: [SessionChange] = [
            .open(.sample(1, owner: .device("kitchen"))), .open(.sample(2)), .subscribe(session: 1, .sample("a")),
            .hold(session: 1, packetID: 7), .will(session: 1, .sample("w")), .enqueue(1, 10, 5), .enqueue(2, 11, 5),
            .enqueue(2, 12, 6),
        ]
        try await self.state.commit(.changing(changes, messages: [.sample(5), .sample(6)]), to: store)
        let sessions = try store.sessions().sessions
        store.close()
        return sessions
    }

    /// Each adds something that nobody can have stored.
    private static let damages = [
        "INSERT INTO session VALUES (3, x'41', 'root', 1, NULL)",
        "INSERT INTO session VALUES (4, x'41', 'guest', -1, NULL)",
        "INSERT INTO session VALUES (-9, x'41', 'guest', 1, NULL)",
        "INSERT INTO session VALUES (9223372036854775807, x'41', 'guest', 1, NULL)",
        "INSERT INTO session VALUES (3, zeroblob(65536), 'guest', 1, NULL)",
        "INSERT INTO session VALUES (3, x'41', 'guest', 1, -1)",
        "INSERT INTO session VALUES (3, x'41', 'guest', 1, -9223372036854775808)",
        "INSERT INTO session VALUES (3, x'41', 'guest', 1, 253402214400001)",
        """
        INSERT INTO session VALUES (3, x'41', 'nobody', 1, NULL);
        INSERT INTO queue VALUES (13, 3, 5, 1, 0, NULL); INSERT INTO subscription VALUES (3, x'41', 1, 0);
        INSERT INTO held VALUES (3, 1); INSERT INTO will VALUES (3, x'41', x'', 0, NULL, 0);
        """,
        "INSERT INTO subscription VALUES (1, x'42', 3, 0)",
        "INSERT INTO subscription VALUES (1, x'42', 16, 0)",
        "INSERT INTO subscription VALUES (1, x'42', 1, 268435456)",
        "INSERT INTO subscription VALUES (1, x'', 1, 0)",
        "INSERT INTO subscription VALUES (8, x'42', 1, 0)",
        "INSERT INTO queue VALUES (13, 1, 5, 0, 0, NULL)",
        "INSERT INTO queue VALUES (13, 1, 5, 3, 0, NULL)",
        "INSERT INTO queue VALUES (13, 1, 5, 17, 0, NULL)",
        "INSERT INTO queue VALUES (13, 1, 5, 1, 65536, NULL)",
        "INSERT INTO queue VALUES (13, 1, 5, 1, 0, x'80')",
        "INSERT INTO queue VALUES (13, 1, 5, 1, 0, x'00')",
        "INSERT INTO queue VALUES (13, 1, 5, 1, 0, x'8080808001')",
        "INSERT INTO queue VALUES (13, 1, 99, 1, 0, NULL)",
        "INSERT INTO queue VALUES (-13, 1, 5, 1, 0, NULL)",
        "INSERT INTO queue VALUES (9223372036854775807, 1, 5, 1, 0, NULL)",
        "INSERT INTO queue VALUES (13, 8, 5, 1, 0, NULL)",
        """
        INSERT INTO message VALUES (9, x'41', x'', 3, NULL, NULL, NULL);
        INSERT INTO queue VALUES (13, 1, 9, 1, 0, NULL)
        """,
        """
        INSERT INTO message VALUES (9, x'41', x'', 1, NULL, -9223372036854775808, NULL);
        INSERT INTO queue VALUES (13, 1, 9, 1, 0, NULL)
        """,
        """
        INSERT INTO message VALUES (9, x'41', x'', 1, NULL, 9223372036854775807, NULL);
        INSERT INTO queue VALUES (13, 1, 9, 1, 0, NULL)
        """,
        "INSERT INTO held VALUES (1, 0)",
        "INSERT INTO held VALUES (1, 65536)",
        "INSERT INTO held VALUES (8, 1)",
        "INSERT INTO will VALUES (2, x'41', x'', 3, NULL, 0)",
        "INSERT INTO will VALUES (2, x'41', x'', 8, NULL, 0)",
        "INSERT INTO will VALUES (2, x'41', x'', 1, NULL, -1)",
        "INSERT INTO will VALUES (8, x'41', x'', 1, NULL, 0)",
    ]

    @Test("go alone, with one warning, and the rest is there", arguments: Self.damages)
    func badRow(sql: String) async throws {
        let expected = try await self.fill()
        try self.state.execute(sql)
        let warnings = Warnings()
        let store = try Store.open(directory: self.state.path, logger: warnings.logger)
        #expect(store.lastSequence < 1 << 48)
        let (sessions, messages) = try store.sessions()
        #expect(sessions == expected)
        #expect(messages == [5: .sample(5), 6: .sample(6)])
        #expect(warnings.lines.withLock { $0.count } == 1)
        #expect(try self.state.sessionRows() == [2, 1, 2, 3, 1, 1])
        // The counts are right all the same.
        try await self.state.commit(.changing([.dequeue(1, 10, 5), .end(session: 2)]), to: store)
        #expect(try self.state.sessionRows() == [1, 1, 0, 0, 1, 1])
        #expect(try store.sessions().sessions.map(\.record) == [expected[0].record])
        #expect(warnings.lines.withLock { $0.count } == 1)
        store.close()
    }

    @Test("are one warning however many they are")
    func manyBadRows() async throws {
        let expected = try await self.fill()
        for index in 100..<200 {
            try self.state.execute("INSERT INTO session VALUES (\(index), x'41', 'root', 1, NULL)")
        }
        let warnings = Warnings()
        let store = try Store.open(directory: self.state.path, logger: warnings.logger)
        defer { store.close() }
        #expect(try store.sessions().sessions == expected)
        let lines = warnings.lines.withLock(\.self)
        #expect(lines.count == 1 && lines.first?.contains("\"sessions\": 100") == true, "\(lines)")
    }

    @Test("take a message with them that no other waits for")
    func messageOfBadSession() async throws {
        _ = try await self.fill()
        try self.state.execute("UPDATE session SET owner = 'root' WHERE number = 2")
        let store = try self.state.open()
        defer { store.close() }
        let (sessions, messages) = try store.sessions()
        #expect(sessions.map(\.record.number) == [1] && messages == [5: .sample(5)])
        #expect(try self.state.sessionRows() == [1, 1, 1, 1, 1, 1])
    }

    @Test("messages that nobody waits for are gone once the database is open")
    func orphans() async throws {
        let expected = try await self.fill()
        try self.state.execute(
            """
            INSERT INTO message VALUES (20, x'41', zeroblob(10000), 1, NULL, NULL, NULL);
            INSERT INTO message VALUES (-3, x'41', x'', 1, NULL, NULL, NULL);
            """
        )
        let warnings = Warnings()
        let store = try Store.open(directory: self.state.path, logger: warnings.logger)
        defer { store.close() }
        #expect(try self.state.numbers("SELECT number FROM message") == [5, 6])
        #expect(try store.sessions().sessions == expected)
        #expect(warnings.lines.withLock { $0.isEmpty })
    }

    @Test(
        "a retained message with times that nobody can have stored goes, a spooled one stays without its time",
        arguments: [Int64.min, -1, StoredTime.range.upperBound + 1, .max]
    )
    func badTimes(time: Int64) async throws {
        let first = try self.state.open()
        let uplink = try first.uplinkID(named: "cloud")
        var batch = StoreBatch()
        batch.retained = ["a", "b", "c"].map {
            .set(
                RetainedRecord(
                    topic: ByteBuffer(string: $0),
                    payload: ByteBuffer(string: "on"),
                    qos: .atMostOnce,
                    publisher: nil,
                    storedAt: 7
                )
            )
        }
        batch.inserts = [try .sample(1, uplink: uplink), try .sample(2, uplink: uplink)]
        try await self.state.commit(batch, to: first)
        first.close()
        try self.state.execute(
            """
            UPDATE retained SET stored_at = \(time) WHERE topic = CAST('a' AS BLOB);
            UPDATE retained SET expires_at = \(time) WHERE topic = CAST('b' AS BLOB);
            UPDATE spool SET stored_at = \(time);
            """
        )
        let store = try self.state.open()
        defer { store.close() }
        #expect(try store.retained().map { String(buffer: $0.topic) } == ["c"])
        let unknown = StoredTime.range.upperBound
        #expect(store.spoolTotals.map(\.oldestStoredAt) == [nil])
        let records = try await self.state.load(store, uplink: uplink).records
        #expect(records.map(\.sequence) == [1, 2] && records.allSatisfy { $0.storedAt == unknown })
    }
}
