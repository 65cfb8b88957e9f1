import GRDBSQLite
import MQTTCodec
import NIOCore
import Synchronization
import Testing

@testable import Store

@Suite("Fault matrix")
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
}
