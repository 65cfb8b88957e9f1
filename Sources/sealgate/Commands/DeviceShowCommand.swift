import ArgumentParser
import Devices
import Store

struct DeviceShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show what is known of a device, and its topics.",
        discussion: """
            The filters of its profile are shown as they read for this device, each with its line of gateway.conf. Secrets \
            are not shown; "device export --secrets" writes them to a file. Of a password it is said that there is one.

            With --oscore only what its node needs for OSCORE is shown, its secret included: with --json the settings.json \
            of aiocoap.

              sealgate device show kitchen
              umask 077
              sealgate device show kitchen --oscore --json > settings.json
            """
    )

    @Argument(help: "The device.", transform: DeviceID.argument)
    var id: DeviceID

    @Flag(help: "Show the OSCORE context of its node, and nothing else.")
    var oscore = false

    @Flag(help: "One JSON object on standard output.")
    var json = false

    @OptionGroup var file: ConfigurationOption

    func run() throws {
        let files = try GatewayFiles(self.file)
        let records = try files.deviceRecords()
        guard let record = records.first(where: { $0.device.id == self.id }) else {
            throw files.noDevice(self.id, among: records.map(\.device))
        }
        if self.oscore { return try self.showOSCORE(files) }
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

    private func showOSCORE(_ files: GatewayFiles) throws {
        guard let store = try files.openExistingStore() else { return }
        defer { store.close() }
        guard let device = try store.device(self.id) else { throw files.noDevice(self.id, among: []) }
        let sheet = try OSCORESheet(device, try store.keyHierarchy())
        if Output.isTerminal {
            Output.error("sealgate: these are keys, on a screen; write them to a file of mode 0600")
        }
        if self.json { return try Output.json(sheet.machine) }
        try Output.raw(sheet.lines.joined(separator: "\n") + "\n")
    }
}
