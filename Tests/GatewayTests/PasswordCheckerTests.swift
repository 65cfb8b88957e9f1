import Devices
import Dispatch
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Gateway

@Suite("Checking passwords", .timeLimit(.minutes(5)))
struct PasswordCheckerTests {
    /// A checker on a loop, whose work is held up until it is let go.
    private final class Desk: Sendable {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        private let gate = DispatchSemaphore(value: 0)
        private let checker: NIOLoopBound<PasswordChecker>

        /// - Parameter isOpen: Nothing is held up.
        init(_ limits: PasswordChecker.Limits = .init(), isOpen: Bool = true) async throws {
            let (loop, gate) = (self.loop, self.gate)
            self.checker = try await loop.submit {
                let checker = PasswordChecker(limits: limits, loop: loop) { hash, password in
                    if !isOpen { gate.wait() }
                    return hash.digest.starts(with: password)
                }
                return NIOLoopBound(checker, eventLoop: loop)
            }.get()
        }

        /// Lets one password be hashed.
        func pass() { self.gate.signal() }

        /// Begins a check; the future is what comes of it.
        func begin(
            _ attempt: PasswordChecker.Attempt,
            mayTry: @escaping @Sendable () -> Bool = { true }
        ) -> EventLoopFuture<PasswordChecker.Verdict> {
            self.loop.flatSubmit {
                let promise = self.loop.makePromise(of: PasswordChecker.Verdict.self)
                self.checker.value.check(attempt, mayTry: mayTry) { promise.succeed($0) }
                return promise.futureResult
            }
        }

        func read<Value: Sendable>(_ body: @escaping @Sendable (PasswordChecker) -> Value) async throws -> Value {
            try await self.loop.submit { body(self.checker.value) }.get()
        }

        func beginStop() -> EventLoopFuture<Void> {
            self.loop.flatSubmit { self.checker.value.stop() }
        }

        func stop() async throws {
            try await self.beginStop().get()
        }
    }

    /// The password of `hash(_:)` is `secret(_:)`.
    private func secret(_ number: UInt8) -> [UInt8] { [UInt8](repeating: number, count: 32) }

    private func hash(_ number: UInt8, salt: UInt8 = 0) -> PasswordHash? {
        PasswordHash(logN: 14, r: 8, p: 1, salt: [UInt8](repeating: salt, count: 16), digest: self.secret(number))
    }

    private func attempt(
        _ device: String,
        _ number: UInt8,
        _ hash: PasswordHash?,
        from address: String = "192.0.2.1"
    ) -> PasswordChecker.Attempt {
        .init(device: device, password: self.secret(number), hash: hash, address: address)
    }

    @Test("a real hash takes its password and no other")
    func real() async throws {
        let password = Array("correct horse battery".utf8)
        let hash = try PasswordHash.make(of: password)
        #expect(hash.verify(password))
        #expect(!hash.verify(password.dropLast()) && !hash.verify(password + [0x21]) && !hash.verify([]))
        #expect(!hash.verify(password + [0]) && !hash.verify(password + [0, 0x21]))
        let again = try PasswordHash.make(of: password)
        #expect(again != hash && again.salt != hash.salt && again.verify(password))
    }

