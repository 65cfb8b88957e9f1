import ArgumentParser
import Foundation
import Gateway
import Logging
import UnixSignals

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "See sealed messages cross a gateway: nothing to set up.",
        discussion: """
            Runs in one process: the gateway from gateway.conf, an outside broker behind TLS with pre-shared keys, and nodes: \
            plain, sealed and on TLS, a forger, a replayer and some that leave their topics. Shows each message with what is \
            on the wire on the left and what arrives outside on the right:

              ->  delivered             <-  came down, a command
              ==  acknowledged again    --  refused

            gateway.conf is the one in the working directory, or else the one beside the program's package. Devices, keys \
            and the database are the demo's own, in a temporary directory; ports that are taken are replaced by free ones.

            Ends with 0 if exactly the right messages arrived, each once, otherwise with 1.
            """
    )

    @Option(help: "How many messages the sealed node sends first, 1 to 1000.")
    var messages = 5

    @Option(name: [.customLong("config"), .customShort("c")], help: "The configuration file.")
    var file: String?

    @Flag(help: "Show the log of the gateway and of the outside broker, on standard error.")
    var verbose = false

    func validate() throws {
        guard (1...1000).contains(self.messages) else { throw ValidationError("--messages takes 1 to 1000") }
    }

    func run() async throws {
        let configuration: GatewayConfiguration
        do {
            configuration = try GatewayConfiguration.load(path: try self.file ?? Self.findConfiguration())
        } catch let error as ConfigurationError {
            Output.error("\(error)")
            throw CommandFailure(.usage)
        }
        // Before there is anything to clean up.
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let directory = try DemoDirectory()
        defer { directory.remove() }
        let plan = try DemoPlan(adapting: configuration, to: directory)
        let isGood = try await withThrowingTaskGroup(of: Bool?.self) { group in
            group.addTask {
                for await _ in signals { break }
                return nil
            }
            group.addTask { [messages, verbose] in
                try await Self.perform(plan, in: directory, messages: messages, isVerbose: verbose)
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        guard let isGood else { throw CommandFailure(.no, "interrupted") }
        guard isGood else { throw CommandFailure(.no) }
    }

    private static func perform(
        _ plan: DemoPlan,
        in directory: DemoDirectory,
        messages: Int,
        isVerbose: Bool
    ) async throws -> Bool {
        let screen = DemoScreen()
        let logger = Logger(label: "sealgate") { label -> any LogHandler in
            isVerbose ? StreamLogHandler.standardError(label: label) : SwiftLogNoOpLogHandler()
        }
        let stage: DemoStage
        do {
            stage = try await DemoStage.start(plan, in: directory, logger: logger, screen: screen)
        } catch let error as GatewayStartError {
            throw CommandFailure(.usage, "\(error)")
        }
        let record: DemoRecord
        do {
            var script = try await DemoScript(stage: stage, screen: screen, messages: messages)
            record = await script.play()
        } catch {
            await stage.stop()
            throw error
        }
        await stage.stop()
        guard !Task.isCancelled else { return false }
        screen.table(record.rows)
        screen.say()
        guard record.problems.isEmpty else {
            for problem in record.problems { Output.error("sealgate: \(problem)") }
            return false
        }
        screen.say("Exactly the right messages arrived outside, each once.")
        return true
    }

    /// The shipped file: in the working directory, or in the directory of the package that the program was built in.
    private static func findConfiguration() throws(CommandFailure) -> String {
        let name = "gateway.conf"
        let files = FileManager.default
        if files.fileExists(atPath: name) { return name }
        var directory = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        while directory.path != "/" {
            let candidate = directory.appendingPathComponent(name).path
            let manifest = directory.appendingPathComponent("Package.swift").path
            if files.fileExists(atPath: candidate), files.fileExists(atPath: manifest) { return candidate }
            directory.deleteLastPathComponent()
        }
        throw CommandFailure(.usage, "there is no gateway.conf here: name one with --config FILE")
    }
}
