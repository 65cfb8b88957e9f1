import Broker
import GRDBSQLite
import MQTTCodec
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Store

@Suite("Fault matrix", .ownThread)
struct FaultMatrixTests {
    /// Fails the step of one number, counted over all kinds of steps.
    private final class OneFault: Sendable {
        let number: Int
        let code: Int32
        let seen = Atomic(0)

        init(number: Int, code: Int32) {
            self.number = number
            self.code = code
        }

        func callAsFunction() -> Int32 {
            self.seen.add(1, ordering: .relaxed).newValue == self.number ? self.code : SQLITE_OK
        }
    }

    /// Eight batches: inserts throughout, acknowledgements of what came before from the third on.
    private static func workload(from start: Int64) throws -> [StoreBatch] {
        try (Int64(0)..<8).map { step in
            var batch = StoreBatch()
            batch.inserts = try (1...3).map { try .sample(start + step * 3 + $0) }
            if step >= 2 {
                let first = start + (step - 2) * 3 + 1
                batch.acknowledged = [.init(uplink: 1, sequences: first...first + 2)]
            }
            return batch
        }
    }

    @Test(
        "whichever step fails, has all that was reported as stored, nothing that was reported as failed, and no more of what was acknowledged",
        arguments: [SQLITE_IOERR, SQLITE_FULL, SQLITE_BUSY, SQLITE_TOOBIG]
    )
    func anyStep(code: Int32) async throws {
        // 8 begins, 24 inserts, 6 deletes, 8 commits; retries add some. The last numbers fail nothing.
        for number in 1...50 {
            let state = TemporaryState()
            let fault = OneFault(number: number, code: code)
            var options = StoreOptions()
            options.fault = { _ in fault() }
            let store = try state.open(options: options)
            #expect(try store.uplinkID(named: "cloud") == 1)

            var expected: [Int64] = []
            var acknowledged: Set<Int64> = []
            for batch in try Self.workload(from: store.lastSequence) {
                // Acknowledged by the outside broker is acknowledged, whatever becomes of the batch that says so.
                for item in batch.acknowledged { acknowledged.formUnion(item.sequences) }
                if case .success = await state.submit(batch, to: store) {
                    expected += batch.inserts.map(\.sequence)
                }
            }
            // After a failure in the very last batch its acknowledgements wait for another commit.
            let last = store.lastSequence + 1_000
            if case .success = await state.submit(.inserting([try .sample(last)]), to: store) { expected.append(last) }
            expected.removeAll { acknowledged.contains($0) }
            #expect(try await state.load(store, uplink: 1).records.map(\.sequence) == expected, "step \(number)")
            store.close()

            let again = try state.open()
            #expect(try await state.load(again, uplink: 1).records.map(\.sequence) == expected, "step \(number)")
            #expect(again.spoolTotals.first?.messages == expected.count, "step \(number)")
            #expect(again.lastSequence >= last)
            again.close()
        }
    }

    // MARK: - Sessions

    /// Eight batches: a session opens; then each enqueues and holds something, and from the third on takes it away again.
    /// The sixth ends a second session that the second opened.
    private static func sessionWorkload(from start: Int64) -> [StoreBatch] {
        let (session, other) = (start + 1, start + 2)
        return (Int64(0)..<8).map { step in
            let order = start + 10 + step * 10
            var changes: [SessionChange] = [
                .enqueue(session, order, order + 1), .sent(session: session, order: order - 10, packetID: 9),
                .hold(session: session, packetID: UInt16(step + 1)),
            ]
            switch step {
            case 0: changes = [.open(.sample(session)), .subscribe(session: session, .sample("a"))] + changes
            case 1: changes += [.open(.sample(other)), .enqueue(other, order + 2, order + 1)]
            case 5: changes += [.end(session: other), .unsubscribe(session: session, filter: ByteBuffer(string: "a"))]
            default: break
            }
            if step >= 2 {
                changes.append(.dequeue(session, order - 20, order - 19))
                changes.append(.free(session: session, packetID: UInt16(step - 1)))
            }
            return .changing(changes, messages: [.sample(order + 1)])
        }
    }

