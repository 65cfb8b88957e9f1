import Devices
import NIOCore
import Sealing
import Testing

@testable import Gateway

@Suite("Limits of one sender")
struct SenderLimitsTests {
    private static let start = NIODeadline.uptimeNanoseconds(100_000_000_000)

    @Test("lets a burst of the rate through, then slows down by exactly what is too much")
    func pace() {
        let pace = SenderPace(Rate(count: 20, interval: .seconds(1)))
        for _ in 0..<20 { #expect(pace.take(now: Self.start) == nil) }
        #expect(pace.take(now: Self.start) == .milliseconds(50))
        #expect(pace.take(now: Self.start) == .milliseconds(100))
        #expect(pace.take(now: Self.start + .milliseconds(150)) == nil)
        // A long silence earns one burst, not more.
        let later = Self.start + .minutes(10)
        for _ in 0..<20 { #expect(pace.take(now: later) == nil) }
        #expect(pace.take(now: later) != nil)
    }

    @Test("counts failures by address, gives them back with time, and never holds another address to them")
    func failures() {
        let budget = FailureBudget { TokenBucket(rate: 1.0 / 6, burst: 3, now: $0) }
        for _ in 0..<3 {
            #expect(budget.hasRoom("192.0.2.1", now: Self.start))
            _ = budget.spend("192.0.2.1", now: Self.start)
        }
        #expect(!budget.hasRoom("192.0.2.1", now: Self.start))
        #expect(budget.hasRoom("192.0.2.2", now: Self.start))
        #expect(budget.hasRoom("192.0.2.1", now: Self.start + .seconds(7)))
    }

    @Test("keeps no more addresses than it may")
    func bounded() {
        let budget = FailureBudget { TokenBucket(rate: 1, burst: 1, now: $0) }
        for number in 0..<20_000 { _ = budget.spend("192.0.\(number / 256).\(number % 256)", now: Self.start) }
        #expect(budget.count <= 4096)
    }

    @Test("whoever has spent its failures stays known when many addresses with fewer of them come")
    func guiltyStay() {
        let budget = FailureBudget { TokenBucket(rate: 1.0 / 600, burst: 3, now: $0) }
        for number in 0..<100 {
            for _ in 0..<3 { _ = budget.spend("198.51.100.\(number)", now: Self.start) }
        }
        for number in 0..<20_000 { _ = budget.spend("192.0.\(number / 256).\(number % 256)", now: Self.start) }
        #expect(budget.count <= FailureBudget.maxAddresses)
        for number in 0..<100 { #expect(!budget.hasRoom("198.51.100.\(number)", now: Self.start)) }
    }
}
