package import Devices

/// What can be told of a device without opening its secrets: enough to list it, to explain it and to revoke it, also
/// where master.key is lost.
package struct DeviceRecord: Sendable, Equatable {
    /// The device, always without ``Device/v1Keys``, ``Device/psk``, ``Device/oscore`` and ``Device/password``. Fields that
    /// this release does not know are nil.
    package var device: Device
    /// Whether it has v1 keys of its own.
    package var hasV1Keys: Bool
    /// Whether it has an imported pre-shared key.
    package var hasPSK: Bool
    /// Whether it has an imported OSCORE context.
    package var hasOSCORE: Bool
    /// Whether it has a password.
    package var hasPassword: Bool
    /// Why the gateway can't use it and takes it for revoked, to follow "the record of device x": nil if nothing is seen.
    /// Secrets that can't be opened are not seen here.
    package var problem: String?

    /// The record of a device at hand; its secrets are left out.
    package init(_ device: Device) {
        self.device = device
        self.device.v1Keys = nil
        self.device.psk = nil
        self.device.oscore = nil
        self.device.password = nil
        self.hasV1Keys = device.v1Keys != nil
        self.hasPSK = device.psk != nil
        self.hasOSCORE = device.oscore != nil
        self.hasPassword = device.password != nil
    }

    /// The device as the gateway takes it, but for secrets: one that it can't use is revoked.
    package var inForce: Device {
        var device = self.device
        if self.problem != nil { device.isRevoked = true }
        return device
    }
}

/// All devices as a running gateway takes them.
struct DeviceReading {
    /// Those that can't be used are among them, revoked.
    var devices: [Device] = []
    /// What is wrong, by the names of the devices.
    var problems: [String: String] = [:]
}