    @Test("a right password is hashed once, a wrong or a missing one every time")
    func remembering() async throws {
        let desk = try await Desk()
        #expect(try await desk.begin(self.attempt("a", 1, self.hash(1))).get() == .right)
        #expect(try await desk.begin(self.attempt("a", 1, self.hash(1))).get() == .right)
        #expect(try await desk.read { ($0.hashed, $0.recognized) } == (1, 1))
        for _ in 0..<2 { #expect(try await desk.begin(self.attempt("a", 2, self.hash(1))).get() == .wrong) }
        for _ in 0..<2 { #expect(try await desk.begin(self.attempt("a", 1, nil)).get() == .wrong) }
        #expect(try await desk.read { ($0.hashed, $0.recognized) } == (5, 1))
        #expect(try await desk.read(\.remembered.count) == 1)
        try await desk.stop()
    }

    @Test("what is remembered holds for one device and one hash")
    func rememberedFor() async throws {
        let desk = try await Desk()
        #expect(try await desk.begin(self.attempt("a", 1, self.hash(1))).get() == .right)
        #expect(try await desk.begin(self.attempt("b", 1, self.hash(1))).get() == .right)
        #expect(try await desk.begin(self.attempt("a", 1, self.hash(1, salt: 9))).get() == .right)
        #expect(try await desk.begin(self.attempt("a", 1, self.hash(2, salt: 9))).get() == .wrong)
        #expect(try await desk.read { ($0.hashed, $0.recognized) } == (4, 0))
        try await desk.stop()
    }

    @Test("no more is remembered than the limit says")
    func bounded() async throws {
        var limits = PasswordChecker.Limits()
        limits.remembered = 3
        let desk = try await Desk(limits)
        for number in 1...10 as ClosedRange<UInt8> {
            #expect(try await desk.begin(self.attempt("a", number, self.hash(number))).get() == .right)
            #expect(try await desk.read(\.remembered.count) <= 3)
        }
        try await desk.stop()
    }

    @Test("what finds the queue full, or its address's share of it, is told at once that the gateway is busy")
    func busy() async throws {
        var limits = PasswordChecker.Limits()
        limits.waiting = 3
        limits.waitingPerAddress = 2
        let desk = try await Desk(limits, isOpen: false)
        // One at work and two waiting of the first address; one of the second, and the queue is full.
        let first = (0..<3).map { _ in desk.begin(self.attempt("a", 1, self.hash(1))) }
        #expect(try await desk.begin(self.attempt("a", 1, self.hash(1))).get() == .busy)
        let other = desk.begin(self.attempt("b", 1, self.hash(1), from: "192.0.2.2"))
        #expect(try await desk.read(\.waiting) == 3)
        #expect(try await desk.begin(self.attempt("c", 1, self.hash(1), from: "192.0.2.3")).get() == .busy)
        for _ in 0..<4 { desk.pass() }
        for future in first + [other] { #expect(try await future.get() == .right) }
        // And there is room again.
        desk.pass()
        #expect(try await desk.begin(self.attempt("c", 1, self.hash(1), from: "192.0.2.3")).get() == .right)
        try await desk.stop()
    }

    @Test("who has used up his failures is not hashed for, nor what of his waits, nor asked from memory")
    func throttled() async throws {
        let desk = try await Desk(isOpen: false)
        let failures = Mutex(0)
        let mayTry = { @Sendable in failures.withLock { $0 < 1 } }
        let futures = (0..<4).map { _ in desk.begin(self.attempt("a", 2, self.hash(1)), mayTry: mayTry) }
        let counted = futures[0].map { verdict in failures.withLock { $0 += verdict == .wrong ? 1 : 0 } }
        desk.pass()
        try await counted.get()
        // The second was begun before the first failure was counted, if at all; it is let go as well.
        desk.pass()
        for future in futures.dropFirst(2) { #expect(try await future.get() == .throttled) }
        #expect(try await desk.begin(self.attempt("a", 1, self.hash(1)), mayTry: mayTry).get() == .throttled)
        #expect(try await desk.read(\.hashed) <= 2)
        try await desk.stop()
    }

    @Test("a stop waits for the one at work and forgets the rest; later ones find it busy")
    func stopping() async throws {
        let desk = try await Desk(isOpen: false)
        let answers = Mutex(0)
        for _ in 0..<3 {
            _ = try await desk.read { checker in
                checker.check(self.attempt("a", 1, self.hash(1)), mayTry: { true }) { _ in
                    answers.withLock { $0 += 1 }
                }
            }
        }
        // The one at work is let go when the stop has begun: the next one would begin before it, and never end.
        let stopped = desk.beginStop()
        desk.pass()
        try await stopped.get()
        #expect(try await desk.read(\.waiting) == 0)
        #expect(answers.withLock(\.self) <= 1)
        #expect(try await desk.begin(self.attempt("a", 1, self.hash(1))).get() == .busy)
    }
}
