import Devices
import Logging
import Sealing

/// The keys that are derived from the master key: TLS-PSK and OSCORE context of each device. Bound to the gateway's loop.
final class DeviceKeys {
    private let path: String
    private let logger: Logger
    private var hierarchy: KeyHierarchy?

    /// - Parameter path: Of the master key file, which appears with the first device that needs it.
    init(path: String, logger: Logger) {
        self.path = path
        self.logger = logger
        self.reload()
    }

    /// With keys that are there already.
    init(_ hierarchy: KeyHierarchy, logger: Logger) {
        self.path = ""
        self.logger = logger
        self.hierarchy = hierarchy
    }

    /// Reads the master key if it is not there yet. Called at start and when devices changed, not per message.
    func reload() {
        guard self.hierarchy == nil else { return }
        do {
            self.hierarchy = KeyHierarchy(master: try MasterKey.load(self.path))
        } catch  where error.problem == .missing {
            // No device has a secret yet.
        } catch {
            self.logger.error(
                "the master key can't be used: no device can prove itself",
                metadata: ["error": "\(error)"]
            )
        }
    }

    /// Derives a key for nobody.
    func spendDerivation() {
        _ = self.hierarchy?.deviceSecret(device: "nobody", epoch: 0).key(.tlsPSK)
    }

    /// The derived TLS-PSK of a device in its present epoch.
    func preSharedKey(of device: Device) -> [UInt8]? {
        self.hierarchy?.deviceSecret(device: device.id.text, epoch: device.epoch).key(.tlsPSK)
    }

    // MARK: OSCORE

    /// The `kid` of a device's requests in its present epoch: derived, whatever was imported.
    func oscoreID(of device: DeviceID, epoch: UInt32) -> [UInt8]? {
        self.hierarchy?.deviceSecret(device: device.text, epoch: epoch).key(.oscoreID)
    }

    /// The gateway's side of a device's derived OSCORE context.
    func oscoreContext(of device: DeviceID, epoch: UInt32) -> OSCOREContext? {
        self.hierarchy?.deviceSecret(device: device.text, epoch: epoch).oscoreContext()
    }
}
