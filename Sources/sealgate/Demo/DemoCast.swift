import Devices
import Logging
import NIOCore
import OpenSSL
import Sealing
import Store

/// The devices of the demo, with fresh keys.
struct DemoCast: Sendable {
    /// Plain MQTT, no TLS.
    let garden: Device
    /// Sealed v1 over plain MQTT.
    let kitchen: Device
    /// TLS with a pre-shared key, and no seal.
    let cellar: Device
    /// TLS with a pre-shared key, and a seal.
    let porch: Device
    let kitchenKeys = V1Keys.random()
    /// What the kitchen writes inside its seal: a chip id.
    static let kitchenNodeID = "2748310"

    /// The names stand in the source, and are short enough for the columns.
    init(_ plan: DemoPlan) throws {
        let sealed = plan.sealedProfile.name
        self.garden = Device(id: try DeviceID("garden"), profile: plan.plainProfile.name)
        self.kitchen = Device(
            id: try DeviceID("kitchen"),
            profile: sealed,
            nodeID: Self.kitchenNodeID,
            v1Keys: self.kitchenKeys
        )
        self.cellar = Device(id: try DeviceID("cellar"), profile: sealed, seal: SealForm.none, psk: Self.key())
        self.porch = Device(
            id: try DeviceID("porch"),
            profile: sealed,
            nodeID: "9021174",
            v1Keys: .random(),
            psk: Self.key()
        )
    }

    /// A fresh pre-shared key.
    static func key() -> [UInt8] { SecureRandom.bytes(count: 32) }

    /// Puts devices into the store of a gateway that does not run yet.
    static func enroll(_ devices: [Device], in directory: String, logger: Logger) throws {
        let store = try Store.open(directory: directory, access: .command, logger: logger)
        defer { store.close() }
        try store.insert(devices)
    }
}

extension Device {
    /// What the device proves itself with over TLS.
    var preSharedKey: TLSPreSharedKey? {
        self.psk.map { TLSPreSharedKey(identity: Array(self.id.text.utf8), key: $0) }
    }
}
