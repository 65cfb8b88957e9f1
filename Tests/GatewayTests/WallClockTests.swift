import NIOCore
import Testing

@testable import Gateway

@Suite("Wall clock")
struct WallClockTests {
    private static let floor: Int64 = 1_700_000_000_000

    private func clock(
        showing time: Int64,
        isTrusted: Bool = false,
        started: NIODeadline = .now()
    ) -> WallClock {
        WallClock(floor: Self.floor, isTrusted: isTrusted, started: started, reading: { time })
    }

    @Test("is not set below its floor")
    func isSet() {
        #expect(self.clock(showing: Self.floor).present == Self.floor)
        #expect(self.clock(showing: Self.floor - 1).present == nil)
        #expect(self.clock(showing: .max).present == nil)
        let clock = self.clock(showing: Self.floor + 5)
        clock.floor = Self.floor + 6
        #expect(!clock.isSet)
    }

    @Test("while it is not set, nothing gets an age or an end by it")
    func unset() {
        let clock = self.clock(showing: 0)
        #expect(clock.stamp == 253_402_214_400_000)
        #expect(clock.milliseconds(at: .now() + .seconds(5)) == nil)
        #expect(clock.deadline(at: Self.floor + 5) == nil)
    }

    @Test("what a run counts for itself comes back, whatever the clock does meanwhile")
    func runTime() {
        let started = NIODeadline.now()
        let deadline = started + .seconds(90)
        let marked = self.clock(showing: 0, started: started).runMilliseconds(at: deadline)
        #expect(marked == Self.floor + 90_000)
        #expect(self.clock(showing: Self.floor + 1_000_000, started: started).deadline(atRun: marked) == deadline)
        #expect(self.clock(showing: 0, started: started).deadline(atRun: .min) == started)
        #expect(self.clock(showing: 0, started: started).deadline(atRun: .max) > deadline)
    }

    @Test("certificates are judged by the clock if it is set, by the earliest time that it can be if not")
    func certificates() {
        let started = NIODeadline.now()
        let later = started + .seconds(30)
        #expect(self.clock(showing: Self.floor + 7).certificateTime(now: later) == Self.floor + 7)
        #expect(!self.clock(showing: Self.floor + 7).isCertificateTimeBound)
        let unset = self.clock(showing: 0, started: started)
        #expect(unset.certificateTime(now: later) == Self.floor + 30_000)
        #expect(unset.isCertificateTimeBound)
        let trusted = self.clock(showing: 5, isTrusted: true, started: started)
        #expect(trusted.certificateTime(now: later) == 5)
        #expect(!trusted.isCertificateTimeBound)
    }

    @Test("a clock that would not be believed is told before the start")
    func reading() {
        let floor = Version.notBefore + 86_400_000
        #expect(ClockReading(storedFloor: floor, rule: .floor, time: floor).problem == nil)
        let expected = "the clock is not set: it shows 1970-01-01T00:00:05Z, and it is 2026-01-02T00:00:00Z at least; "
        func problem(_ rule: ClockRule) -> String? { ClockReading(storedFloor: floor, rule: rule, time: 5_000).problem }
        #expect(problem(.floor) == expected + "certificates would be judged by that")
        #expect(
            problem(.wait(atMost: .seconds(120)))
                == expected + "uplinks with certificates would wait for it, for 2min at most"
        )
        #expect(problem(.trust)?.contains("2026-01-01T00:00:00Z at least") == true)
    }
}
