import ArgumentParser
import Foundation
import Gateway

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "What the running gateway does now.",
        discussion: """
            Asks the gateway that runs on the state directory of gateway.conf: clients, refusals, the clock, and each \
            uplink with what waits for it, what was lost on the way, and its last error. Counts are since its start. Ends \
            with 1 if no gateway answers.

            An uplink is "connected" while its broker acknowledges; "unproven" before the first acknowledgement of a \
            connection, "stalled" when it has owed one for ten seconds; "connecting"; "waiting" for the next attempt; \
            "clock" if certificates wait for the time of day.

              sealgate status
              sealgate status --json | jq '.uplinks[].state'
            """
    )

    @Flag(help: "One JSON object on standard output.")
    var json = false

    @OptionGroup var file: ConfigurationOption

    func run() throws {
        let directory = try self.file.load().stateDirectory
        let answer: [UInt8]?
        do throws(ControlSocketError) {
            answer = try ControlSocket.ask(in: directory)
        } catch {
            throw CommandFailure(.fault, "\(error)")
        }
        guard let answer else {
            throw CommandFailure(.no, "the gateway is not running (nobody answers in \(directory))")
        }
        guard let status = try? JSONDecoder().decode(GatewayStatus.self, from: Data(answer)) else {
            throw CommandFailure(.fault, "the gateway that runs is of another version: its answer is not understood")
        }
        if self.json { return try Output.json(status) }
        try Output.raw(StatusText(status).text)
    }
}
