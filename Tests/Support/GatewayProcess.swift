import Foundation

/// The built program, running or for one command, in a directory of its own with a gateway.conf.
package final class GatewayProcess: Sendable {
    /// The program that was built beside the tests; `SEALGATE_BINARY` names another.
    package static let binary: String =
        ProcessInfo.processInfo.environment["SEALGATE_BINARY"]
        ?? (Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0]))
        .resolvingSymlinksInPath().deletingLastPathComponent().path + "/sealgate"

    /// A gateway's directory: configuration, state, keys. It outlives the processes that run in it.
    package final class Home: Sendable {
        /// Holds `gateway.conf` and `state/`.
        package let directory: TemporaryDirectory

        /// Writes the configuration.
        package init(configuration: String) throws {
            self.directory = try TemporaryDirectory()
            try self.directory.write("gateway.conf", configuration)
        }

        /// Replaces the configuration.
        package func configure(_ text: String) throws {
            try self.directory.write("gateway.conf", text)
        }

        /// Runs one command, such as `["device", "list"]`, and waits for its end.
        package func run(_ arguments: [String], input: String? = nil) async throws -> ChildProcess.Finished {
            try await ChildProcess.run(
                GatewayProcess.binary,
                arguments,
                input: input,
                directory: self.directory.path,
                within: .seconds(30)
            )
        }

        /// Adds the devices of a key file.
        package func importDevices(_ keyFile: String) async throws {
            let path = try self.directory.write("devices.toml", keyFile)
            let finished = try await self.run(["device", "import", path])
            guard finished.exit == .status(0) else {
                throw OutputLog.Missing(description: "device import: \(finished.exit)\n\(finished.all)")
            }
        }

        /// Starts the gateway, and waits until all its listeners are open.
        ///
        /// - Parameters:
        ///   - environment: Added to the test's own.
        ///   - command: A program that becomes the gateway, such as `strace -D`, with its arguments.
        package func start(
            environment: [String: String] = [:],
            by command: [String] = []
        ) async throws -> GatewayProcess {
            let lines = try String(contentsOfFile: self.directory.file("gateway.conf"), encoding: .utf8)
                .split(separator: "\n").map { $0.trimmingPrefix(while: \.isWhitespace) }
            // One that is attached to a broker opens no port.
            let listeners =
                lines.count { $0.hasPrefix("[[listener]]") } - lines.count { $0.hasPrefix("protocol = \"attach\"") }
            let gateway = try GatewayProcess(home: self, environment: environment, command: command)
            do {
                _ = try await gateway.log.lines(count: listeners) { Self.isListening($0) }
            } catch {
                let tail = gateway.log.lines.suffix(20).joined(separator: "\n")
                throw OutputLog.Missing(description: "\(listeners) listeners did not open; last lines:\n\(tail)")
            }
            return gateway
        }

        static func isListening(_ line: String) -> Bool {
            line.hasSuffix(" listening") && line.contains("port=")
        }
    }

    private let home: Home
    private let process: ChildProcess

    private init(home: Home, environment: [String: String], command: [String]) throws {
        self.home = home
        let command = command + [Self.binary, "run"]
        self.process = try ChildProcess(
            command[0],
            Array(command.dropFirst()),
            environment: environment,
            directory: home.directory.path
        )
    }

    /// What it logs.
    package var log: OutputLog { self.process.output }
    /// Its process.
    package var pid: Int32 { self.process.pid }

    /// The port of the first listener for `transport`: `mqtt` or `mqtts`.
    package func port(_ transport: String = "mqtt") throws -> Int {
        for line in self.log.lines where Home.isListening(line) && line.contains("protocol=\(transport) ") {
            if let port = line.split(separator: " ").first(where: { $0.hasPrefix("port=") })?.dropFirst(5) {
                return Int(port) ?? 0
            }
        }
        throw OutputLog.Missing(
            description: "no \(transport) listener; log:\n" + self.log.lines.joined(separator: "\n")
        )
    }

    /// A line of the log that holds all of `words`.
    @discardableResult
    package func logged(_ words: String..., within limit: Duration = .patience) async throws -> String {
        try await self.log.line("log line with \(words)", within: limit) { line in
            words.allSatisfy { line.contains($0) }
        }
    }

    /// SIGTERM, and the end that follows.
    package func stop(within limit: Duration = .patience) async throws -> ChildProcess.Exit {
        self.process.signal(SIGTERM)
        return try await self.process.waitForExit(within: limit)
    }

    /// SIGKILL.
    package func kill() async throws {
        self.process.signal(SIGKILL)
        try await self.process.waitForExit()
    }

    /// Starts another in the same directory, when this one has ended.
    package func restart() async throws -> GatewayProcess {
        try await self.home.start()
    }

    /// Any signal.
    package func signal(_ number: Int32) {
        self.process.signal(number)
    }

    /// Waits for an end that comes by itself.
    package func waitForExit(within limit: Duration = .patience) async throws -> ChildProcess.Exit {
        try await self.process.waitForExit(within: limit)
    }
}
