import Foundation

/// A program that a test talks to, ended with the test.
final class TLSRealPeer {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var text = ""

    /// Standard output and standard error are read as one.
    init(_ path: String, _ arguments: [String]) throws {
        self.process.executableURL = URL(fileURLWithPath: path)
        self.process.arguments = arguments
        self.process.standardInput = self.input
        self.process.standardOutput = self.output
        self.process.standardError = self.output
        try self.process.run()
    }

    deinit {
        // Not SIGTERM: a child starts with the signal mask of the thread that made it, where that one may be blocked.
        if self.process.isRunning { kill(self.process.processIdentifier, SIGKILL) }
        self.process.waitUntilExit()
    }

    /// Reads until `words` came, and returns everything so far; nil if the program ended without them.
    func wait(for words: String) -> String? {
        while !self.text.contains(words) {
            let data = self.output.fileHandleForReading.availableData
            guard !data.isEmpty else { return nil }
            self.text += String(decoding: data, as: UTF8.self)
        }
        return self.text
    }

    func send(_ text: String) throws {
        try self.input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
    }

    func closeInput() throws { try self.input.fileHandleForWriting.close() }

    /// Everything that it printed, and its exit status.
    func finish() throws -> (text: String, status: Int32) {
        if let rest = try self.output.fileHandleForReading.readToEnd() {
            self.text += String(decoding: rest, as: UTF8.self)
        }
        self.process.waitUntilExit()
        return (self.text, self.process.terminationStatus)
    }
}
