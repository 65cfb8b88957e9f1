import Foundation
import Synchronization
package import Testing

/// A trait of suites whose tests start a gateway, brokers and clients as processes: only so many of these tests run at a time.
///
/// All of them at once would be some hundred processes on the two cores of a small machine, and each would have to wait so long for
/// its turn that what it measures its patience with is the load of the tests themselves.
package struct InTurn: SuiteTrait, TestTrait, TestScoping {
    private static let turns = Turns(count: 3 * ProcessInfo.processInfo.activeProcessorCount)

    /// Each test waits, not its suite: those of one suite may run after each other.
    package var isRecursive: Bool { true }

    /// Around a test with all of its cases, where the time limit of the suite does not count yet.
    package func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? {
        test.isSuite || testCase != nil ? nil : self
    }

    /// As ``TestScoping`` has it.
    package func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        await Self.turns.take()
        defer { Self.turns.giveBack() }
        try await function()
    }
}

extension Trait where Self == InTurn {
    /// The tests of the suite start processes, and wait until not too many others do.
    package static var inTurn: Self { InTurn() }
}

/// So many turns; who comes when all are taken waits, first come, first served.
private final class Turns: Sendable {
    private struct State {
        var free: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Mutex<State>

    init(count: Int) {
        self.state = Mutex(State(free: count))
    }

    func take() async {
        await withCheckedContinuation { continuation in
            let isFree = self.state.withLock { state in
                guard state.free > 0 else {
                    state.waiting.append(continuation)
                    return false
                }
                state.free -= 1
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    func giveBack() {
        let next: CheckedContinuation<Void, Never>? = self.state.withLock { state in
            guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
            state.free += 1
            return nil
        }
        next?.resume()
    }
}
