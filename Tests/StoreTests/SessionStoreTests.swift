import Broker
import GRDBSQLite
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Store

@Suite("Sessions in the store", .ownThread)
struct SessionStoreTests {
    private let state = TemporaryState()

    /// Two sessions with everything that a session can have.
    private static func everything(from base: Int64) -> (batch: StoreBatch, expected: [StoredSession]) {
        var message = StoredMessage.sample(base + 10, bytes: 5_000)
        message.properties = ByteBuffer(bytes: [1, 1])
        message.expiresAt = 1_763_000_000_123
        message.publisher = "a-device-with-a-name-of-more-than-fifteen-bytes"
        message.qos = 2
        var bare = StoredMessage.sample(base + 11)
        bare.payload = ByteBuffer()
        bare.qos = 0
        let records = [
            SessionRecord.sample(base + 1, owner: .device("kitchen"), expiryInterval: .max),
            SessionRecord.sample(base + 2, client: "", owner: .unproven, expiryInterval: 0, leftAt: 0),
        ]
        let full = SubscriptionRecord(
            filter: ByteBuffer(string: "$share/g/e\u{301}/+/#"),
            qos: 2,
            noLocal: true,
            retainAsPublished: true,
            identifier: 268_435_455
        )
        let queued = [
            QueuedMessageRecord(
                session: base + 1,
                order: base + 20,
                message: base + 10,
                qos: 2,
                retain: true,
                packetID: 65_535,
                isReceived: true,
                subscriptionIdentifiers: [1, 127, 128, 268_435_455]
            ),
            .sample(session: base + 1, order: base + 21, message: base + 11),
            .sample(session: base + 2, order: base + 20, message: base + 10),
        ]
        var will = WillRecord.sample("wills/1", delay: .max)
        will.properties = ByteBuffer(bytes: [1, 0])
        will.qos = 2
        let batch = StoreBatch.changing(
            records.map { .open($0) } + queued.map { .enqueue($0) } + [
                .subscribe(session: base + 1, .sample("a", qos: 0)), .subscribe(session: base + 1, full),
                .hold(session: base + 1, packetID: 65_535), .hold(session: base + 1, packetID: 1),
                .will(session: base + 1, will),
            ],
            messages: [message, bare]
        )
        let first = StoredSession(
            record: records[0],
            subscriptions: [full, .sample("a", qos: 0)],
            queue: Array(queued.prefix(2)),
            held: [1, 65_535],
            will: will
        )
        return (batch, [first, StoredSession(record: records[1], queue: [queued[2]])])
    }

    @Test("come back as they were, after a restart and in a copy of the files without a close")
    func roundTrip() async throws {
        let store = try self.state.open()
        let (batch, expected) = Self.everything(from: store.lastSequence)
        try await self.state.commit(batch, to: store)
        let copy = try self.state.copy()
        store.close()
        for state in [self.state, copy] {
            let again = try state.open()
            let (sessions, messages) = try again.sessions()
            #expect(sessions == expected)
            #expect(messages.count == 2)
            for message in batch.messages { #expect(messages[message.number] == message) }
            #expect(again.lastSequence > expected[0].queue[1].order)
            again.close()
        }
    }

    @Test("change as they are told, commit by commit")
    func changes() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let base = store.lastSequence
        var (batch, expected) = Self.everything(from: base)
        try await self.state.commit(batch, to: store)
        let session = base + 1
        batch = .changing([
            .update(session: session, expiryInterval: 60, leftAt: 1_763_000_000_000),
            .unsubscribe(session: session, filter: ByteBuffer(string: "a")),
            .subscribe(session: session, .sample("b")), .subscribe(session: session, .sample("$share/g/e\u{301}/+/#")),
            .sent(session: session, order: base + 21, packetID: 9), .received(session: session, order: base + 21),
            .free(session: session, packetID: 1), .hold(session: session, packetID: 65_535),
            .hold(session: session, packetID: 2), .will(session: session, nil), .will(session: base + 2, .sample("w")),
        ])
        try await self.state.commit(batch, to: store)
        expected[0].record.expiryInterval = 60
        expected[0].record.leftAt = 1_763_000_000_000
        expected[0].subscriptions = [.sample("$share/g/e\u{301}/+/#"), .sample("b")]
        expected[0].queue[1].packetID = 9
        expected[0].queue[1].isReceived = true
        expected[0].held = [2, 65_535]
        expected[0].will = nil
        expected[1].will = .sample("w")
        #expect(try store.sessions().sessions == expected)

        try await self.state.commit(.changing([.dequeue(session, base + 20, base + 10)]), to: store)
        expected[0].queue.removeFirst()
        #expect(try store.sessions().sessions == expected)
        #expect(try store.sessions().messages.count == 2)
        try await self.state.commit(.changing([.dequeue(base + 2, base + 20, base + 10)]), to: store)
        #expect(try store.sessions().messages.keys.map { $0 - base } == [11])
        #expect(try self.state.numbers("SELECT number FROM message") == [base + 11])
    }

