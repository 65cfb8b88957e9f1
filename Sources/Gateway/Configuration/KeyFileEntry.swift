package import Devices
package import Sealing

/// One `[[device]]` of a key file: a device and the secrets that its node has.
package struct KeyFileEntry: Sendable, Equatable {
    /// The device.
    package var id: DeviceID
    /// Its profile. A file for sealing and unsealing alone needs none.
    package var profile: String?
    /// The form of its payloads, if it differs from its profile's.
    package var seal: SealForm?
    /// The name that the node puts inside its payloads; `nil`: the file does not say.
    package var nodeID: String?
    /// The v1 secrets.
    package var v1Keys: V1Keys?
    /// The device whose v1 secrets this one uses; without secrets of its own then.
    package var keysOf: DeviceID?
    /// A pre-shared key for TLS that the node has already; `nil`: the gateway derives one.
    package var psk: [UInt8]?
    /// An OSCORE context that the node has already; `nil`: the gateway derives one.
    package var oscore: ImportedOSCORE?
    /// The hash of its password; `nil`: the file does not say.
    package var password: PasswordHash?
    /// The line of `[[device]]`, from 1; 0 for an entry that was not read from a file. Not compared.
    package var line: Int = 0

    /// An entry without secrets.
    package init(id: DeviceID, profile: String? = nil, seal: SealForm? = nil) {
        self.id = id
        self.profile = profile
        self.seal = seal
    }

    /// What a file says of `device`, secrets included.
    package init(_ device: Device) {
        self.init(id: device.id, profile: device.profile, seal: device.seal)
        self.nodeID = device.nodeID
        self.v1Keys = device.v1Keys
        self.keysOf = device.keysOf
        self.psk = device.psk
        self.oscore = device.oscore
        self.password = device.password
    }

    /// All but ``line``.
    package static func == (left: Self, right: Self) -> Bool {
        left.id == right.id && left.profile == right.profile && left.seal == right.seal && left.nodeID == right.nodeID
            && left.v1Keys == right.v1Keys && left.keysOf == right.keysOf && left.psk == right.psk
            && left.password == right.password && left.oscore == right.oscore
    }
}

extension KeyFileEntry: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Without any secret.
    package var description: String {
        var text = "device \(self.id)"
        if let profile = self.profile { text += ", profile \(TOMLPath.printable(profile))" }
        if let seal = self.seal { text += ", seal \(seal.rawValue)" }
        return text
    }

    /// Without any secret.
    package var debugDescription: String { self.description }

    /// Without any secret, for `dump` and the debugger.
    package var customMirror: Mirror { Mirror(self, children: ["id": self.id.text]) }
}
