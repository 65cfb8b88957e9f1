import NIOCore
import Testing

@testable import Gateway

@Suite("Health of a link")
struct LinkHealthTests {
    private static let start = NIODeadline.uptimeNanoseconds(50_000_000_000)

    @Test("an accepted connection has proved nothing, until the first acknowledgement on it")
    func unproven() {
        var health = LinkHealth()
        for second in [Int64(0), 100] {
            let now = Self.start + .seconds(second)
            health.accepted()
            #expect(health.condition(now: now) == .unproven)
            let isFirst = (health.answered(now: now), health.answered(now: now))
            #expect(isFirst == (true, false))
            #expect(health.condition(now: now) == .answering)
        }
        #expect(health.lastAnswer == Self.start + .seconds(100))
    }

    @Test("a broker that lets one message wait for ten seconds owes, whatever else it acknowledges")
    func owing() {
        var health = LinkHealth()
        health.accepted()
        _ = health.answered(now: Self.start)
        health.look(oldestInFlight: 5, now: Self.start)
        for second in stride(from: Int64(1), to: 10, by: 1) {
            let now = Self.start + .seconds(second)
            _ = health.answered(now: now)
            health.look(oldestInFlight: 5, now: now)
            #expect(health.condition(now: now) == .answering)
        }
        #expect(health.condition(now: Self.start + .seconds(10)) == .owing)
        health.look(oldestInFlight: 6, now: Self.start + .seconds(11))
        #expect(health.condition(now: Self.start + .seconds(11)) == .answering)
    }

    @Test("a broker that owes nothing, or acknowledges in order under load, does not owe")
    func load() {
        var health = LinkHealth()
        health.accepted()
        _ = health.answered(now: Self.start)
        for second in Int64(0)..<60 {
            health.look(oldestInFlight: second < 30 ? second : nil, now: Self.start + .seconds(second))
            #expect(health.condition(now: Self.start + .seconds(second)) == .answering)
        }
        #expect(health.condition(now: Self.start + .hours(1)) == .answering)
    }

    @Test("a new connection begins without the old one's debts")
    func reconnection() {
        var health = LinkHealth()
        health.accepted()
        health.look(oldestInFlight: 5, now: Self.start)
        health.accepted()
        #expect(health.condition(now: Self.start + .seconds(20)) == .unproven)
    }

    @Test("acknowledgements are PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK and PINGRESP")
    func answers() {
        let found = (UInt8(0)...15).filter { LinkHealth.isAnswer($0 << 4 | 2) }
        #expect(found == [4, 5, 7, 9, 11, 13])
    }
}
