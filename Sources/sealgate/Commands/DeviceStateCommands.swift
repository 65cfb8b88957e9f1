import ArgumentParser
import Devices
import Sealing
import Store

struct DeviceRevokeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Accept nothing more of a device: a node that was lost or stolen.",
        discussion: """
            Its open connections are closed, its messages refused, its session IDs withdrawn, within one second. What it \
            sent before stays on its way. Its record and keys are kept; "device restore" takes it back.

              sealgate device revoke kitchen
            """
    )

    @OptionGroup var change: DeviceChange

    func run() throws {
        let devices = try self.change.perform("revoked") { (store, device) throws(StoreError) in
            guard !device.isRevoked else { return false }
            try store.setRevoked(true, of: device.id)
            return true
        }
        // Without the secrets only those are found that name another's; better than no word at all.
        self.warnOfSharedKeys((try? GatewayFiles(self.change.file).devices()) ?? devices)
    }

    /// Who took a node has its keys, and with them can speak for every device that shares them.
    private func warnOfSharedKeys(_ devices: [Device]) {
        let byID = Dictionary(devices.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        func keys(of device: Device) -> V1Keys? { device.v1Keys ?? device.keysOf.flatMap { byID[$0]?.v1Keys } }
        func owner(of device: Device) -> DeviceID { device.keysOf ?? device.id }
        let revoked = Set(self.change.ids)
        let lost = Set(revoked.compactMap { byID[$0].flatMap(keys) })
        let owners = Set(revoked.compactMap { byID[$0].map(owner) })
        let others = devices.filter { device in
            guard !device.isRevoked, !revoked.contains(device.id) else { return false }
            return owners.contains(owner(of: device)) || keys(of: device).map(lost.contains) ?? false
        }
        guard !others.isEmpty else { return }
        let names = others.map(\.id.text).joined(separator: ", ")
        Output.error("sealgate: devices with the same keys are not revoked: \(names)")
    }
}

struct DeviceRestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Take back that a device was revoked.",
        discussion: "  sealgate device restore kitchen"
    )

    @OptionGroup var change: DeviceChange

    func run() throws {
        try self.change.perform("restored") { (store, device) throws(StoreError) in
            guard device.isRevoked else { return false }
            try store.setRevoked(false, of: device.id)
            return true
        }
    }
}

struct DeviceRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Forget a device and its keys.",
        discussion: """
            Its open connections are closed. Its record is overwritten in the database: there is no way back. Other \
            devices that use its keys have to go first, or with it.

            A lost or stolen node is better revoked: a new device of the same id would have the same TLS-PSK again.

              sealgate device remove kitchen hall
            """
    )

    @OptionGroup var change: DeviceChange

    func run() throws {
        try self.change.perform("removed") { (store, device) throws(StoreError) in
            try store.remove(device.id)
            return true
        }
    }
}
