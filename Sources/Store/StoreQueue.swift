import Foundation
import NIOCore

/// Where the loop leaves work for the store's thread: an array behind a mutex, and a condition to sleep on.
///
/// Times out by the monotonic clock: a gateway without a clock chip jumps by years when it finds a time server.
final class StoreQueue: @unchecked Sendable {
    // @unchecked Sendable: every property but the two handles is read and written under the mutex only.

    /// Work of one kind or the other, in the order of submission.
    enum Job {
        case batch(PendingBatch)
        /// Runs on the store's thread.
        case work(@Sendable () -> Void)
    }

    /// What the thread is to do.
    enum Next {
        case jobs([Job])
        case timedOut
        /// Nothing is left and nothing will come.
        case closed
    }

    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var jobs: [Job] = []
    private var isSleeping = false
    private var isClosed = false

    init() {
        self.mutex = .allocate(capacity: 1)
        self.condition = .allocate(capacity: 1)
        pthread_mutex_init(self.mutex, nil)
        #if canImport(Darwin)
            pthread_cond_init(self.condition, nil)
        #else
            var attributes = pthread_condattr_t()
            pthread_condattr_init(&attributes)
            pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
            pthread_cond_init(self.condition, &attributes)
            pthread_condattr_destroy(&attributes)
        #endif
    }

    deinit {
        pthread_cond_destroy(self.condition)
        pthread_mutex_destroy(self.mutex)
        self.condition.deallocate()
        self.mutex.deallocate()
    }

    /// Leaves a job; false when the queue was closed, and then nobody will do it. Wakes the thread only if it sleeps.
    func submit(_ job: Job) -> Bool {
        pthread_mutex_lock(self.mutex)
        let isAccepted = !self.isClosed
        if isAccepted { self.jobs.append(job) }
        let mustWake = isAccepted && self.isSleeping
        if mustWake { self.isSleeping = false }
        pthread_mutex_unlock(self.mutex)
        if mustWake { pthread_cond_signal(self.condition) }
        return isAccepted
    }

    /// Takes no more jobs; those that are there will still be done.
    func close() {
        pthread_mutex_lock(self.mutex)
        self.isClosed = true
        pthread_mutex_unlock(self.mutex)
        pthread_cond_signal(self.condition)
    }

    /// For the thread: everything there is, once there is anything. Sleeps until then, or to `deadline`.
    func next(deadline: NIODeadline?) -> Next {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        while self.jobs.isEmpty {
            if self.isClosed { return .closed }
            self.isSleeping = true
            if let deadline {
                if !self.sleep(until: deadline) {
                    self.isSleeping = false
                    return self.jobs.isEmpty ? .timedOut : .jobs(self.takeAll())
                }
            } else {
                pthread_cond_wait(self.condition, self.mutex)
            }
        }
        self.isSleeping = false
        return .jobs(self.takeAll())
    }

    private func takeAll() -> [Job] {
        var taken: [Job] = []
        swap(&taken, &self.jobs)
        return taken
    }

    /// False when the time has come.
    private func sleep(until deadline: NIODeadline) -> Bool {
        let now = NIODeadline.now()
        guard deadline > now else { return false }
        #if canImport(Darwin)
            let wait = (deadline - now).nanoseconds
            var time = timespec(tv_sec: Int(wait / 1_000_000_000), tv_nsec: Int(wait % 1_000_000_000))
            return pthread_cond_timedwait_relative_np(self.condition, self.mutex, &time) != ETIMEDOUT
        #else
            // NIODeadline counts CLOCK_MONOTONIC.
            let at = deadline.uptimeNanoseconds
            var time = timespec(tv_sec: Int(at / 1_000_000_000), tv_nsec: Int(at % 1_000_000_000))
            return pthread_cond_timedwait(self.condition, self.mutex, &time) != ETIMEDOUT
        #endif
    }
}

/// A batch on its way to the disk.
struct PendingBatch: Sendable {
    var batch: StoreBatch
    var loop: any EventLoop
    /// Called on `loop`.
    var completion: @Sendable (Result<CommittedBatch, StoreError>) -> Void
}