    /// What should be there, by the rules of the batch: all of those that were stored, and the removals of all.
    private struct Expectation {
        var sessions: Set<Int64> = []
        var queue: Set<Int64> = []
        var held: Set<UInt16> = []
        var subscriptions = 0
        /// Removals of failed batches, which the loop puts into the next one.
        private(set) var owed: [SessionChange] = []

        mutating func take(_ batch: StoreBatch, isStored: Bool) {
            let removals = SessionPlan(self.owed + batch.sessions).removals
            guard isStored else {
                self.owed = removals
                return
            }
            self.owed = []
            for change in removals + batch.sessions { self.apply(change) }
        }

        private mutating func apply(_ change: SessionChange) {
            switch change {
            case .open(let record): self.sessions.insert(record.number)
            case .end(let session): self.sessions.remove(session)
            case .enqueue(let record):
                if self.sessions.contains(record.session) { self.queue.insert(record.order) }
            case .dequeue(_, let order, _): self.queue.remove(order)
            case .hold(let session, let packetID):
                if self.sessions.contains(session) { self.held.insert(packetID) }
            case .free(_, let packetID): self.held.remove(packetID)
            case .subscribe(let session, _): if self.sessions.contains(session) { self.subscriptions = 1 }
            case .unsubscribe: self.subscriptions = 0
            case .update, .sent, .received, .will: break
            }
        }
    }

    @Test(
        "whichever step fails, sessions have all that was stored and nothing of what failed, and take no removal back",
        arguments: [SQLITE_IOERR, SQLITE_FULL]
    )
    func anyStepOfSessions(code: Int32) async throws {
        // 8 begins, 8 commits, 8 messages inserted and 7 deleted, 40 changes. The last numbers fail nothing.
        for number in 1...90 {
            let state = TemporaryState()
            let fault = OneFault(number: number, code: code)
            var options = StoreOptions()
            options.fault = { _ in fault() }
            let store = try state.open(options: options)
            var expected = Expectation()
            let other = store.lastSequence + 2
            var before = try store.sessions()
            for var batch in Self.sessionWorkload(from: store.lastSequence) {
                batch.sessions = expected.owed + batch.sessions
                let result = await state.submit(batch, to: store)
                let isStored = (try? result.get()) != nil
                expected.take(batch, isStored: isStored)
                let after = try store.sessions()
                // (After a full disk what was owed is tried at once, for itself.)
                if !isStored, code != SQLITE_FULL {
                    #expect(after.sessions == before.sessions, "step \(number)")
                    #expect(after.messages == before.messages, "step \(number)")
                }
                before = after
            }
            var last = try StoreBatch.inserting([.sample(1_000)])
            last.sessions = expected.owed
            let isLast = (try? await state.submit(last, to: store).get()) != nil
            expected.take(StoreBatch(), isStored: isLast)
            if !expected.sessions.contains(other) { expected.queue = expected.queue.filter { $0 % 10 == 0 } }
            let kept = try store.sessions()
            store.close()

            let again = try state.open()
            let (sessions, messages) = try again.sessions()
            #expect(sessions == kept.sessions, "step \(number)")
            #expect(messages == kept.messages, "step \(number)")
            #expect(Set(sessions.map(\.record.number)) == expected.sessions, "step \(number)")
            #expect(Set(sessions.flatMap(\.queue).map(\.order)) == expected.queue, "step \(number)")
            #expect(Set(messages.keys) == Set(sessions.flatMap(\.queue).map(\.message)), "step \(number)")
            #expect(Set(sessions.flatMap(\.held)) == expected.held, "step \(number)")
            #expect(sessions.map(\.subscriptions.count).reduce(0, +) == expected.subscriptions, "step \(number)")
            #expect(try state.numbers("SELECT count(*) FROM message") == [Int64(messages.count)], "step \(number)")
            again.close()
            if number == 90 { #expect(fault.seen.load(ordering: .relaxed) < number) }
        }
    }
}
