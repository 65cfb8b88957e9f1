import NIOCore
import Testing

@testable import Gateway

@Suite("Time floor")
struct TimeFloorTests {
    private static let start = NIODeadline.uptimeNanoseconds(50_000_000_000)
    private static let release: Int64 = 1_700_000_000_000
    private static let day: Int64 = 86_400_000

    /// Lets a clock run that shows `wall` at the start, and asks every five seconds.
    private func run(
        _ floor: inout TimeFloor,
        wall: Int64,
        from begin: NIODeadline = Self.start,
        for time: TimeAmount
    ) -> [Int64] {
        var written: [Int64] = []
        var elapsed = TimeAmount.zero
        while elapsed <= time {
            let now = wall + elapsed.nanoseconds / 1_000_000
            if let next = floor.observe(now: begin + elapsed, wall: now) { written.append(next) }
            elapsed = elapsed + .seconds(5)
        }
        return written
    }

    private func floor(stored: Int64, wall: Int64) -> TimeFloor {
        TimeFloor(stored: stored, release: Self.release, now: Self.start, wall: wall)
    }

    @Test("is the later of the release and what is on disk")
    func beginning() {
        #expect(self.floor(stored: 0, wall: 0).milliseconds == Self.release)
        #expect(self.floor(stored: Self.release + 5, wall: 0).milliseconds == Self.release + 5)
    }

    @Test("follows a clock that has run evenly for ten minutes, once an hour")
    func following() {
        let wall = Self.release + 7_200_000
        var floor = self.floor(stored: 0, wall: wall)
        #expect(self.run(&floor, wall: wall, for: .seconds(595)).isEmpty)
        #expect(self.run(&floor, wall: wall, for: .minutes(10)) == [wall + 600_000])
        #expect(self.run(&floor, wall: wall, for: .minutes(69)).isEmpty)
        #expect(self.run(&floor, wall: wall, for: .minutes(140)) == [wall + 4_200_000, wall + 7_800_000])
    }

    @Test("moves a day in an hour at most: what is written is not worth much more than the time it took")
    func steps() {
        let wall = Self.release + 3 * 365 * Self.day
        var floor = self.floor(stored: 0, wall: wall)
        let written = self.run(&floor, wall: wall, for: .hours(3))
        #expect(written == [1, 2, 3].map { Self.release + $0 * Self.day })
    }

    @Test("the end of a run is no reason for a second step")
    func lastStep() {
        let wall = Self.release + 365 * Self.day
        var floor = self.floor(stored: 0, wall: wall)
        #expect(self.run(&floor, wall: wall, for: .minutes(20)) == [Self.release + Self.day])
        let end = wall + 1_260_000
        #expect(floor.observe(now: Self.start + .minutes(21), wall: end, isLast: true) == nil)
    }

    @Test("takes nothing from a clock that has just jumped", arguments: [Int64(365 * 86_400_000), -86_400_000])
    func jumps(_ jump: Int64) {
        let wall = Self.release + 10 * Self.day
        var floor = self.floor(stored: Self.release + 10 * Self.day, wall: wall)
        _ = self.run(&floor, wall: wall, for: .minutes(9))
        let then = Self.start + .minutes(9)
        #expect(self.run(&floor, wall: wall + jump, from: then, for: .minutes(9)).isEmpty)
        #expect(floor.milliseconds == Self.release + 10 * Self.day)
    }

    @Test("a clock below the floor moves nothing")
    func below() {
        var floor = self.floor(stored: Self.release + Self.day, wall: 0)
        #expect(self.run(&floor, wall: 0, for: .hours(2)).isEmpty)
        #expect(floor.milliseconds == Self.release + Self.day)
    }

    @Test("a floor past its reach is not believed, and none gets there")
    func reach() {
        let far = Self.release + TimeFloor.reach
        #expect(self.floor(stored: far + 1, wall: 0).milliseconds == Self.release)
        var floor = self.floor(stored: far, wall: far + Self.day)
        #expect(self.run(&floor, wall: far + Self.day, for: .hours(2)).isEmpty)
    }

    @Test("the end of a run writes what is believed by then, and nothing that is not")
    func ending() {
        let wall = Self.release + 7_200_000
        var floor = self.floor(stored: 0, wall: wall)
        func last(_ minutes: Int64) -> Int64? {
            floor.observe(now: Self.start + .minutes(minutes), wall: wall + minutes * 60_000, isLast: true)
        }
        #expect(last(9) == nil)
        #expect(last(10) == wall + 600_000)
        #expect(last(12) == wall + 720_000)
    }

    @Test("no number of a clock is too large", arguments: [Int64.min, .min + 1, -1, .max])
    func extremes(_ wall: Int64) {
        var floor = self.floor(stored: 0, wall: wall)
        #expect(floor.observe(now: Self.start + .hours(1), wall: wall) == nil)
        #expect(floor.observe(now: Self.start + .hours(3), wall: wall, isLast: true) == nil)
    }
}
