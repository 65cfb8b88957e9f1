import Broker
import Foundation
import GRDB
import GRDBSQLite
import Logging
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Store

@Suite("Sessions and failures", .ownThread)
struct SessionFailureTests {
    private let state = TemporaryState()

    // MARK: - Failed commits

    @Test(
        "have nothing of a batch whose transaction failed, and go on",
        arguments: [StoreFaultPoint.begin(2), .session(3), .session(5), .message(2), .commit(2)]
    )
    func failedBatch(point: StoreFaultPoint) async throws {
        var options = StoreOptions()
        options.fault = { $0 == point ? SQLITE_IOERR : SQLITE_OK }
        let store = try self.state.open(options: options)
        defer { store.close() }
        // Steps of the first: open, message, enqueue. Of the second: open, subscribe, message, enqueue, enqueue.
        let first = StoreBatch.changing([.open(.sample(1)), .enqueue(1, 10, 5)], messages: [.sample(5)])
        try await self.state.commit(first, to: store)
        let before = try store.sessions()
        let batch = StoreBatch.changing(
            [.open(.sample(2)), .subscribe(session: 2, .sample("a")), .enqueue(1, 11, 6), .enqueue(2, 12, 6)],
            messages: [.sample(6)]
        )
        let result = await self.state.submit(batch, to: store)
        #expect(throws: StoreError.self) { try result.get() }
        let after = try store.sessions()
        #expect(after.sessions == before.sessions && after.messages == before.messages)
        try await self.state.commit(batch, to: store)
        #expect(try store.sessions().sessions.map(\.queue.count) == [2, 1])
        try await self.state.commit(.changing([.dequeue(1, 11, 6), .dequeue(2, 12, 6)]), to: store)
        #expect(try self.state.sessionRows() == [2, 1, 1, 1, 0, 0])
    }

    @Test("take nothing away with a batch that failed, and all of it when the loop tries again")
    func triedAgain() async throws {
        var options = StoreOptions()
        options.fault = { $0 == .commit(2) || $0 == .commit(3) ? SQLITE_IOERR : SQLITE_OK }
        let store = try self.state.open(options: options)
        defer { store.close() }
        let opening: [SessionChange] = [
            .open(.sample(1)), .open(.sample(2)), .enqueue(1, 10, 5), .enqueue(1, 11, 6),
            .hold(session: 1, packetID: 1),
            .hold(session: 1, packetID: 2), .subscribe(session: 1, .sample("a")), .subscribe(session: 1, .sample("b")),
            .enqueue(2, 12, 6),
        ]
        try await self.state.commit(.changing(opening, messages: [.sample(5), .sample(6)]), to: store)
        let removals: [SessionChange] = [
            .dequeue(1, 10, 5), .free(session: 1, packetID: 1),
            .unsubscribe(session: 1, filter: ByteBuffer(string: "a")),
            .end(session: 2), .free(session: 1, packetID: 2), .hold(session: 1, packetID: 2),
            .unsubscribe(session: 1, filter: ByteBuffer(string: "b")), .subscribe(session: 1, .sample("b", qos: 2)),
            .open(.sample(3)), .update(session: 1, expiryInterval: 1, leftAt: 1),
        ]
        var result = await self.state.submit(.changing(removals), to: store)
        #expect(throws: StoreError.self) { try result.get() }
        result = await self.state.submit(.changing([.dequeue(1, 11, 6)]), to: store)
        #expect(throws: StoreError.self) { try result.get() }
        #expect(try self.state.sessionRows() == [2, 2, 2, 3, 2, 0])
        try await self.state.commit(.inserting([.sample(100)]), to: store)
        #expect(try self.state.sessionRows() == [2, 2, 2, 3, 2, 0])
        try await self.state.commit(.changing(removals.dropLast(2) + [.dequeue(1, 11, 6)]), to: store)
        let expected = StoredSession(record: .sample(1), subscriptions: [.sample("b", qos: 2)], held: [2])
        #expect(try store.sessions().sessions == [expected])
        #expect(try self.state.sessionRows() == [1, 1, 0, 0, 1, 0])
    }

