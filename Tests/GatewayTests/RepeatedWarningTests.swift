import Logging
import NIOCore
import Store
import Testing

@testable import Gateway

@Suite("Repeated warnings")
struct RepeatedWarningTests {
    private static let start = NIODeadline.uptimeNanoseconds(50_000_000_000)

    @Test("the first is told at once, the rest once a minute by their number")
    func flood() {
        var warning = RepeatedWarning()
        var lines: [Int] = []
        for millisecond in stride(from: Int64(0), to: 180_000, by: 10) {
            let now = Self.start + .milliseconds(millisecond)
            if warning.note(2, now: now) { lines.append(2) }
            let told = millisecond % 5_000 == 0 ? warning.tick(now: now) : 0
            if told > 0 { lines.append(told) }
        }
        #expect(lines == [2, 12_000, 12_000])
        #expect(warning.tick(now: Self.start + .seconds(180)) == 11_998)
    }

    @Test("what was counted is told before the next one is a first again")
    func pause() {
        var warning = RepeatedWarning()
        #expect(warning.note(now: Self.start) == true)
        #expect(warning.tick(now: Self.start + .seconds(70)) == 0)
        #expect(warning.note(now: Self.start + .seconds(80)) == true)
        #expect(warning.note(now: Self.start + .seconds(81)) == false)
        #expect(warning.note(5, now: Self.start + .seconds(500)) == false)
        #expect(warning.tick(now: Self.start + .seconds(500)) == 6)
        #expect(warning.tick(now: Self.start + .seconds(501)) == 0)
        #expect(warning.note(now: Self.start + .seconds(559)) == false)
        #expect(warning.tick(now: Self.start + .seconds(560)) == 1)
        #expect(warning.note(now: Self.start + .seconds(620)) == true)
    }

    @Test("kinds, uplinks and reasons are told apart, and a repetition says how many messages")
    func log() {
        let lines = LogLines()
        let log = WarningLog(logger: lines.logger)
        for name in ["cloud", "backup", "cloud", "cloud"] {
            log.note(.dead, name, reason: .refused, now: Self.start, details: ["topic": "t"])
            log.note(.tooLargeFromAttached, name, messages: 7, now: Self.start, details: [:])
        }
        log.note(.dead, "cloud", reason: .closedOn, now: Self.start, details: [:])
        log.note(.deadDropped, "", messages: 9, now: Self.start, details: ["messages": "9"])
        #expect(
            lines.take() == [
                "\(WarningLog.Kind.dead.rawValue) reason=refused topic=t uplink=cloud",
                "\(WarningLog.Kind.tooLargeFromAttached.rawValue) broker=cloud",
                "\(WarningLog.Kind.dead.rawValue) reason=refused topic=t uplink=backup",
                "\(WarningLog.Kind.tooLargeFromAttached.rawValue) broker=backup",
                "\(WarningLog.Kind.dead.rawValue) reason=closedOn uplink=cloud",
                "\(WarningLog.Kind.deadDropped.rawValue) messages=9",
            ]
        )
        log.tick(now: Self.start + .seconds(59))
        #expect(lines.take().isEmpty)
        log.tick(now: Self.start + .seconds(60))
        let again = Set(lines.take())
        #expect(
            again == [
                "again: \(WarningLog.Kind.dead.rawValue) messages=2 reason=refused uplink=cloud",
                "again: \(WarningLog.Kind.tooLargeFromAttached.rawValue) broker=cloud messages=14",
            ]
        )
    }
}
