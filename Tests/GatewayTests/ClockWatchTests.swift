import NIOCore
import Testing

@testable import Gateway

@Suite("Clock watch")
struct ClockWatchTests {
    private static let start = NIODeadline.uptimeNanoseconds(50_000_000_000)

    @Test("says nothing while the clock runs, or is disciplined")
    func steady() {
        var watch = ClockWatch(now: Self.start, wallMilliseconds: 1_000_000)
        #expect(watch.sinceJump(now: Self.start + .seconds(5), wallMilliseconds: 1_005_000) == nil)
        #expect(watch.sinceJump(now: Self.start + .seconds(10), wallMilliseconds: 1_011_000) == nil)
        #expect(watch.sinceJump(now: Self.start + .hours(1), wallMilliseconds: 4_601_500) == nil)
    }

    @Test("counts the time since the clock was set, forwards or back", arguments: [Int64(864_000_000), -3_600_000])
    func jump(_ milliseconds: Int64) {
        var watch = ClockWatch(now: Self.start, wallMilliseconds: 0)
        let wall = 5_000 + milliseconds
        #expect(watch.sinceJump(now: Self.start + .seconds(5), wallMilliseconds: wall) == .zero)
        #expect(watch.sinceJump(now: Self.start + .seconds(9), wallMilliseconds: wall + 4_000) == .seconds(4))
    }

    @Test("a clock that is not set stamps nothing that could grow too old")
    func stamp() {
        let clock = WallClock()
        #expect(clock.stamp >= 1_735_689_600_000)
    }
}
