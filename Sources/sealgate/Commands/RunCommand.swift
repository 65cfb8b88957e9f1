import ArgumentParser
import Gateway
import Logging
import ServiceLifecycle
import Store
import UnixSignals

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run the gateway.",
        discussion: """
            Runs until SIGTERM or SIGINT, which finish what is at hand and end with status 0. SIGHUP reads gateway.conf \
            again: if the whole file is valid, its profiles are in force at once, otherwise the old ones stay. Changes of \
            devices by "sealgate device" need no signal; they are in force within one second.

            The log goes to standard error.
            """
    )

    @OptionGroup var file: ConfigurationOption

    func run() async throws {
        let configuration = try self.file.load()
        let problems = configuration.checkFiles()
        guard problems.isEmpty else {
            for problem in problems { Output.error("\(problem)") }
            throw CommandFailure(.usage)
        }
        LoggingSystem.bootstrap(StreamLogHandler.standardError)
        var logger = Logger(label: "sealgate")
        logger.logLevel = Logger.Level(rawValue: configuration.logLevel.rawValue) ?? .info
        for warning in configuration.warnings {
            logger.warning("configuration", metadata: ["finding": "\(warning)"])
        }
        let gateway = Gateway(configuration: configuration, logger: logger)
        let reloader = Reloader(gateway: gateway, path: self.file.path, logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: gateway), .init(service: reloader)],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: Logger(label: "sealgate.services") { _ in SwiftLogNoOpLogHandler() }
            )
        )
        do {
            try await group.run()
        } catch let error as GatewayStartError {
            // A port in use or an address that is not up yet may be mended by waiting; the rest of gateway.conf is not.
            if case .listener = error { throw CommandFailure(.fault, "\(error)") }
            throw CommandFailure(.usage, "\(error)")
        } catch let error as StoreError {
            throw CommandFailure(.fault, "\(error)")
        }
    }
}
