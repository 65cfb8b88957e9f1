import ArgumentParser
import Foundation
import Gateway

/// The program: what a person types, and the exit status that scripts rely on.
@main
struct Sealgate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sealgate",
        abstract: "A gateway for sealed IoT nodes.",
        discussion: """
            Nodes on the local network send MQTT or CoAP to it, plain or sealed. It proves who sent each message, opens \
            what is sealed, holds every device to its own topics, keeps everything on disk until it is safe, and \
            republishes over TLS to an outside broker.

            First steps:
              sealgate demo    see it work, nothing to set up
              sealgate check   what is wrong with gateway.conf, by line
              sealgate device add kitchen --profile sensor
              sealgate run

            Exit status: 0 done, 1 the answer is no, 2 usage or configuration, 70 a fault of the program or the machine.
            """,
        version: Version.text,
        subcommands: [
            RunCommand.self, CheckCommand.self, DemoCommand.self, DeviceCommand.self, ExplainCommand.self,
            SealCommand.self, UnsealCommand.self, CertsCommand.self, StatusCommand.self, DeadCommand.self,
        ]
    )

    /// Runs one command and ends the process with the status of the contract.
    static func main() async {
        // A reader that went away is an error of the write, which `device add` must see to take its device back.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try Self.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            failure.exit()
        } catch let error as any FailingError {
            error.commandFailure.exit()
        } catch {
            // Requests for help end with 0, wrong usage with ArgumentParser's own 64.
            let code = Self.exitCode(for: error)
            guard code != .success, code != .validationFailure else {
                Self.reportAndExit(error, code == .success ? .success : CommandFailure.Status.usage.exitCode)
            }
            CommandFailure(.fault, "\(error)").exit()
        }
    }

    private static func reportAndExit(_ error: any Error, _ code: ExitCode) -> Never {
        let message = Self.fullMessage(for: error)
        if code == .success {
            Output.line(message)
        } else {
            Output.error(message)
        }
        Self.exit(withError: code)
    }
}
