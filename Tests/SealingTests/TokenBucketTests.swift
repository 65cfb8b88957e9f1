import NIOCore
import Sealing
import Testing

@Suite struct TokenBucketTests {
    let start = NIODeadline.uptimeNanoseconds(5_000_000_000)

    @Test("gives its burst at once, and then one token in each interval")
    func burstAndRate() {
        var bucket = TokenBucket(rate: 2, burst: 3, now: self.start)
        let taken = (0..<5).map { _ in bucket.take(now: self.start) }
        #expect(taken == [true, true, true, false, false])
        #expect(bucket.wait(now: self.start) == .milliseconds(500))
        #expect(bucket.take(now: self.start + .milliseconds(499)) == false)
        #expect(bucket.take(now: self.start + .milliseconds(500)) == true)
        #expect(bucket.take(now: self.start + .milliseconds(999)) == false)
        #expect(bucket.take(now: self.start + .milliseconds(1000)) == true)
    }

    @Test("never holds more than its burst, however long it waits")
    func full() {
        var bucket = TokenBucket(rate: 1, burst: 2, now: self.start)
        let later = self.start + .hours(1000)
        #expect(bucket.tokens(now: later) == 2)
        let taken = (0..<3).map { _ in bucket.take(now: later) }
        #expect(taken == [true, true, false])
    }

    @Test("a refused take costs nothing, and looking neither")
    func refusals() {
        var bucket = TokenBucket(rate: 1, burst: 1, now: self.start)
        #expect(bucket.take(now: self.start) == true)
        for _ in 0..<100 {
            #expect(bucket.take(now: self.start) == false)
            #expect(bucket.tokens(now: self.start) == 0)
        }
        #expect(bucket.tokens(now: self.start + .seconds(1)) == 1)
        #expect(bucket.wait(now: self.start + .seconds(1)) == .zero)
    }

    @Test("a clock that stands still or goes back gives nothing")
    func clock() {
        var bucket = TokenBucket(rate: 1, burst: 1, now: self.start)
        #expect(bucket.take(now: self.start) == true)
        #expect(bucket.take(now: self.start - .seconds(1)) == false)
        #expect(bucket.take(now: self.start + .seconds(1)) == true)
    }

    @Test("takes rates from one an hour to a billion a second", arguments: [1.0 / 7200, 0.001, 1, 1e6, 1e9, 1e12])
    func rates(rate: Double) {
        var bucket = TokenBucket(rate: rate, burst: 1_000_000, now: self.start)
        #expect(bucket.take(now: self.start) == true)
        #expect(bucket.tokens(now: self.start) == 999_999)
        #expect(bucket.tokens(now: self.start + .hours(2)) == 1_000_000)
    }
}
