import ArgumentParser
import Gateway

/// `--config FILE`, as all commands have it that read gateway.conf.
struct ConfigurationOption: ParsableArguments {
    @Option(
        name: [.customLong("config"), .customShort("c")],
        help: ArgumentHelp("The configuration file.", valueName: "file")
    )
    var path = "gateway.conf"

    /// Reads and checks the file.
    ///
    /// - Throws: ``CommandFailure`` with status 2 after every finding was printed, by file and line.
    func load() throws(CommandFailure) -> GatewayConfiguration {
        do {
            return try GatewayConfiguration.load(path: self.path)
        } catch {
            Output.error("\(error)")
            throw CommandFailure(.usage)
        }
    }
}