    @Test("make room when the disk is full, in the batch that found none")
    func full() async throws {
        var options = StoreOptions()
        options.maxPages = 80
        let store = try self.state.open(options: options)
        defer { store.close() }
        try await self.state.commit(.changing([.open(.sample(1)), .open(.sample(2))]), to: store)
        var stored: [Int64] = []
        var failure: StoreError?
        var number: Int64 = 10
        while failure == nil, number < 1_000 {
            number += 1
            let batch = StoreBatch.changing([.enqueue(1, number, number)], messages: [.sample(number, bytes: 1_000)])
            switch await self.state.submit(batch, to: store) {
            case .success: stored.append(number)
            case .failure(let error): failure = error
            }
        }
        #expect(failure?.kind == .diskFull)
        #expect(try store.sessions().sessions[0].queue.map(\.order) == stored)
        let news = (Int64(2_000)...2_400)
        var changes = stored.dropLast(2).map { SessionChange.dequeue(1, $0, $0) }
        changes += news.map { .enqueue(2, $0, $0) }
        let batch = StoreBatch.changing(changes, messages: news.map { .sample($0, bytes: 1_000) })
        let result = await self.state.submit(batch, to: store)
        #expect(throws: StoreError.self) { try result.get() }
        #expect(try store.sessions().sessions.map { $0.queue.map(\.order) } == [stored.suffix(2), []])
    }

    // MARK: - Groups

    private struct Counts: Equatable {
        var commits = 0
        var sessions = 0
        var messages = 0
    }

    /// Holds the first commit until told, and counts the steps of sessions.
    private final class Gate: Sendable {
        let opened = DispatchSemaphore(value: 0)
        let entered = DispatchSemaphore(value: 0)
        let counts = Mutex(Counts())
        let fails: @Sendable (StoreFaultPoint) -> Bool

        init(fails: @escaping @Sendable (StoreFaultPoint) -> Bool = { _ in false }) { self.fails = fails }

        func fault(_ point: StoreFaultPoint) -> Int32 {
            switch point {
            case .session: self.counts.withLock { $0.sessions += 1 }
            case .message: self.counts.withLock { $0.messages += 1 }
            case .commit(1):
                self.entered.signal()
                self.opened.wait()
            case .commit: self.counts.withLock { $0.commits += 1 }
            case .begin, .insert, .delete, .dead, .packet, .oscore: break
            }
            return self.fails(point) ? SQLITE_TOOBIG : SQLITE_OK
        }
    }

    /// Commits the first batch by itself, then all others, as far as they don't fail, in one commit.
    private func group(_ first: StoreBatch, _ others: [StoreBatch], _ store: Store, _ gate: Gate) async -> [Bool] {
        let loop = self.state.loop
        let opening = loop.makePromise(of: Bool.self)
        store.submit(first, on: loop) { opening.succeed((try? $0.get()) != nil) }
        gate.entered.wait()
        let results = others.map { batch in
            let promise = loop.makePromise(of: Bool.self)
            store.submit(batch, on: loop) { promise.succeed((try? $0.get()) != nil) }
            return promise.futureResult
        }
        gate.counts.withLock { $0 = Counts() }
        gate.opened.signal()
        return (try? await EventLoopFuture.whenAllSucceed(results, on: loop).get()) ?? []
    }

    private func open(_ gate: Gate) throws -> Store {
        var options = StoreOptions()
        options.fault = { gate.fault($0) }
        return try self.state.open(options: options)
    }

