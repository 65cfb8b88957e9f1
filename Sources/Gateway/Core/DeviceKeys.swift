import Devices
import Logging
import Sealing

/// The keys that are derived from the master key: today the TLS-PSK of each device. Bound to the gateway's loop.
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
}
