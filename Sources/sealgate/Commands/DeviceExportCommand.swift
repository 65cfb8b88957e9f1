import ArgumentParser
import Devices
import Gateway

struct DeviceExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write devices as a key file to standard output.",
        discussion: """
            Without --secrets the file says who there is and no more. With it the file is a backup that "device import" \
            reads, and as good as the nodes themselves: keep it where the nodes' keys may be.

              umask 077
              sealgate device export --secrets > nodes.keys

            Of a password the hash is written, which is as much as the gateway knows itself.

            A key file can't say that a device is revoked: revoked ones are left out unless they are named. Keys for \
            TLS-PSK and OSCORE contexts that are derived from the master key are not in it.
            """
    )

    @Argument(help: "Only these devices. (default: all that are not revoked)", transform: DeviceID.argument)
    var ids: [DeviceID] = []

    @Flag(help: "With their keys.")
    var secrets = false

    @OptionGroup var file: ConfigurationOption

    func run() throws {
        let files = try GatewayFiles(self.file)
        var devices = try files.devices()
        let revoked: [Device]
        if self.ids.isEmpty {
            revoked = devices.filter(\.isRevoked)
            devices.removeAll(where: \.isRevoked)
        } else {
            devices = try files.find(self.ids, among: devices)
            revoked = devices.filter(\.isRevoked)
        }
        let entries = devices.map { device in
            var entry = KeyFileEntry(device)
            if !self.secrets {
                entry.v1Keys = nil
                entry.psk = nil
                entry.oscore = nil
                entry.password = nil
            }
            return entry
        }
        if self.secrets, Output.isTerminal {
            Output.error("sealgate: these are keys, on a screen; write them to a file of mode 0600")
        }
        let head = self.secrets || entries.isEmpty ? "" : "# Without keys, which --secrets adds.\n\n"
        try Output.raw(head + KeyFile.write(entries))
        if entries.isEmpty { Output.error("no devices") }
        let withPassword = devices.filter { $0.password != nil }.map(\.id.text)
        if !self.secrets, !withPassword.isEmpty {
            Output.error("they have passwords, which --secrets adds as hashes: \(withPassword.joined(separator: ", "))")
        }
        if !revoked.isEmpty {
            let names = revoked.map(\.id.text).joined(separator: ", ")
            Output.error(
                self.ids.isEmpty ? "left out, revoked: \(names)" : "revoked, which a key file can't say: \(names)"
            )
        }
    }
}
