/// The condition did not come true.
package struct NotInTime: Error, CustomStringConvertible {
    /// How often it was asked, and for how long.
    package let description: String
}

/// Asks `condition` again and again until it holds. For what can only be found out by trying, each of which takes its time: a
/// line of a log is waited for with ``OutputLog`` instead.
package func eventually(within limit: Duration = .patience, _ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + limit
    var attempts = 0
    repeat {
        attempts += 1
        if try await condition() { return }
        // What is waited for needs the processor too.
        try await Task.sleep(for: .milliseconds(10))
    } while ContinuousClock.now < deadline
    throw NotInTime(description: "not within \(limit), in \(attempts) attempts")
}
