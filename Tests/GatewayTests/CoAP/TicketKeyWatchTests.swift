import NIOCore
import Synchronization
import Testing

@testable import Gateway

@Suite("Keys of DTLS tickets while the gateway runs")
struct TicketKeyWatchTests {
    private final class Keys: Sendable {
        let present = Mutex<[UInt8]?>([1])
        let asked = Atomic(0)
    }

    @Test("are looked at once an hour, and told when they are others")
    func replacing() {
        let keys = Keys()
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let watch = TicketKeyWatch(keys: [1], now: start) {
            keys.asked.add(1, ordering: .relaxed)
            return keys.present.withLock { $0 }
        }
        #expect(watch.replacement(now: start + .minutes(59)) == nil)
        #expect(keys.asked.load(ordering: .relaxed) == 0)
        #expect(watch.replacement(now: start + .hours(1)) == nil, "the same")
        keys.present.withLock { $0 = [2] }
        #expect(watch.replacement(now: start + .minutes(119)) == nil)
        #expect(watch.replacement(now: start + .hours(2)) == [2])
        #expect(watch.replacement(now: start + .hours(3)) == nil)
        keys.present.withLock { $0 = nil }
        #expect(watch.replacement(now: start + .hours(4)) == nil, "those from before stay")
        #expect(keys.asked.load(ordering: .relaxed) == 4)
    }
}
