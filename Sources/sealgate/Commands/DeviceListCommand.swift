import ArgumentParser
import Devices
import Gateway
import Store

struct DeviceListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the devices.",
        discussion: """
            One line a device, without any secret. With --json one array of what "device show --json" prints.

              sealgate device list --profile sensor
            """
    )

    @Option(help: ArgumentHelp("Only devices of this profile.", valueName: "name"))
    var profile: String?

    @Flag(help: "One JSON array on standard output.")
    var json = false

    @OptionGroup var file: ConfigurationOption

    func run() throws {
        let files = try GatewayFiles(self.file)
        let records = try files.deviceRecords()
        let registry = files.registry(of: records.map(\.inForce))
        let owners = DeviceDetails.owners(records)
        let details = records.filter { self.profile == nil || $0.device.profile == self.profile }
            .map { DeviceDetails($0, owners: owners, registry: registry) }
        if self.json { return try Output.json(details) }
        guard !details.isEmpty else {
            return Output.error(self.profile.map { "no devices with profile \($0)" } ?? "no devices yet")
        }
        try Output.table(
            ["ID", "PROFILE", "SEAL", "STATE", "EPOCH", "PASSWORD", "OSCORE", "NODE ID", "SESSION TOPIC"],
            details.map { device in
                [
                    device.id, Printable.text(device.profile), device.seal,
                    device.problem != nil && device.state == "active" ? "unusable" : device.state,
                    "\(device.epoch)", device.password ? "set" : "-",
                    device.oscore == "imported" ? "own" : "-", device.nodeID.map { Printable.text($0) } ?? "-",
                    device.sessionTopic.map { Printable.text($0) } ?? "-",
                ]
            }
        )
    }
}
