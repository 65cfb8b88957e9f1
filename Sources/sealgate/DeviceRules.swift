import Devices
import Gateway
import Sealing

/// What a device needs before it is stored, so that nothing gets in that the gateway could not use.
struct DeviceRules {
    let configuration: GatewayConfiguration

    /// Why a device can't be stored, in words that follow its name and a colon.
    struct Problem: Error, Equatable {
        let status: CommandFailure.Status
        let message: String
    }

    /// What a device and a node would prove themselves by: two with the same could not be told apart.
    private struct Identity: Hashable {
        let keys: V1Keys
        let nodeID: [UInt8]
    }

    /// The form of the device's payloads.
    func seal(of device: Device) -> SealForm {
        device.seal ?? self.configuration.profiles[device.profile]?.seal ?? .none
    }

    /// The first problem of each of `ids`, in their order, as they would be among `all`.
    func problems(of ids: [DeviceID], among all: [DeviceID: Device]) -> [(id: DeviceID, problem: Problem)] {
        var owners: [Identity: DeviceID] = [:]
        var families: [UInt64: DeviceID] = [:]
        // Those that are stored already come first, so that the new one is blamed.
        let changed = Set(ids)
        for id in all.keys.sorted() where !changed.contains(id) {
            if let identity = self.identity(of: id, among: all) { owners[identity] = id }
            if let family = all[id].flatMap({ Self.keyFamily(of: $0) }) { families[family] = id }
        }
        return ids.compactMap { id in
            guard let device = all[id] else { return nil }
            if let problem = self.problem(of: device, among: all) { return (id, problem) }
            if let family = Self.keyFamily(of: device), let other = families.updateValue(id, forKey: family) {
                let message =
                    "it has the OSCORE secret, salt and ID context of device \(other), so that the two may share a key: "
                    + "each node needs a secret of its own"
                return (id, Problem(status: .no, message: message))
            }
            guard let identity = self.identity(of: id, among: all) else { return nil }
            guard let other = owners.updateValue(id, forKey: identity) else { return nil }
            let message = "it has the keys and the node id of device \(other): nothing could tell the two apart"
            return (id, Problem(status: .no, message: message))
        }
    }

    /// What tells devices whose OSCORE keys come from the same secret (RFC 8613 §3.3); nil without an imported context.
    private static func keyFamily(of device: Device) -> UInt64? {
        (try? device.oscore?.context()).flatMap { $0 }?.fingerprint.family
    }

    private func problem(of device: Device, among all: [DeviceID: Device]) -> Problem? {
        guard let profile = self.configuration.profiles[device.profile] else { return self.noProfile(device.profile) }
        if let nodeID = device.nodeID {
            do {
                try V1Member.check(nodeID: Array(nodeID.utf8))
            } catch {
                return Problem(status: .usage, message: "\(error)")
            }
        }
        if let owner = device.keysOf {
            guard let other = all[owner] else {
                return Problem(status: .no, message: "it is to use the keys of \(owner), and there is no such device")
            }
            guard other.v1Keys != nil else {
                return Problem(status: .no, message: "it is to use the keys of \(owner), which has none of its own")
            }
        }
        guard self.seal(of: device) == .v1 else { return nil }
        guard profile.sessionTopic != nil else {
            let message = "seal v1 needs a session_topic in profile \(profile.name) (line \(profile.line))"
            return Problem(status: .usage, message: message)
        }
        guard device.v1Keys != nil || device.keysOf != nil else {
            return Problem(status: .usage, message: "seal v1 needs keys, and there are none for it")
        }
        return nil
    }

    private func noProfile(_ name: String) -> Problem {
        let names = self.configuration.profiles.keys.sorted()
        let cure: String
        if let nearest = NearestName.find(name, among: names) {
            cure = "did you mean \"\(nearest)\"?"
        } else if names.isEmpty {
            cure = "it has none at all"
        } else {
            cure = "it has \(names.joined(separator: ", "))"
        }
        let shown = Printable.text(name)
        return Problem(status: .usage, message: "\(self.configuration.file) has no profile \"\(shown)\"; \(cure)")
    }

    private func identity(of id: DeviceID, among all: [DeviceID: Device]) -> Identity? {
        guard let device = all[id] else { return nil }
        guard let keys = device.v1Keys ?? device.keysOf.flatMap({ all[$0]?.v1Keys }) else { return nil }
        return Identity(keys: keys, nodeID: Array((device.nodeID ?? id.text).utf8))
    }
}
