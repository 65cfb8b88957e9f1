import Foundation
import Synchronization
package import Testing

/// A trait of a suite whose tests block the thread they run on: they get one of their own, so that the few that all other
/// tests share are not kept from these.
package struct OwnThread: SuiteTrait, TestScoping {
    /// A thread that runs what is given to it, in order, until it is stopped.
    private final class Executor: TaskExecutor {
        private let jobs = Mutex<[UnownedJob]>([])
        private let isStopped = Atomic(false)
        private let signal = DispatchSemaphore(value: 0)

        init() {
            Thread { self.run() }.start()
        }

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            self.jobs.withLock { $0.append(job) }
            self.signal.signal()
        }

        func stop() {
            self.isStopped.store(true, ordering: .relaxed)
            self.signal.signal()
        }

        private func run() {
            while true {
                self.signal.wait()
                if let job = self.jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
                    unsafe job.runSynchronously(on: self.asUnownedTaskExecutor())
                } else if self.isStopped.load(ordering: .relaxed) {
                    return
                }
            }
        }
    }

    /// As ``TestScoping`` has it.
    package func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let executor = Executor()
        defer { executor.stop() }
        try await withTaskExecutorPreference(executor) { try await function() }
    }
}

extension Trait where Self == OwnThread {
    /// The tests of the suite may block.
    package static var ownThread: Self { OwnThread() }
}
