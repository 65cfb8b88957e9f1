/// What ``DeviceRegistry/replace(devices:profiles:)`` found different. A device may be in several sets.
package struct DeviceChanges: Sendable, Equatable {
    /// New ones.
    package var added: Set<DeviceID> = []
    /// Gone.
    package var removed: Set<DeviceID> = []
    /// Revoked since.
    package var revoked: Set<DeviceID> = []
    /// No longer revoked.
    package var restored: Set<DeviceID> = []
    /// Epoch, keys, pre-shared key, password, node id or seal are other ones: what proved the device before may not prove it now.
    package var rekeyed: Set<DeviceID> = []
    /// Another profile, or the same one with other contents: what it may do is to be asked anew.
    package var reprofiled: Set<DeviceID> = []

    /// Nothing.
    package init() {}

    /// Devices whose open connections have to be closed.
    package var lost: Set<DeviceID> { self.removed.union(self.revoked) }

    /// Whether nothing is different.
    package var isEmpty: Bool { self == DeviceChanges() }
}

extension Device {
    /// Whether what proves the device is not the same; `keysOf` is looked through by the registry.
    func hasOtherCredentials(than other: Device) -> Bool {
        self.epoch != other.epoch || self.psk != other.psk || self.password != other.password
            || self.oscore != other.oscore || self.seal != other.seal
            || !(self.nodeID ?? "").utf8.elementsEqual((other.nodeID ?? "").utf8)
            || (self.nodeID == nil) != (other.nodeID == nil)
    }
}
