import ArgumentParser
import Devices
import Store

struct DeviceShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show what is known of a device, and its topics.",
        discussion: """
            The filters of its profile are shown as they read for this device, each with its line of gateway.conf. Secrets \
            are never shown; "device export --secrets" writes them to a file. Of a password it is said that there is one.

              sealgate device show kitchen
            """
    )

    @Argument(help: "The device.", transform: DeviceID.argument)
    var id: DeviceID

    @Flag(help: "One JSON object on standard output.")
    var json = false

    @OptionGroup var file: ConfigurationOption

    func run() throws {
        let files = try GatewayFiles(self.file)
        let records = try files.deviceRecords()
        guard let record = records.first(where: { $0.device.id == self.id }) else {
            throw files.noDevice(self.id, among: records.map(\.device))
        }
        let details = DeviceDetails(
            record,
            owners: DeviceDetails.owners(records),
            registry: files.registry(of: records.map(\.inForce))
        )
        if self.json { return try Output.json(details) }
        let lines = details.lines.map { name, value in
            name + String(repeating: " ", count: max(1, 15 - name.count)) + value + "\n"
        }
        try Output.raw(lines.joined())
    }
}