    @Test("write nothing of what came and went within one batch, or within the batches of one commit")
    func cancellation() async throws {
        let gate = Gate()
        let store = try self.open(gate)
        defer { store.close() }
        let opening = StoreBatch.changing([.open(.sample(1)), .open(.sample(2))])
        let within = StoreBatch.changing(
            [.enqueue(1, 10, 5), .sent(session: 1, order: 10, packetID: 1), .dequeue(1, 10, 5)],
            messages: [.sample(5)]
        )
        let enqueuing = StoreBatch.changing(
            [.enqueue(1, 11, 6), .enqueue(1, 12, 7)],
            messages: [.sample(6), .sample(7)]
        )
        let dequeuing = StoreBatch.changing([
            .sent(session: 1, order: 11, packetID: 2), .received(session: 1, order: 11), .dequeue(1, 11, 6),
        ])
        #expect(await self.group(opening, [within, enqueuing, dequeuing], store, gate) == [true, true, true])
        #expect(gate.counts.withLock(\.self) == Counts(commits: 1, sessions: 1, messages: 1))
        #expect(try store.sessions().sessions.first?.queue == [.sample(session: 1, order: 12, message: 7)])
        #expect(try self.state.sessionRows() == [2, 0, 1, 1, 0, 0])
    }

    @Test("write one message for a row that survives though others of the commit do not")
    func partialCancellation() async throws {
        let gate = Gate()
        let store = try self.open(gate)
        defer { store.close() }
        let opening = StoreBatch.changing([.open(.sample(1)), .open(.sample(2))])
        let enqueuing = StoreBatch.changing([.enqueue(1, 10, 5), .enqueue(2, 11, 5)], messages: [.sample(5)])
        #expect(await self.group(opening, [enqueuing, .changing([.dequeue(1, 10, 5)])], store, gate) == [true, true])
        #expect(gate.counts.withLock(\.self) == Counts(commits: 1, sessions: 1, messages: 1))
        let (sessions, messages) = try store.sessions()
        #expect(sessions.map(\.queue.count) == [0, 1] && messages == [5: .sample(5)])
    }

    @Test("drop what a session was to get that ends in the same commit")
    func endInGroup() async throws {
        let gate = Gate()
        let store = try self.open(gate)
        defer { store.close() }
        let opening = StoreBatch.changing([.open(.sample(1))])
        let others: [StoreBatch] = [
            .changing([.enqueue(1, 10, 5), .subscribe(session: 1, .sample("a"))], messages: [.sample(5)]),
            .changing([.open(.sample(2)), .enqueue(2, 11, 5), .end(session: 2)]),
            .changing([.end(session: 1)]),
        ]
        #expect(await self.group(opening, others, store, gate) == [true, true, true])
        #expect(gate.counts.withLock(\.self) == Counts(commits: 1, sessions: 1, messages: 0))
        #expect(try self.state.sessionRows() == [0, 0, 0, 0, 0, 0])
    }

    @Test("end up the same when the batches of a failed group are tried one by one")
    func oneByOne() async throws {
        // Fails the message whenever it is tried: the group, then its own batch.
        let gate = Gate(fails: { point in
            if case .message = point { true } else { false }
        })
        let store = try self.open(gate)
        defer { store.close() }
        let opening = StoreBatch.changing([
            .open(.sample(1)), .subscribe(session: 1, .sample("a", qos: 0)), .subscribe(session: 1, .sample("b")),
            .hold(session: 1, packetID: 1),
        ])
        let others: [StoreBatch] = [
            .changing([.subscribe(session: 1, .sample("a", qos: 1)), .hold(session: 1, packetID: 2)]),
            .changing([.enqueue(1, 10, 5)], messages: [.sample(5)]),
            .changing([.unsubscribe(session: 1, filter: ByteBuffer(string: "b")), .free(session: 1, packetID: 1)]),
            .changing([.subscribe(session: 1, .sample("b", qos: 2)), .dequeue(1, 10, 5)]),
        ]
        var batches = others
        batches.append(.changing([.enqueue(1, 11, 6)], messages: [.sample(6)]))
        #expect(await self.group(opening, batches, store, gate) == [true, false, true, true, false])
        let expected = StoredSession(
            record: .sample(1),
            subscriptions: [.sample("a", qos: 1), .sample("b", qos: 2)],
            held: [2]
        )
        #expect(try store.sessions().sessions == [expected])
    }
}
