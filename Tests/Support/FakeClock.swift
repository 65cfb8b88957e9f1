import Foundation

/// A wall clock of a child process that shows what the test wants, by Debian's libfaketime. The monotonic clock stays true, unless
/// both are to run fast.
package final class FakeClock: Sendable {
    /// It is not installed: scripts/setup-tests.sh does.
    package struct Missing: Error, CustomStringConvertible {
        /// What was looked for.
        package let description: String
    }

    private let directory: TemporaryDirectory
    private let library: String
    private let isFast: Bool

    /// A clock that starts at this time when its process does.
    ///
    /// - Parameters:
    ///   - time: `1970-01-01 00:00:10`, in UTC.
    ///   - speed: Seconds that go by for the process in one.
    package init(_ time: String, speed: Int = 1) throws {
        self.isFast = speed != 1
        let root = "/usr/lib"
        let places = try FileManager.default.contentsOfDirectory(atPath: root).map {
            "\(root)/\($0)/faketime/libfaketimeMT.so.1"
        }
        guard let library = places.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw Missing(description: "libfaketime is not installed")
        }
        self.library = library
        self.directory = try TemporaryDirectory()
        try self.directory.write("time", "@\(time)" + (speed == 1 ? "" : " x\(speed)") + "\n")
    }

    /// For the process.
    package var environment: [String: String] {
        [
            "LD_PRELOAD": self.library, "FAKETIME_TIMESTAMP_FILE": self.directory.file("time"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": self.isFast ? "0" : "1", "TZ": "UTC",
        ]
    }

    /// From now on the clock is right.
    package func set() throws {
        try self.directory.write("time", "+0\n")
    }
}
