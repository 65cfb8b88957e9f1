import ArgumentParser
import Gateway

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Say what is wrong with gateway.conf, by file and line.",
        discussion: """
            Reads the file and the certificates and keys that it names, and touches nothing. Ends with 0 if "sealgate run" \
            would start with it, otherwise with 1.
            """
    )

    @OptionGroup var file: ConfigurationOption

    func run() throws {
        let configuration: GatewayConfiguration
        do {
            configuration = try GatewayConfiguration.load(path: self.file.path)
        } catch {
            Output.error("\(error)")
            throw CommandFailure(.no)
        }
        for warning in configuration.warnings { Output.error("\(warning)") }
        let problems = configuration.checkFiles()
        for problem in problems { Output.error("\(problem)") }
        guard problems.isEmpty else { throw CommandFailure(.no) }
        Output.line(
            "\(self.file.path): \(Self.count(configuration.listeners.count, "listener")), "
                + "\(Self.count(configuration.profiles.count, "profile")), "
                + "\(Self.count(configuration.uplinks.count, "uplink")), "
                + "\(Self.count(configuration.routes.count, "route")): good"
        )
    }

    private static func count(_ count: Int, _ noun: String) -> String {
        count == 1 ? "1 \(noun)" : "\(count) \(noun)s"
    }
}
