import Testing

@testable import Gateway

@Suite("Suspect watch")
struct SuspectWatchTests {
    @Test("condemns the message that was alone when connection after connection ended")
    func condemns() {
        var watch = SuspectWatch(limit: 3)
        for _ in 0..<2 {
            watch.connected()
            #expect(watch.closed(oldest: 5, inFlight: 10) == .none)
        }
        #expect(watch.isCautious)
        // The first in the window was not to blame.
        watch.connected()
        watch.acknowledged()
        #expect(watch.isCautious)
        var ends = 0
        var verdict = SuspectWatch.Verdict.none
        while verdict == .none, ends < 10 {
            verdict = watch.closed(oldest: 6, inFlight: 1)
            ends += 1
            watch.connected()
        }
        #expect(verdict == .dead(sequence: 6, times: 4))
        #expect(ends == 4)
    }

    @Test("a link that flaps and acknowledges in between makes nothing suspect")
    func flapping() {
        var watch = SuspectWatch(limit: 3)
        for sequence in 1...100 as ClosedRange<Int64> {
            watch.connected()
            watch.acknowledged()
            #expect(watch.closed(oldest: sequence, inFlight: 10) == .none)
            #expect(!watch.isCautious)
        }
    }

    @Test("with nothing under way there is nobody to blame")
    func idle() {
        var watch = SuspectWatch(limit: 1)
        for _ in 0..<10 {
            watch.connected()
            #expect(watch.closed(oldest: nil, inFlight: 0) == .none)
        }
        #expect(!watch.isCautious)
    }

    @Test("the caution ends when as many are acknowledged as were under way")
    func trials() {
        var watch = SuspectWatch(limit: 3)
        for _ in 0..<2 {
            watch.connected()
            _ = watch.closed(oldest: 1, inFlight: 3)
        }
        watch.connected()
        for _ in 0..<2 { watch.acknowledged() }
        #expect(watch.isCautious)
        watch.acknowledged()
        #expect(!watch.isCautious)
    }

    @Test("a broker that ends the connection on everything gets no more messages condemned for it")
    func brokenBroker() {
        var watch = SuspectWatch(limit: 1)
        var condemned: [Int64] = []
        var oldest: Int64 = 1
        for _ in 0..<200 {
            watch.connected()
            guard case .dead(let sequence, _) = watch.closed(oldest: oldest, inFlight: 50) else { continue }
            condemned.append(sequence)
            oldest += 1
        }
        #expect(condemned == Array(1...Int64(SuspectWatch.maxJudged)))
        #expect(watch.blamesTheBroker)
        watch.brokerWorks()
        #expect(!watch.blamesTheBroker)
    }
}
