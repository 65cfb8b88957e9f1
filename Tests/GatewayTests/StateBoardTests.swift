import Foundation
import NIOCore
import Testing

@testable import Gateway

@Suite("Publishing how uplinks are")
struct StateBoardTests {
    private static let start = NIODeadline.uptimeNanoseconds(50_000_000_000)

    private func report(_ state: UplinkReport.State = .connected, messages: Int = 0, age: Int = 0) -> UplinkReport {
        UplinkReport(
            name: "cloud",
            state: state,
            address: "mqtt://localhost:1883",
            since: "2026-11-26T10:00:0\(age % 10)Z",
            sinceSeconds: age,
            acknowledgedSeconds: age,
            inFlight: 0,
            spool: .init(messages: messages, bytes: 0, oldestSeconds: age, priorities: [:]),
            delivered: 0,
            dropped: 0,
            expired: 0,
            dead: 0,
            lastError: nil
        )
    }

    @Test("a state is news at once, figures wait for their time, and ages alone are nothing")
    func reasons() {
        var board = StateBoard(uplinks: 1)
        func due(_ report: UplinkReport, figures: Bool, at second: Int64) -> StateBoard.Due? {
            board.due(report, of: 0, withFigures: figures, now: Self.start + .seconds(second))
        }
        #expect(due(self.report(.connecting), figures: false, at: 0) == .now)
        #expect(due(self.report(.connecting, age: 5), figures: true, at: 5) == nil)
        #expect(due(self.report(.connecting, messages: 1, age: 5), figures: false, at: 5) == nil)
        #expect(due(self.report(.connecting, messages: 1, age: 6), figures: true, at: 6) == .now)
        #expect(due(self.report(.connected, messages: 1, age: 0), figures: false, at: 7) == .now)
    }

    @Test("a link that flaps is told of once a second")
    func flapping() {
        var board = StateBoard(uplinks: 2)
        #expect(board.due(self.report(.connecting), of: 0, withFigures: false, now: Self.start) == .now)
        let soon = Self.start + .milliseconds(300)
        #expect(
            board.due(self.report(.waiting), of: 0, withFigures: false, now: soon) == .later(Self.start + .seconds(1))
        )
        #expect(board.due(self.report(.waiting), of: 1, withFigures: false, now: soon) == .now)
        #expect(board.due(self.report(.connecting), of: 0, withFigures: true, now: soon) == nil)
        #expect(board.due(self.report(.waiting), of: 0, withFigures: false, now: Self.start + .seconds(1)) == .now)
    }

    @Test("a report reads as it was documented")
    func json() throws {
        let text = String(buffer: JSONText.encode(self.report(messages: 2, age: 3)))
        let expected = """
            {"acknowledged_seconds":3,"address":"mqtt://localhost:1883","dead":0,"delivered":0,"dropped":0,"expired":0,\
            "in_flight":0,"name":"cloud","since":"2026-11-26T10:00:03Z","since_seconds":3,\
            "spool":{"bytes":0,"messages":2,"oldest_seconds":3,"priorities":{}},"state":"connected"}
            """
        #expect(text == expected)
        #expect(try JSONDecoder().decode(UplinkReport.self, from: Data(text.utf8)) == self.report(messages: 2, age: 3))
        #expect(JSONText.time(1_767_225_600_999) == "2026-01-01T00:00:00Z")
    }
}
