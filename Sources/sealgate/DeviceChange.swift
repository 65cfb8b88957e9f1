import ArgumentParser
import Devices
import Store

/// The arguments of commands that change devices which have to be there.
struct DeviceChange: ParsableArguments {
    @Argument(help: "The devices.", transform: DeviceID.argument)
    var ids: [DeviceID]

    @OptionGroup var file: ConfigurationOption

    /// Finds all devices before the first is changed, then changes one after the other and says so.
    ///
    /// - Parameters:
    ///   - done: What a device is then: "revoked".
    ///   - change: Returns whether there was anything to change.
    /// - Returns: All devices without their secrets, as they were before.
    @discardableResult
    func perform(_ done: String, _ change: (Store, Device) throws(StoreError) -> Bool) throws -> [Device] {
        // Without secrets: what is revoked or removed need not be readable, nor master.key be there.
        let files = try GatewayFiles(self.file)
        guard let store = try files.openExistingStore(.command) else { throw files.noDevice(self.ids[0], among: []) }
        defer { store.close() }
        let all = try store.deviceRecords().map(\.device)
        var devices = try files.find(self.ids, among: all)
        // Who uses another's keys goes before it, so that both can be removed at once.
        devices = devices.filter { $0.keysOf != nil } + devices.filter { $0.keysOf == nil }
        for device in devices {
            if try change(store, device) {
                Output.line("device \(device.id) is \(done); in force within one second")
            } else {
                Output.line("device \(device.id) was \(done) already")
            }
        }
        return all
    }
}
