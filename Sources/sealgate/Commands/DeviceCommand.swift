import ArgumentParser

struct DeviceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device",
        abstract: "Add, show, revoke, remove devices; take keys in and out.",
        discussion: """
            Devices and their keys are in the state directory that gateway.conf names, not in gateway.conf. A gateway may \
            be running: a change is in force within one second, and connections of a device that is revoked, removed or \
            given other keys are closed.

            No secret is ever taken from the command line, where everybody on the machine can read it: keys are made \
            here, or read from a key file of mode 0600 (sealgate device import --help shows one), and passwords are \
            asked for.

              sealgate device add kitchen --profile sensor > kitchen.keys
              sealgate device password hass
              sealgate device list
              sealgate device revoke kitchen
            """,
        subcommands: [
            DeviceAddCommand.self, DeviceListCommand.self, DeviceShowCommand.self, DeviceRevokeCommand.self,
            DeviceRestoreCommand.self, DeviceRemoveCommand.self, DevicePasswordCommand.self, DeviceImportCommand.self,
            DeviceExportCommand.self,
        ]
    )
}