    @Test("leave nothing behind when they end, and take nothing of others with them")
    func end() async throws {
        let store = try self.state.open()
        let base = store.lastSequence
        let (batch, expected) = Self.everything(from: base)
        try await self.state.commit(batch, to: store)
        try await self.state.commit(.changing([.end(session: base + 1)]), to: store)
        #expect(try store.sessions().sessions == [expected[1]])
        #expect(try self.state.sessionRows() == [1, 0, 1, 1, 0, 0])
        store.close()
        let again = try self.state.open()
        defer { again.close() }
        try await self.state.commit(.changing([.end(session: base + 2)]), to: again)
        #expect(try self.state.sessionRows() == [0, 0, 0, 0, 0, 0])
    }

    @Test("leave nothing behind even if something in their queue is older than they are")
    func endOfOlderRows() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let changes: [SessionChange] = [.open(.sample(50)), .enqueue(50, 3, 2), .enqueue(50, 60, 2)]
        try await self.state.commit(.changing(changes, messages: [.sample(2)]), to: store)
        try await self.state.commit(.changing([.end(session: 50)]), to: store)
        #expect(try self.state.sessionRows() == [0, 0, 0, 0, 0, 0])
    }

    @Test("share a message: it is stored once, and goes with the last of them")
    func sharing() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let sessions = Int64(1)...1_000
        var changes = sessions.map { SessionChange.open(.sample($0)) }
        changes += sessions.map { .enqueue($0, 2_000 + $0, 1_500) }
        try await self.state.commit(.changing(changes, messages: [.sample(1_500)]), to: store)
        #expect(try self.state.sessionRows() == [1_000, 0, 1, 1_000, 0, 0])
        try await self.state.commit(.changing((1...600).map { .dequeue($0, 2_000 + $0, 1_500) }), to: store)
        try await self.state.commit(.changing((601...999).map { .end(session: $0) }), to: store)
        #expect(try self.state.sessionRows() == [601, 0, 1, 1, 0, 0])
        try await self.state.commit(.changing([.dequeue(1_000, 3_000, 1_500)]), to: store)
        #expect(try self.state.sessionRows() == [601, 0, 0, 0, 0, 0])
    }

    @Test("wait for a message that came in an earlier batch, also while its last other row goes")
    func earlierMessage() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let opening: [SessionChange] = [.open(.sample(1)), .open(.sample(2)), .enqueue(1, 10, 5)]
        try await self.state.commit(.changing(opening, messages: [.sample(5)]), to: store)
        try await self.state.commit(.changing([.dequeue(1, 10, 5), .enqueue(2, 11, 5)]), to: store)
        var (sessions, messages) = try store.sessions()
        #expect(sessions.map(\.queue.count) == [0, 1] && messages == [5: .sample(5)])
        // Once more with the message itself: it is there already.
        let again = StoreBatch.changing([.end(session: 2), .enqueue(1, 12, 5)], messages: [.sample(5)])
        try await self.state.commit(again, to: store)
        (sessions, messages) = try store.sessions()
        #expect(sessions.map(\.queue) == [[.sample(session: 1, order: 12, message: 5)]] && messages == [5: .sample(5)])
    }

    @Test("take no changes without a session, and no row without a message")
    func strangers() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let strange: [SessionChange] = [
            .update(session: 1, expiryInterval: 1, leftAt: nil), .subscribe(session: 1, .sample("a")),
            .enqueue(1, 10, 5), .hold(session: 1, packetID: 1), .will(session: 1, .sample("w")), .dequeue(1, 9, 5),
            .end(session: 3),
        ]
        try await self.state.commit(.changing(strange, messages: [.sample(5)]), to: store)
        #expect(try self.state.sessionRows() == [0, 0, 0, 0, 0, 0])
        try await self.state.commit(.changing([.open(.sample(1)), .enqueue(1, 10, 5)]), to: store)
        #expect(try self.state.sessionRows() == [1, 0, 0, 0, 0, 0])
        // Twice the same place: the first is left alone.
        let twice = StoreBatch.changing([.enqueue(1, 11, 6)], messages: [.sample(6)])
        try await self.state.commit(twice, to: store)
        try await self.state.commit(twice, to: store)
        try await self.state.commit(.changing([.dequeue(1, 11, 6), .dequeue(1, 11, 6)]), to: store)
        #expect(try self.state.sessionRows() == [1, 0, 0, 0, 0, 0])
    }

    @Test("are never given a number twice, even if what had it was never written")
    func numbers() async throws {
        var highest: Int64 = 0
        let changes: [(Int64) -> StoreBatch] = [
            { .changing([.open(.sample($0))]) },
            { .changing([.open(.sample($0 - 1)), .enqueue($0 - 1, $0, 1), .dequeue($0 - 1, $0, 1)]) },
            { .changing([], messages: [.sample($0)]) },
        ]
        for change in changes {
            let store = try self.state.open()
            #expect(store.lastSequence >= highest)
            highest = store.lastSequence + SpoolWriter.reservation + 5
            try await self.state.commit(change(highest), to: store)
            store.close()
        }
        let store = try self.state.open()
        #expect(store.lastSequence >= highest)
        store.close()
        // Should the mark be lost, the rows still count.
        try self.state.execute("UPDATE meta SET value = 0 WHERE name = 'sequence_reserved'")
        let again = try self.state.open()
        defer { again.close() }
        let session = try #require(try again.sessions().sessions.last).record.number
        #expect(again.lastSequence >= session)
    }

    @Test("have 100,000 messages waiting, and end in one commit")
    func manyRows() async throws {
        let store = try self.state.open()
        try await self.state.commit(.changing((1...10).map { .open(.sample($0)) }), to: store)
        for block in Int64(0)..<20 {
            let numbers = (1...5_000).map { 100 + block * 5_000 + $0 }
            let changes = numbers.map { SessionChange.enqueue(1 + $0 % 10, $0, $0) }
            try await self.state.commit(.changing(changes, messages: numbers.map { .sample($0) }), to: store)
        }
        store.close()
        let again = try self.state.open()
        defer { again.close() }
        let (sessions, messages) = try again.sessions()
        #expect(sessions.map(\.queue.count) == Array(repeating: 10_000, count: 10))
        #expect(sessions.allSatisfy { session in session.queue.map(\.order).sorted() == session.queue.map(\.order) })
        #expect(messages.count == 100_000)
        #expect(messages[100_100] == .sample(100_100))
        try await self.state.commit(.changing((1...9).map { .end(session: $0) }), to: again)
        #expect(try self.state.sessionRows() == [1, 0, 10_000, 10_000, 0, 0])
    }

    @Test("give the disk space of a long queue back when it is gone")
    func reclaim() async throws {
        var options = StoreOptions()
        options.reclaimBytes = 1 << 20
        let store = try self.state.open(options: options)
        defer { store.close() }
        let numbers = Array(Int64(10)..<4_010)
        let opening = [SessionChange.open(.sample(1))] + numbers.map { .enqueue(1, $0, $0) }
        try await self.state.commit(.changing(opening, messages: numbers.map { .sample($0, bytes: 1_000) }), to: store)
        // Over one spool, which is empty, the session's messages must not look like nothing.
        try await self.state.commit(.inserting([.sample(5_000)]), to: store)
        try await self.state.commit(.acknowledging(5_000...5_000), to: store)
        #expect(try store.sessions().messages.count == 4_000)
        let full = try #require(StateDirectory.status(of: self.state.database)).bytes
        try await self.state.commit(.changing([.end(session: 1)]), to: store)
        #expect(try await self.state.load(store, uplink: 1).records.isEmpty)
        let drained = try #require(StateDirectory.status(of: self.state.database)).bytes
        #expect(full > 3 << 20)
        #expect(drained < 1 << 18)
    }

    @Test("are kept from commands")
    func onlyTheGateway() throws {
        try self.state.open().close()
        let store = try self.state.open(.command)
        defer { store.close() }
        let error = #expect(throws: StoreError.self) { try store.sessions() }
        #expect(error?.kind == .closed)
    }
}
