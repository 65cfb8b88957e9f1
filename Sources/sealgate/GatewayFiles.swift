import Devices
import Foundation
import Gateway
import Logging
import Store

/// What most commands work on: gateway.conf, and the devices in the state directory that it names. A gateway may be
/// running on the same files.
struct GatewayFiles {
    let configuration: GatewayConfiguration

    /// - Throws: ``CommandFailure`` with status 2 after every finding was printed.
    init(_ option: ConfigurationOption) throws(CommandFailure) {
        self.configuration = try option.load()
    }

    /// Of a configuration that was read already.
    init(_ configuration: GatewayConfiguration) {
        self.configuration = configuration
    }

    private var directory: StateDirectory { StateDirectory(path: self.configuration.stateDirectory) }

    /// Opens the store to change it, and makes one if there is none.
    func openStore() throws(StoreError) -> Store {
        try self.open(.command)
    }

    /// Opens the store if there is one: a question, or a change of devices that have to be there, makes none.
    func openExistingStore(_ access: StoreAccess = .readOnly) throws(StoreError) -> Store? {
        guard FileManager.default.fileExists(atPath: self.directory.database) else { return nil }
        return try self.open(access)
    }

    private func open(_ access: StoreAccess) throws(StoreError) -> Store {
        // Only the gateway's own opening has anything to log; for a command it is an error.
        let silent = Logger(label: "sealgate.store") { _ in SwiftLogNoOpLogHandler() }
        return try Store.open(directory: self.configuration.stateDirectory, access: access, logger: silent)
    }

    /// All devices, none if there is no store.
    func devices() throws(StoreError) -> [Device] {
        guard let store = try self.openExistingStore() else { return [] }
        defer { store.close() }
        return try store.devices()
    }

    /// All devices without their secrets, none if there is no store. Needs no master.key.
    func deviceRecords() throws(StoreError) -> [DeviceRecord] {
        guard let store = try self.openExistingStore() else { return [] }
        defer { store.close() }
        return try store.deviceRecords()
    }

    /// What the gateway would know of `devices`.
    func registry(of devices: [Device]) -> DeviceRegistry {
        let registry = DeviceRegistry(gateway: self.configuration.name)
        _ = registry.replace(
            devices: devices,
            profiles: self.configuration.profiles.values.sorted { $0.line < $1.line }
        )
        return registry
    }

    /// "There is no such device", with what was probably meant.
    func noDevice(_ id: DeviceID, among devices: [Device]) -> CommandFailure {
        guard !devices.isEmpty else {
            return CommandFailure(.no, "there is no device \(id): \(self.directory.path) has no devices yet")
        }
        let nearest = NearestName.find(id.text, among: devices.map(\.id.text))
        let cure = nearest.map { "did you mean \"\($0)\"?" } ?? "see: sealgate device list"
        return CommandFailure(.no, "there is no device \(id); \(cure)")
    }

    /// The devices with these ids, in this order, each once.
    ///
    /// - Throws: ``CommandFailure`` with status 1 if one is not there.
    func find(_ ids: [DeviceID], among devices: [Device]) throws(CommandFailure) -> [Device] {
        let known = Dictionary(devices.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        var found: [Device] = []
        var seen: Set<DeviceID> = []
        for id in ids where seen.insert(id).inserted {
            guard let device = known[id] else { throw self.noDevice(id, among: devices) }
            found.append(device)
        }
        return found
    }
}

extension KeyFile {
    /// Reads a key file, or standard input for `-`.
    ///
    /// - Throws: ``CommandFailure`` with status 2 after every finding was printed.
    static func load(_ path: String) throws(CommandFailure) -> [KeyFileEntry] {
        do throws(ConfigurationError) {
            return path == "-" ? try Self.readStandardInput() : try Self.read(path: path)
        } catch {
            Output.error("\(error)")
            throw CommandFailure(.usage)
        }
    }
}
