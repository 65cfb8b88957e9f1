package import Sealing

/// One device as the store keeps it: who it is, what it may do by profile, and what proves it.
package struct Device: Sendable, Equatable {
    /// The name; put for `%d` in the templates of the profile.
    package var id: DeviceID
    /// Name of the `[profile.x]` that says what it may do. A name that gateway.conf does not have allows nothing.
    package var profile: String
    /// The form of its payloads if it differs from the profile's; nil: the profile's.
    package var seal: SealForm?
    /// Key epoch, from 1: counted up by a rotation, part of every derived key.
    package var epoch: UInt32
    /// Nothing of a revoked device is accepted, on open connections either.
    package var isRevoked: Bool
    /// The name that the node puts inside a v1 payload (its chip id as a rule); nil: none on record.
    package var nodeID: String?
    /// The secrets of v1; nil for other forms, and for a device that uses the keys of ``keysOf``.
    package var v1Keys: V1Keys?
    /// The device whose v1 keys this one uses.
    package var keysOf: DeviceID?
    /// An imported pre-shared key; nil: it is derived from the master key and the epoch.
    package var psk: [UInt8]?
    /// An imported OSCORE context; nil: it is derived from the master key and the epoch.
    package var oscore: ImportedOSCORE?
    /// What its password is checked against; nil: it has none.
    package var password: PasswordHash?
    /// When it was added, in seconds since 1970.
    package var created: Int64

    /// A device that is not revoked, in epoch 1, unless said otherwise.
    package init(
        id: DeviceID,
        profile: String,
        seal: SealForm? = nil,
        epoch: UInt32 = 1,
        isRevoked: Bool = false,
        nodeID: String? = nil,
        v1Keys: V1Keys? = nil,
        keysOf: DeviceID? = nil,
        psk: [UInt8]? = nil,
        oscore: ImportedOSCORE? = nil,
        password: PasswordHash? = nil,
        created: Int64 = 0
    ) {
        self.id = id
        self.profile = profile
        self.seal = seal
        self.epoch = epoch
        self.isRevoked = isRevoked
        self.nodeID = nodeID
        self.v1Keys = v1Keys
        self.keysOf = keysOf
        self.psk = psk
        self.oscore = oscore
        self.password = password
        self.created = created
    }
}

extension Device: CustomStringConvertible, CustomReflectable {
    /// Without any secret.
    package var description: String {
        "device \(self.id) (profile \(self.profile), epoch \(self.epoch)\(self.isRevoked ? ", revoked" : ""))"
    }

    /// Without any secret, for `dump` and the debugger.
    package var customMirror: Mirror {
        Mirror(self, children: ["id": self.id.text, "profile": self.profile, "epoch": self.epoch])
    }
}
