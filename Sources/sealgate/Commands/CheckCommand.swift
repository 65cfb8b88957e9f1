import ArgumentParser
import Gateway
import Store

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Say what is wrong with gateway.conf, by file and line.",
        discussion: """
            Reads the file and the certificates and keys that it names, sets TLS up as "sealgate run" does, and touches \
            nothing. Ends with 0 if "sealgate run" would start with it, otherwise with 1.
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
        let findings = problems + configuration.checkTLS(besides: problems)
        for finding in findings { Output.error("\(finding)") }
        guard !findings.contains(where: { $0.severity == .error }) else { throw CommandFailure(.no) }
        self.warnOfClock(configuration)
        Output.line(
            "\(self.file.path): \(Self.count(configuration.listeners.count, "listener")), "
                + "\(Self.count(configuration.profiles.count, "profile")), "
                + "\(Self.count(configuration.uplinks.count, "uplink")), "
                + "\(Self.count(configuration.routes.count, "route")): good"
        )
    }

    /// A clock that the gateway would take for not set.
    private func warnOfClock(_ configuration: GatewayConfiguration) {
        let store = try? GatewayFiles(configuration).openExistingStore()
        defer { store?.close() }
        let stored = (try? store?.timeFloor()) ?? 0
        guard let words = ClockReading(storedFloor: stored, rule: configuration.clock).problem else { return }
        Output.error("\(self.file.path): warning: \(words)")
    }

    private static func count(_ count: Int, _ noun: String) -> String {
        count == 1 ? "1 \(noun)" : "\(count) \(noun)s"
    }
}
