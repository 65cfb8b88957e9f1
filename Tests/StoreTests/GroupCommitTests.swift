import Dispatch
import GRDBSQLite
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Store

@Suite("Group commit", .ownThread)
struct GroupCommitTests {
    private let state = TemporaryState()

    /// Holds the first commit until told, and counts all steps.
    private final class Gate: Sendable {
        let opened = DispatchSemaphore(value: 0)
        let entered = DispatchSemaphore(value: 0)
        let counts = Mutex((commits: 0, inserts: 0, deletes: 0))
        /// Result codes for the inserts of these numbers.
        let failures: [Int: Int32]

        init(failures: [Int: Int32] = [:]) {
            self.failures = failures
        }

        func fault(_ point: StoreFaultPoint) -> Int32 {
            switch point {
            case .begin, .session, .message, .dead, .packet, .oscore:
                return SQLITE_OK
            case .insert(let number):
                self.counts.withLock { $0.inserts += 1 }
                return self.failures[number] ?? SQLITE_OK
            case .delete:
                self.counts.withLock { $0.deletes += 1 }
                return SQLITE_OK
            case .commit(let number):
                self.counts.withLock { $0.commits += 1 }
                if number == 1 {
                    self.entered.signal()
                    self.opened.wait()
                }
                return SQLITE_OK
            }
        }

        var options: StoreOptions {
            var options = StoreOptions()
            options.fault = { self.fault($0) }
            return options
        }
    }

    /// Submits the first batch, waits until its commit is held, submits the others, lets go, and returns all results
    /// in the order in which they came.
    private func run(_ batches: [StoreBatch], _ store: Store, _ gate: Gate) async -> [Result<Int, StoreError>] {
        await withCheckedContinuation { continuation in
            let results = Mutex<[Result<Int, StoreError>]>([])
            let box = Box(results)
            for (index, batch) in batches.enumerated() {
                store.submit(batch, on: self.state.loop) { result in
                    let all = box.results.withLock { results in
                        results.append(result.map { _ in index })
                        return results
                    }
                    if all.count == batches.count { continuation.resume(returning: all) }
                }
                if index == 0 { gate.entered.wait() }
            }
            gate.opened.signal()
        }
    }

    private final class Box: Sendable {
        let results: Mutex<[Result<Int, StoreError>]>
        init(_ results: consuming Mutex<[Result<Int, StoreError>]>) { self.results = results }
    }

    @Test("writes what arrives during a commit in the next one, and answers in order")
    func merging() async throws {
        let gate = Gate()
        let store = try self.state.open(options: gate.options)
        defer { store.close() }
        let batches = try (1...50).map { StoreBatch.inserting([try .sample($0)]) }
        let results = await self.run(batches, store, gate)
        #expect(results == (0..<50).map { .success($0) })
        #expect(gate.counts.withLock { $0.commits } == 2)
        #expect(try await self.state.load(store, uplink: 1).records.map(\.sequence) == Array(1...50))
    }

    @Test("commits a flood in transactions of bounded size")
    func bound() async throws {
        let gate = Gate()
        var options = gate.options
        options.maxRowsPerCommit = 10
        let store = try self.state.open(options: options)
        defer { store.close() }
        let batches = try (1...41).map { StoreBatch.inserting([try .sample($0)]) }
        let results = await self.run(batches, store, gate)
        #expect(results.count == 41)
        #expect(gate.counts.withLock { $0.commits } == 5)
    }

    @Test("does not write at all what was acknowledged before it could be written")
    func cancellation() async throws {
        let gate = Gate()
        let store = try self.state.open(options: gate.options)
        defer { store.close() }
        var batches = try (1...10).map { StoreBatch.inserting([try .sample($0)]) }
        batches += (2...8).map { .acknowledging($0...$0) }
        let results = await self.run(batches, store, gate)
        #expect(results.count == 17)
        let counts = gate.counts.withLock { $0 }
        #expect(counts.inserts == 3)
        #expect(counts.deletes == 1)
        #expect(try await self.state.load(store, uplink: 1).records.map(\.sequence) == [1, 9, 10])
    }

    @Test("keeps a batch that fails by itself from taking others with it")
    func poison() async throws {
        // Insert 3 is the second of the merged commit; 2 to 4 are tried, then 1 more each: the third again as number 5.
        let gate = Gate(failures: [3: SQLITE_TOOBIG, 5: SQLITE_TOOBIG])
        let store = try self.state.open(options: gate.options)
        defer { store.close() }
        let batches = try (1...4).map { StoreBatch.inserting([try .sample($0)]) }
        let results = await self.run(batches, store, gate)
        #expect(results.count == 4)
        #expect(results.map { try? $0.get() } == [0, 1, nil, 3])
        #expect(try await self.state.load(store, uplink: 1).records.map(\.sequence) == [1, 2, 4])
    }
}
