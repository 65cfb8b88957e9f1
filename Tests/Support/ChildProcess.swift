import Foundation
import Synchronization

/// A program started by a test. Its output is captured line by line; it is killed, by its process id, when the value goes
/// away, and at the latest when the test process exits.
package final class ChildProcess: Sendable {
    /// The program could not be started.
    package struct StartError: Error, CustomStringConvertible {
        /// Program and the system's words.
        package let description: String
    }

    /// How a program ended.
    package enum Exit: Equatable, Sendable {
        /// By itself, with this status.
        case status(Int32)
        /// By this signal.
        case signal(Int32)
    }

    /// Of the program; only valid until it has ended.
    package let pid: Int32
    /// What came on its standard output, and standard error with it unless asked for apart.
    package let output: OutputLog
    /// What came on its standard error if asked for apart; else the same as ``output``.
    package let errors: OutputLog
    /// What was started, for messages.
    package let name: String

    private let input: Mutex<Int32?>
    private let ending = OutputLog()
    private let exit: SharedExit

    private final class SharedExit: Sendable {
        let value = Mutex<Exit?>(nil)
    }

    /// `posix_spawn_file_actions_addclosefrom_np` of glibc 2.34, which is not in Swift's view of it. A socket of another
    /// test that a child held too, as NIO's are not marked, would stay open when the test closes it.
    private static let closeFrom = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np").map {
        unsafeBitCast($0, to: (@convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32).self)
    }
    private static let spawning = NSLock()
    private static let running = Mutex<Set<pid_t>>([])
    private static let killsAtExit: Void = {
        atexit { for pid in ChildProcess.running.withLock({ $0 }) { kill(pid, SIGKILL) } }
    }()

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - program: A path, or a name to be found in `PATH`, `/usr/sbin` or `/sbin`.
    ///   - environment: Added to the test's own.
    ///   - directory: Where it runs; the test's own if nil.
    package init(
        _ program: String,
        _ arguments: [String] = [],
        environment: [String: String] = [:],
        directory: String? = nil,
        separateErrors: Bool = false
    ) throws {
        _ = Self.killsAtExit
        let program = try Self.find(program)
        // glibc's own way to change the directory is not in Swift's view of it.
        let path = directory == nil ? program : "/usr/bin/env"
        let arguments = (directory.map { ["-C", $0, program] } ?? []) + arguments
        // One at a time, so that no child inherits the pipes of another before they are marked.
        Self.spawning.lock()
        defer { Self.spawning.unlock() }
        let standardInput = try Pipe()
        let standardOutput = try Pipe()
        let standardError = separateErrors ? try Pipe() : standardOutput
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, standardInput.read, 0)
        posix_spawn_file_actions_adddup2(&actions, standardOutput.write, 1)
        posix_spawn_file_actions_adddup2(&actions, standardError.write, 2)
        _ = Self.closeFrom?(&actions, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = merged.map { strdup("\($0)=\($1)") } + [nil]
        defer { for string in argv + envp { free(string) } }
        var number: pid_t = 0
        let status = posix_spawn(&number, path, &actions, &attributes, &argv, &envp)
        let pid = number
        close(standardInput.read)
        close(standardOutput.write)
        if separateErrors { close(standardError.write) }
        guard status == 0 else {
            close(standardInput.write)
            close(standardOutput.read)
            if separateErrors { close(standardError.read) }
            throw StartError(description: "\(program): \(String(cString: strerror(status)))")
        }
        self.pid = pid
        self.name = (program as NSString).lastPathComponent
        self.input = Mutex(standardInput.write)
        self.output = OutputLog()
        self.errors = separateErrors ? OutputLog() : self.output
        self.exit = SharedExit()
        Self.running.withLock { _ = $0.insert(pid) }
        Self.read(standardOutput.read, into: self.output)
        if separateErrors { Self.read(standardError.read, into: self.errors) }
        let (exit, ending) = (self.exit, self.ending)
        Thread.detachNewThread {
            var status: Int32 = 0
            // Looked at first and reaped under the lock, so that no signal can meet another process with its number.
            var info = siginfo_t()
            while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) < 0, errno == EINTR {}
            Self.running.withLock { running in
                running.remove(pid)
                while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            }
            let signal = status & 0x7F
            exit.value.withLock { $0 = signal == 0 ? .status((status >> 8) & 0xFF) : .signal(signal) }
            ending.append("ended")
        }
    }

    deinit {
        self.signal(SIGKILL)
        self.closeInput()
    }

    /// How it ended; nil while it runs.
    package var exitIfEnded: Exit? { self.exit.value.withLock { $0 } }

    /// Sends a signal, unless it has ended.
    package func signal(_ number: Int32) {
        Self.running.withLock { running in
            if running.contains(self.pid) { _ = kill(self.pid, number) }
        }
    }

    /// Writes to its standard input, from the calling thread.
    package func write(_ text: String) {
        self.input.withLock { descriptor in
            guard let descriptor else { return }
            var bytes = Array(text.utf8)[...]
            while !bytes.isEmpty {
                let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                guard written > 0 else { return }
                bytes = bytes.dropFirst(written)
            }
        }
    }

    /// Ends its standard input.
    package func closeInput() {
        self.input.withLock { descriptor in
            if let open = descriptor.take() { close(open) }
        }
    }

    /// Waits for its end; kills it when that takes longer than `limit`, and throws.
    @discardableResult
    package func waitForExit(within limit: Duration = .patience) async throws -> Exit {
        do {
            try await self.ending.line("end of \(self.name)", within: limit) { _ in true }
        } catch {
            self.signal(SIGKILL)
            let tail = self.output.lines.suffix(20).joined(separator: "\n")
            throw OutputLog.Missing(description: "\(self.name) did not end within \(limit); last lines:\n\(tail)")
        }
        guard let exit = self.exitIfEnded else { preconditionFailure("ended without an exit status") }
        return exit
    }

    /// Starts a program, and waits for its end.
    package static func run(
        _ program: String,
        _ arguments: [String] = [],
        input: String? = nil,
        environment: [String: String] = [:],
        directory: String? = nil,
        within limit: Duration = .patience
    ) async throws -> Finished {
        let child = try ChildProcess(
            program,
            arguments,
            environment: environment,
            directory: directory,
            separateErrors: true
        )
        if let input { child.write(input) }
        child.closeInput()
        let exit = try await child.waitForExit(within: limit)
        // The pipes are read to their end even when the process was quick.
        _ = try? await child.output.lines(count: .max, within: .seconds(20))
        _ = try? await child.errors.lines(count: .max, within: .seconds(20))
        return Finished(exit: exit, output: child.output.lines, errors: child.errors.lines)
    }

    /// What a program that ended left behind.
    package struct Finished: Sendable {
        /// How it ended.
        package let exit: Exit
        /// Lines of standard output.
        package let output: [String]
        /// Lines of standard error.
        package let errors: [String]
        /// All of standard output.
        package var text: String { self.output.joined(separator: "\n") }
        /// Both, for messages of tests.
        package var all: String { (self.output + self.errors).joined(separator: "\n") }
    }

    /// Both ends are closed in other children.
    private struct Pipe {
        let read: Int32
        let write: Int32

        init() throws {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw StartError(description: "no pipe") }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            (self.read, self.write) = (ends[0], ends[1])
        }
    }

    private static func find(_ program: String) throws -> String {
        if program.contains("/") { return program }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        for directory in (path + ":/usr/sbin:/sbin").split(separator: ":") {
            let candidate = "\(directory)/\(program)"
            if access(candidate, X_OK) == 0 { return candidate }
        }
        throw StartError(description: "\(program) is not installed")
    }

    private static func read(_ descriptor: Int32, into log: OutputLog) {
        Thread.detachNewThread {
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            var line: [UInt8] = []
            while true {
                let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                for byte in buffer[..<count] {
                    if byte == UInt8(ascii: "\n") {
                        log.append(String(decoding: line, as: UTF8.self))
                        line.removeAll(keepingCapacity: true)
                    } else {
                        line.append(byte)
                    }
                }
            }
            if !line.isEmpty { log.append(String(decoding: line, as: UTF8.self)) }
            log.finish()
            close(descriptor)
        }
    }
}
