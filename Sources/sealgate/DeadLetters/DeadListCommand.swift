import ArgumentParser
import Devices
import Store

struct DeadListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the messages that could not be delivered.",
        discussion: """
            The newest at the end. With --json one array of what "dead show --json" prints, without payloads.

              sealgate dead list --uplink cloud
              sealgate dead list --device kitchen --json
            """
    )

    @Option(help: ArgumentHelp("Only those of this uplink.", valueName: "name"))
    var uplink: String?

    @Option(help: ArgumentHelp("Only those that this device sent.", valueName: "device"), transform: DeviceID.argument)
    var device: DeviceID?

    @Option(help: ArgumentHelp("The newest so many.", valueName: "number"))
    var limit = 100

    @Flag(help: "One JSON array on standard output.")
    var json = false

    @OptionGroup var file: ConfigurationOption

    func validate() throws {
        guard self.limit >= 1 else { throw ValidationError("--limit takes 1 or more.") }
    }

    func run() throws {
        let store = try GatewayFiles(self.file).openExistingStore()
        defer { store?.close() }
        let letters = try store?.deadLetters(
            uplink: self.uplink,
            device: self.device,
            limit: min(self.limit, Int(Int32.max)),
            maxPayloadBytes: 0
        )
        let details = (letters ?? []).map { DeadLetterDetails($0) }
        if self.json { return try Output.json(details) }
        guard !details.isEmpty else { return Output.error("no dead letters") }
        try Output.table(DeadLetterDetails.heads, details.map(\.row))
    }
}
