import Foundation
import TestSupport

/// The file by which a test tells `Tests/Faults/faults.c`, inside the gateway, what is to fail, and reads what did.
struct FaultControl {
    /// Kinds of call.
    struct Kinds: OptionSet {
        let rawValue: UInt32
        static let open = Self(rawValue: 1)
        static let write = Self(rawValue: 2)
        static let sync = Self(rawValue: 4)
        static let truncate = Self(rawValue: 8)
        static let all: Self = [.open, .write, .sync, .truncate]
    }

    /// Where each number lies in the file.
    private enum Place: off_t {
        case calls = 0
        case first = 4
        case count = 8
        case error = 12
        case kinds = 16
        case failed = 20
        case room = 24
    }

    /// The library, built once for all tests.
    private static let library = Task {
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Faults/faults.c").path
        let directory = try TemporaryDirectory()
        let output = directory.file("faults.so")
        let built = try await ChildProcess.run("cc", ["-shared", "-fPIC", "-O2", "-o", output, source])
        guard built.exit == .status(0) else { throw MQTTPeer.Unexpected(description: "cc: \(built.all)") }
        return (directory: directory, path: output)
    }

    /// What the gateway is to be started with.
    let environment: [String: String]
    private let path: String

    /// Nothing fails yet.
    init(in directory: TemporaryDirectory) async throws {
        self.path = try directory.write("faults", String(repeating: "\0", count: 32))
        self.environment = ["LD_PRELOAD": try await Self.library.value.path, "SEALGATE_FAULTS": self.path]
        try self.set(.room, UInt64.max)
        try self.set(.kinds, Kinds.all.rawValue)
    }

    /// Calls so far, of the kinds that are looked at.
    var calls: Int { Int(self.get(.calls)) }
    /// Calls that failed so far.
    var failed: Int { Int(self.get(.failed)) }

    /// Lets calls fail.
    ///
    /// - Parameters:
    ///   - first: Counted from the start of the first gateway; 0 for none.
    ///   - count: How many in a row.
    ///   - error: Their `errno`.
    func fail(first: Int, count: Int = 1, error: Int32, kinds: Kinds = .all) throws {
        try self.set(.kinds, kinds.rawValue)
        try self.set(.error, UInt32(error))
        try self.set(.count, UInt32(count))
        try self.set(.first, UInt32(first))
    }

    /// Bytes that files may still grow by; nil: no end.
    func leaveRoom(_ bytes: UInt64?) throws { try self.set(.room, bytes ?? .max) }

    private func set(_ place: Place, _ value: some FixedWidthInteger) throws {
        let file = open(self.path, O_WRONLY | O_CLOEXEC)
        defer { close(file) }
        let count = withUnsafeBytes(of: value) { pwrite(file, $0.baseAddress, $0.count, place.rawValue) }
        guard count > 0 else { throw POSIXError(.EIO) }
    }

    private func get(_ place: Place) -> UInt32 {
        let file = open(self.path, O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        var value: UInt32 = 0
        _ = withUnsafeMutableBytes(of: &value) { pread(file, $0.baseAddress, $0.count, place.rawValue) }
        return value
    }
}
