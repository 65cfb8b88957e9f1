import Devices
import Foundation
import MQTTCodec
import Store

/// What `device show` and `device list` tell of a device: everything but its secrets.
struct DeviceDetails: Encodable {
    /// A filter as it reads for the device.
    struct Filter: Encodable {
        let filter: String
        /// Of gateway.conf.
        let line: Int
    }

    /// Whose v1 keys are used.
    enum Keys: String, Encodable {
        case own, shared, none
    }

    let id: String
    let profile: String
    /// Nil: gateway.conf has no such profile.
    let profileLine: Int?
    let seal: String
    let nodeID: String?
    let keys: Keys
    let keysOf: String?
    /// `imported` or `derived`.
    let psk: String
    /// `imported` or `derived`.
    let oscore: String
    /// Whether it has one.
    let password: Bool
    let epoch: UInt32
    /// `active` or `revoked`.
    let state: String
    /// ISO 8601.
    let added: String
    let sessionTopic: String?
    let publish: [Filter]
    let subscribe: [Filter]
    let deny: [Filter]
    /// What keeps an active device from being used; nil: nothing.
    let problem: String?

    private enum CodingKeys: String, CodingKey {
        case id, profile, seal, keys, psk, oscore, password, epoch, state, added, publish, subscribe, deny, problem
        case profileLine = "profile_line"
        case nodeID = "node_id"
        case keysOf = "keys_of"
        case sessionTopic = "session_topic"
    }

    /// The devices that have v1 keys of their own.
    static func owners(_ records: [DeviceRecord]) -> Set<DeviceID> {
        Set(records.filter(\.hasV1Keys).map(\.device.id))
    }

    /// - Parameter owners: the devices that have v1 keys of their own.
    init(_ record: DeviceRecord, owners: Set<DeviceID>, registry: DeviceRegistry) {
        let device = record.device
        let profile = registry.profile(of: device.id)
        let form = registry.seal(of: device.id) ?? .none
        func filters(_ lines: [PolicyLine]?) -> [Filter] {
            (lines ?? []).map { line in
                let filter = line.template.expand(device: device.id, gateway: registry.gateway)
                return Filter(filter: filter.description, line: line.line)
            }
        }
        self.id = device.id.text
        self.profile = device.profile
        self.profileLine = profile?.line
        self.seal = form.rawValue
        self.nodeID = device.nodeID
        self.keys = record.hasV1Keys ? .own : device.keysOf != nil ? .shared : .none
        self.keysOf = device.keysOf?.text
        self.psk = record.hasPSK ? "imported" : "derived"
        self.oscore = record.hasOSCORE ? "imported" : "derived"
        self.password = record.hasPassword
        self.epoch = device.epoch
        self.state = device.isRevoked ? "revoked" : "active"
        self.added = Date(timeIntervalSince1970: TimeInterval(device.created)).formatted(.iso8601)
        self.sessionTopic = registry.sessionTopic(of: device.id)?.description
        self.publish = filters(profile?.publish)
        self.subscribe = filters(profile?.subscribe)
        self.deny = filters(profile?.deny)
        self.problem =
            if let problem = record.problem {
                "its record \(problem): it is taken for revoked"
            } else if profile == nil {
                "gateway.conf has no profile \(Printable.text(device.profile)): it may do nothing"
            } else if form == .v1, !owners.contains(device.keysOf ?? device.id) {
                "seal v1 without keys: nothing of it opens"
            } else {
                nil
            }
    }

    /// Names and values for people.
    var lines: [(name: String, value: String)] {
        var lines = [("device", self.id)]
        func add(_ name: String, _ value: String?) {
            if let value { lines.append((name, value)) }
        }
        func add(_ name: String, _ filters: [Filter]) {
            for filter in filters { add(name, "\(Printable.text(filter.filter))   (line \(filter.line))") }
        }
        add("state", self.state)
        add("problem", self.problem)
        add("profile", Printable.text(self.profile) + (self.profileLine.map { "   (line \($0))" } ?? ""))
        add("seal", self.seal)
        add("node id", self.nodeID.map { Printable.text($0) })
        switch self.keys {
        case .own: add("keys", "its own")
        case .shared: add("keys", "those of device \(self.keysOf ?? "")")
        case .none: break
        }
        add(
            "TLS-PSK",
            "identity \(self.id), key \(self.psk == "imported" ? "imported" : "derived from the master key")"
        )
        add("OSCORE", self.oscore == "imported" ? "imported" : "derived from the master key")
        if self.password { add("password", "set; the user name is \(self.id)") }
        add("epoch", "\(self.epoch)")
        add("added", self.added)
        add("session topic", self.sessionTopic.map { Printable.text($0) })
        add("publish", self.publish)
        add("subscribe", self.subscribe)
        add("deny", self.deny)
        return lines
    }
}
