import Testing
import Uplink

@Suite struct BackoffTests {
    /// Gives one number always; a low or a high one shows the bounds of the jitter.
    private struct Extreme: RandomNumberGenerator {
        let value: UInt64
        mutating func next() -> UInt64 { self.value }
    }

    @Test("waits double from 1 s up to 2 min, and jitter takes away up to the half")
    func doubles() {
        let whole = [1, 2, 4, 8, 16, 32, 64, 120, 120, 120]
        var low = Backoff()
        var high = Backoff()
        var lowest = Extreme(value: 1 << 27)  // Of 0 the standard library would ask for ever again.
        var highest = Extreme(value: .max)
        for seconds in whole {
            #expect(low.next(using: &lowest) == .seconds(seconds) / 2)
            #expect(high.next(using: &highest) == .seconds(seconds))
        }
    }

    @Test("starts again after a link that proved good")
    func resets() {
        var backoff = Backoff()
        var generator = Extreme(value: .max)
        for _ in 0..<5 { _ = backoff.next(using: &generator) }
        backoff.reset()
        #expect(backoff.failures == 0)
        #expect(backoff.next(using: &generator) == .seconds(1))
    }

    @Test("thousands of failures neither overflow nor leave the limit")
    func manyFailures() {
        var backoff = Backoff(first: .milliseconds(1), limit: .seconds(3600))
        var generator = JitterGenerator(seed: 7)
        let waits = (0..<20_000).map { _ in backoff.next(using: &generator) }
        #expect(waits.dropFirst(30).allSatisfy { $0 >= .seconds(1800) && $0 <= .seconds(3600) })
    }

    @Test("jitter is the same for the same seed and differs between seeds")
    func seeds() {
        func waits(_ seed: UInt64) -> [Duration] {
            var backoff = Backoff()
            var generator = JitterGenerator(seed: seed)
            return (0..<8).map { _ in backoff.next(using: &generator) }
        }
        #expect(waits(1) == waits(1))
        #expect(waits(1) != waits(2))
    }
}
