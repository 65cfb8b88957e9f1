import DequeModule
import Devices
import NIOCore
import NIOPosix
import OpenSSL

/// Checks passwords without holding up the loop: one after the other on a thread of its own, which begins with the first.
///
/// A password that was right is remembered, so that thousands of nodes that come back at once don't wait for each other:
/// as an HMAC under a key of this process, over device, salt and password. Wrong ones are hashed every time, also for a
/// device that does not exist, so that the time tells nothing. Bound to the gateway's loop.
final class PasswordChecker {
    struct Limits {
        /// Passwords that wait for the thread.
        var waiting = 256
        /// Of these from one address, so that one can't keep all others out.
        var waitingPerAddress = 64
        /// Passwords that are remembered, 32 bytes each; past it all are forgotten.
        var remembered = 8_192
    }

    enum Verdict: Equatable {
        case right
        case wrong
        /// Not looked at: too many wait.
        case busy
        /// Not looked at: too many failures of this sender, also of those that were waiting with this one.
        case throttled
    }

    /// What is to be checked.
    struct Attempt {
        /// The device that is claimed, for remembering.
        var device: String
        var password: [UInt8]
        /// What the password has to match; nil: nobody's, which is wrong after the same work.
        var hash: PasswordHash?
        /// Whose share of the queue it takes.
        var address: String
    }

    private struct Waiting {
        let attempt: Attempt
        let mayTry: () -> Bool
        let completion: (Verdict) -> Void
    }

    private let limits: Limits
    private let loop: any EventLoop
    /// Stands in where there is no hash.
    private let dummy: PasswordHash
    private let work: @Sendable (PasswordHash, [UInt8]) -> Bool
    private let memory = HMAC(.sha256, key: SecureRandom.bytes(count: 32))
    private(set) var remembered: Set<[UInt8]> = []
    private var queue = Deque<Waiting>()
    private var waitingOf: [String: Int] = [:]
    private var isWorking = false
    private var thread: NIOThreadPool?
    private var isStopped = false

    /// How many were hashed, and how many were known. For tests and for counters.
    private(set) var hashed = 0
    private(set) var recognized = 0

    /// - Parameter work: Hashes and compares, on the thread; for tests.
    init(
        limits: Limits = Limits(),
        loop: any EventLoop,
        work: @escaping @Sendable (PasswordHash, [UInt8]) -> Bool = { $0.verify($1) }
    ) {
        self.limits = limits
        self.loop = loop
        self.work = work
        let parameters = Scrypt.Parameters.standard
        let dummy = PasswordHash(
            logN: parameters.logN,
            r: parameters.r,
            p: parameters.p,
            salt: SecureRandom.bytes(count: 16),
            digest: SecureRandom.bytes(count: 32)
        )
        guard let dummy else { preconditionFailure("a hash of lengths that no hash has") }
        self.dummy = dummy
    }

    /// Passwords that wait, the one at work not included.
    var waiting: Int { self.queue.count }

    /// Says whether the password is right, at once or later, always on the loop.
    ///
    /// - Parameter mayTry: Asked before the work begins, now and after waiting; what it refuses is throttled.
    func check(_ attempt: Attempt, mayTry: @escaping () -> Bool, completion: @escaping (Verdict) -> Void) {
        guard !self.isStopped else { return completion(.busy) }
        // Before the memory is asked: it would be a fast way to try passwords.
        guard mayTry() else { return completion(.throttled) }
        if let hash = attempt.hash, self.remembered.contains(self.mark(attempt, hash)) {
            self.recognized += 1
            return completion(.right)
        }
        let own = self.waitingOf[attempt.address] ?? 0
        guard self.queue.count < self.limits.waiting, own < self.limits.waitingPerAddress else {
            return completion(.busy)
        }
        self.waitingOf[attempt.address] = own + 1
        self.queue.append(Waiting(attempt: attempt, mayTry: mayTry, completion: completion))
        self.next()
    }

    /// Forgets what waits, and ends the thread when it is done with what it has.
    func stop() -> EventLoopFuture<Void> {
        self.isStopped = true
        self.queue.removeAll()
        self.waitingOf.removeAll()
        guard let thread = self.thread.take() else { return self.loop.makeSucceededVoidFuture() }
        let done = self.loop.makePromise(of: Void.self)
        thread.shutdownGracefully { _ in done.succeed() }
        return done.futureResult
    }

    private func next() {
        while !self.isWorking, let waiting = self.queue.popFirst() {
            let address = waiting.attempt.address
            self.waitingOf[address] = self.waitingOf[address].flatMap { $0 > 1 ? $0 - 1 : nil }
            if waiting.mayTry() {
                self.begin(waiting)
            } else {
                waiting.completion(.throttled)
            }
        }
    }

    private func begin(_ waiting: Waiting) {
        let thread: NIOThreadPool
        if let running = self.thread {
            thread = running
        } else {
            thread = NIOThreadPool(numberOfThreads: 1)
            thread.start()
            self.thread = thread
        }
        self.isWorking = true
        self.hashed += 1
        let (hash, password, work) = (waiting.attempt.hash ?? self.dummy, waiting.attempt.password, self.work)
        let own = NIOLoopBound((self, waiting), eventLoop: self.loop)
        let loop = self.loop
        thread.submit { state in
            guard case .active = state else { return }
            let isRight = work(hash, password)
            loop.execute {
                let (checker, waiting) = own.value
                checker.finished(waiting, isRight: isRight)
            }
        }
    }

    private func finished(_ waiting: Waiting, isRight: Bool) {
        self.isWorking = false
        guard !self.isStopped else { return }
        if isRight, let hash = waiting.attempt.hash {
            if self.remembered.count >= self.limits.remembered { self.remembered.removeAll(keepingCapacity: true) }
            self.remembered.insert(self.mark(waiting.attempt, hash))
            waiting.completion(.right)
        } else {
            waiting.completion(.wrong)
        }
        self.next()
    }

    /// What is remembered of a right password. With the salt in it, another password of the device is not known yet, and
    /// the old one not any more. Lengths come first, so that nothing can be moved from one part to the next.
    private func mark(_ attempt: Attempt, _ hash: PasswordHash) -> [UInt8] {
        self.memory.reset()
        for part in [Array(attempt.device.utf8), hash.salt, hash.digest, attempt.password] {
            withUnsafeBytes(of: UInt64(part.count).littleEndian) { self.memory.update($0) }
            part.withUnsafeBytes { self.memory.update($0) }
        }
        return [UInt8](unsafeUninitializedCapacity: self.memory.count) { buffer, initialized in
            self.memory.finalize(into: UnsafeMutableRawBufferPointer(buffer))
            initialized = self.memory.count
        }
    }
}
