import Foundation
import Synchronization

/// The lines that a child process printed, for tests that wait for one of them. Safe from any thread.
package final class OutputLog: Sendable {
    /// Why a wait ended without the line.
    package struct Missing: Error, CustomStringConvertible {
        /// What was waited for, and the last lines that came instead.
        package let description: String
    }

    private struct Waiter {
        let id: Int
        let matches: @Sendable (String) -> Bool
        /// Lines that match and have yet to come.
        var missing: Int
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var lines: [String] = []
        var isAtEnd = false
        var waiters: [Waiter] = []
        var nextID = 0
    }

    private let state = Mutex(State())

    /// No lines yet.
    package init() {}

    /// Everything so far.
    package var lines: [String] { self.state.withLock { $0.lines } }

    /// Adds a line and wakes who waited for it.
    package func append(_ line: String) {
        let ready = self.state.withLock { state -> [Waiter] in
            state.lines.append(line)
            for index in state.waiters.indices where state.waiters[index].matches(line) {
                state.waiters[index].missing -= 1
            }
            let ready = state.waiters.filter { $0.missing <= 0 }
            if !ready.isEmpty { state.waiters.removeAll { $0.missing <= 0 } }
            return ready
        }
        for waiter in ready { waiter.continuation.resume(returning: true) }
    }

    /// No more lines will come.
    package func finish() {
        let disappointed = self.state.withLock { state -> [Waiter] in
            defer { state.waiters = [] }
            state.isAtEnd = true
            return state.waiters
        }
        for waiter in disappointed { waiter.continuation.resume(returning: false) }
    }

    /// The first line, from index `start` on, for which `matches` holds; waits for it up to `limit`.
    ///
    /// - Throws: ``Missing`` after the time, or at once when the output has ended without it.
    @discardableResult
    package func line(
        _ what: String,
        from start: Int = 0,
        within limit: Duration = .patience,
        where matches: @escaping @Sendable (String) -> Bool
    ) async throws -> String {
        let found = await self.wait(for: 1, from: start, within: limit, matches)
        let lines = self.lines
        guard found, let line = lines.dropFirst(start).first(where: matches) else {
            throw Missing(
                description: "no \(what) within \(limit); last lines:\n" + lines.suffix(30).joined(separator: "\n")
            )
        }
        return line
    }

    /// The first line that holds `text`.
    @discardableResult
    package func line(
        containing text: String,
        from start: Int = 0,
        within limit: Duration = .patience
    ) async throws -> String {
        try await self.line("line with \"\(text)\"", from: start, within: limit) { $0.contains(text) }
    }

    /// Waits until `count` lines for which `matches` holds have come, and returns them.
    package func lines(
        count: Int,
        within limit: Duration = .patience,
        where matches: @escaping @Sendable (String) -> Bool = { _ in true }
    ) async throws -> [String] {
        let found = await self.wait(for: count, from: 0, within: limit, matches)
        let lines = self.lines.filter(matches)
        guard found else {
            let tail = lines.suffix(10).joined(separator: "\n")
            throw Missing(description: "\(lines.count) of \(count) lines within \(limit); last lines:\n\(tail)")
        }
        return lines
    }

    /// Whether so many lines that match came within the time. No polling, and each line is looked at once.
    private func wait(
        for count: Int,
        from start: Int,
        within limit: Duration,
        _ matches: @escaping @Sendable (String) -> Bool
    ) async -> Bool {
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let timer = Task {
            try await Task.sleep(for: limit)
            self.giveUp(id)
        }
        defer { timer.cancel() }
        return await withCheckedContinuation { continuation in
            let answer: Bool? = self.state.withLock { state in
                let missing = count - state.lines.dropFirst(start).count(where: matches)
                if missing <= 0 { return true }
                if state.isAtEnd { return false }
                state.waiters.append(
                    Waiter(id: id, matches: matches, missing: missing, continuation: continuation)
                )
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    private func giveUp(_ id: Int) {
        let late = self.state.withLock { state -> Waiter? in
            guard let index = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
            return state.waiters.remove(at: index)
        }
        late?.continuation.resume(returning: false)
    }
}
