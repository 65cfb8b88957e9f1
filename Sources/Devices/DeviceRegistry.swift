package import MQTTCodec
package import Sealing

/// All devices and profiles in memory: who is meant, what it may do, where its session IDs go.
///
/// Owned and called by the message path's loop alone. Lookups take the same time for five devices and for thousands: an id
/// is taken out of a topic, then looked up.
package final class DeviceRegistry {
    /// Devices that share the session IDs of one topic, in the order of their ids.
    package struct SessionGroup: Sendable {
        /// Where the session IDs are published.
        package var topic: TopicName
        /// Whose `window`, `lifetime` and `rotate_on_failure` hold: the first profile in gateway.conf that names the topic.
        package var profile: Profile
        /// Those that are sealed and not revoked.
        package var devices: [Device]
    }

    private final class Entry {
        let device: Device
        let profile: Int?
        var policy: DevicePolicy?
        /// Kept from one generation to the next while nothing that it is made of changes.
        var sessionTopic: (template: TopicTemplate, topic: TopicName)?

        init(device: Device, profile: Int?) {
            self.device = device
            self.profile = profile
        }
    }

    /// Most session topics that are tried for a message which names no device.
    package static let maxCandidates = 16

    /// The gateway's name.
    package let gateway: String
    /// Counts ``replace(devices:profiles:)``: a policy that was handed out before the last one is out of date.
    package private(set) var generation = 0
    /// The gateway's own topics, those of all profiles included.
    package private(set) var reserved = ReservedTopics()
    /// In the order of gateway.conf.
    package private(set) var profiles: [Profile] = []

    private let ownTopics: [TopicTemplate]
    private var entries: [DeviceID: Entry] = [:]
    private var sortedEntries: [Entry] = []
    private var profileIndex: [String: Int] = [:]
    /// By index of the profile.
    private var guestPolicies: [Int: DevicePolicy] = [:]
    private var claims = ClaimTable(profiles: [], gateway: "none")
    private(set) var commands = CommandTable(profiles: [], gateway: "none")
    /// For each profile: the first session topics of its devices, at most ``maxCandidates``.
    private var sessionTopics: [[TopicName]] = []

    /// An empty registry.
    ///
    /// - Parameters:
    ///   - gateway: The gateway's name. It must have passed ``DeviceID/check(_:)``.
    ///   - ownTopics: Topics of the gateway besides session topics, on which no device may publish.
    package init(gateway: String, ownTopics: [TopicTemplate] = []) {
        self.gateway = gateway
        self.ownTopics = ownTopics
    }

    /// Takes a new set of devices and profiles, and says what is different.
    ///
    /// Policies are made anew when they are asked for next. Of two devices with one id the last counts, of two profiles with
    /// one name the first.
    package func replace(devices: [Device], profiles: [Profile]) -> DeviceChanges {
        let old = self.entries
        let oldProfiles = self.profiles
        self.generation += 1
        self.profiles = profiles
        self.guestPolicies = [:]
        self.profileIndex = Dictionary(
            profiles.enumerated().map { ($1.name, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        self.reserved = ReservedTopics(profiles: profiles, others: self.ownTopics, gateway: self.gateway)
        self.claims = ClaimTable(profiles: profiles, gateway: self.gateway)
        self.commands = CommandTable(profiles: profiles, gateway: self.gateway)
        self.entries = Dictionary(
            devices.map { ($0.id, Entry(device: $0, profile: self.profileIndex[$0.profile])) },
            uniquingKeysWith: { $1 }
        )
        for (id, entry) in self.entries { entry.sessionTopic = old[id]?.sessionTopic }
        self.sortedEntries = self.entries.values.sorted { $0.device.id < $1.device.id }
        self.sessionTopics = self.firstSessionTopics()

        var changes = DeviceChanges()
        for (id, entry) in self.entries {
            guard let previous = old[id] else {
                changes.added.insert(id)
                continue
            }
            switch (previous.device.isRevoked, entry.device.isRevoked) {
            case (false, true): changes.revoked.insert(id)
            case (true, false): changes.restored.insert(id)
            case (true, true), (false, false): break
            }
            let previousProfile = previous.profile.map { oldProfiles[$0] }
            let profile = entry.profile.map { profiles[$0] }
            if profile != previousProfile { changes.reprofiled.insert(id) }
            if previous.device.hasOtherCredentials(than: entry.device)
                || Self.v1Keys(of: previous.device, in: old) != Self.v1Keys(of: entry.device, in: self.entries)
            {
                changes.rekeyed.insert(id)
            }
        }
        changes.removed = Set(old.keys.filter { self.entries[$0] == nil })
        return changes
    }

    // MARK: One device

    /// How many devices there are, revoked ones included.
    package var count: Int { self.entries.count }

    /// All devices, in the order of their ids.
    package var devices: [Device] { self.sortedEntries.map(\.device) }

    /// The device with this id, revoked or not.
    package func device(_ id: DeviceID) -> Device? { self.entries[id]?.device }

    /// The profile of a device; nil if there is no such device, or gateway.conf has no such profile.
    package func profile(of id: DeviceID) -> Profile? {
        self.entries[id]?.profile.map { self.profiles[$0] }
    }

    /// The form of a device's payloads: its own, or else its profile's; nil if there is no such device.
    package func seal(of id: DeviceID) -> SealForm? {
        self.entries[id].map(self.seal)
    }

    /// The v1 secrets of a device: its own, or those of the device whose keys it uses.
    package func v1Keys(of id: DeviceID) -> V1Keys? {
        self.entries[id].flatMap { Self.v1Keys(of: $0.device, in: self.entries) }
    }

    /// A device with what v1 needs; nil if its record lacks some of it: keys of its own or of another device, and a node id that
    /// fits. A device without a node id on record is expected to write its own id.
    package func v1Member(_ id: DeviceID) -> V1Member? {
        guard let device = self.entries[id]?.device, let keys = self.v1Keys(of: id) else { return nil }
        return try? V1Member(device: id.text, keys: keys, nodeID: device.nodeID ?? id.text)
    }

    /// What a device may do; nil if there is no such device. Of a revoked device, and of one without a profile, it refuses
    /// everything. Made once for each generation.
    package func policy(for id: DeviceID) -> DevicePolicy? {
        guard let entry = self.entries[id] else { return nil }
        if let policy = entry.policy { return policy }
        let policy = self.makePolicy(entry)
        entry.policy = policy
        return policy
    }

    /// What connections may do that nothing proves or tells apart, by the profile that their listener names; nil if
    /// gateway.conf has no such profile. Made once for each generation.
    package func guestPolicy(profile name: String) -> DevicePolicy? {
        guard let index = self.profileIndex[name] else { return nil }
        if let policy = self.guestPolicies[index] { return policy }
        let profile = self.profiles[index]
        let policy = DevicePolicy(profile: profile, device: nil, gateway: self.gateway, reserved: self.reserved)
        self.guestPolicies[index] = policy
        return policy
    }

    // MARK: Who is meant

    /// The device that an unproven connection claims to be by the topic of a sealed message, or else by its client id. The
    /// claim only says which keys to try; nil if neither names a device.
    package func claimedDevice(publish topic: TopicName, clientID: String?) -> DeviceID? {
        self.claims.device(publish: topic, where: self.isOf) ?? self.named(clientID)?.device.id
    }

    /// The same for a subscription: the device that the filter names, or else the client id. It proves nothing.
    package func claimedDevice(subscribe filter: TopicFilter, clientID: String?) -> DeviceID? {
        self.claims.device(subscribe: filter, where: self.isOf) ?? self.named(clientID)?.device.id
    }

    /// The device that an unproven connection may send an unsealed message as: its profile says `plaintext` and tells such
    /// nodes by what this one gave. A device with a seal of its own on its record is never told so.
    package func plaintextDevice(publish topic: TopicName, clientID: String?) -> DeviceID? {
        self.claims.device(publish: topic) { self.isOf($0, profile: $1) && self.isPlaintext($0, by: .topic) }
            ?? self.plaintextDevice(clientID)
    }

    /// The same for a subscription.
    package func plaintextDevice(subscribe filter: TopicFilter, clientID: String?) -> DeviceID? {
        self.claims.device(subscribe: filter) { self.isOf($0, profile: $1) && self.isPlaintext($0, by: .topic) }
            ?? self.plaintextDevice(clientID)
    }

    /// The id that a profile's filter takes out of the topic and that no device has; nil if there is none.
    package func missingDevice(publish topic: TopicName) -> DeviceID? {
        self.claims.device(publish: topic) { id, _ in self.entries[id] == nil }
    }

    // MARK: Session topics

    /// Where the session IDs of a device are published; nil if it has none.
    package func sessionTopic(of id: DeviceID) -> TopicName? {
        self.entries[id].flatMap(self.sessionTopic)
    }

    /// The devices of a group as a ``V1Receiver`` takes them, and those whose record lacks what v1 needs: keys of its own or of
    /// another device, and a node id that fits. A device without a node id on record is expected to write its own id.
    package func v1Members(of group: SessionGroup) -> (members: [V1Member], incomplete: [DeviceID]) {
        var members: [V1Member] = []
        var incomplete: [DeviceID] = []
        for device in group.devices where self.seal(of: device.id) == .v1 {
            if let member = self.v1Member(device.id) {
                members.append(member)
            } else {
                incomplete.append(device.id)
            }
        }
        return (members, incomplete)
    }

    /// All session topics and who may use their session IDs, in the order of each one's first device.
    package func sessionGroups() -> [SessionGroup] {
        var groups: [SessionGroup] = []
        var places: [TopicName: (group: Int, profile: Int)] = [:]
        for entry in self.sortedEntries {
            guard let profile = entry.profile, let topic = self.sessionTopic(entry) else { continue }
            guard let place = places[topic] else {
                places[topic] = (groups.count, profile)
                groups.append(SessionGroup(topic: topic, profile: self.profiles[profile], devices: [entry.device]))
                continue
            }
            groups[place.group].devices.append(entry.device)
            if profile < place.profile {
                places[topic] = (place.group, profile)
                groups[place.group].profile = self.profiles[profile]
            }
        }
        return groups
    }

    /// The session topics whose keys a sealed message may have been made with, the likeliest first, at most ``maxCandidates``.
    ///
    /// First that of ``claimedDevice(publish:clientID:)``; if the topic names no device, those of all profiles that may
    /// publish there whoever it is: nodes that share one topic are told by the id inside the seal.
    package func candidates(publish topic: TopicName, clientID: String?) -> [TopicName] {
        if let id = self.claims.device(publish: topic, where: self.isOf) {
            return self.sessionTopic(of: id).map { [$0] } ?? []
        }
        var found: [TopicName] = []
        if let entry = self.named(clientID), let topic = self.sessionTopic(entry) { found.append(topic) }
        for profile in self.claims.sharedProfiles(publish: topic) {
            for candidate in self.sessionTopics[profile] where !found.contains(candidate) {
                guard found.count < Self.maxCandidates else { return found }
                found.append(candidate)
            }
        }
        return found
    }

    // MARK: Helpers

    private func makePolicy(_ entry: Entry) -> DevicePolicy {
        guard let profile = entry.profile.map({ self.profiles[$0] }) else {
            return .unknownProfile(entry.device.profile)
        }
        if entry.device.isRevoked { return .revoked(profile: profile) }
        return DevicePolicy(profile: profile, device: entry.device.id, gateway: self.gateway, reserved: self.reserved)
    }

    private func seal(_ entry: Entry) -> SealForm {
        entry.device.seal ?? entry.profile.map { self.profiles[$0].seal } ?? SealForm.none
    }

    private func sessionTopic(_ entry: Entry) -> TopicName? {
        guard !entry.device.isRevoked, let profile = entry.profile, self.seal(entry) != .none else { return nil }
        guard let template = self.profiles[profile].sessionTopic else { return nil }
        if let known = entry.sessionTopic, known.template == template { return known.topic }
        let topic = template.expandTopic(device: entry.device.id, gateway: self.gateway)
        entry.sessionTopic = topic.map { (template, $0) }
        return topic
    }

    private func firstSessionTopics() -> [[TopicName]] {
        var topics = [[TopicName]](repeating: [], count: self.profiles.count)
        for entry in self.sortedEntries {
            guard let profile = entry.profile else { continue }
            guard topics[profile].count < Self.maxCandidates, let topic = self.sessionTopic(entry) else { continue }
            if !topics[profile].contains(topic) { topics[profile].append(topic) }
        }
        return topics
    }

    private func named(_ clientID: String?) -> Entry? {
        guard let clientID, let id = try? DeviceID(clientID) else { return nil }
        return self.entries[id]
    }

    func isOf(_ id: DeviceID, profile: Int) -> Bool { self.entries[id]?.profile == profile }

    /// Whether an unsealed message of the device is taken where its sender is known by other means than what it says itself:
    /// its profile says `plaintext`, whatever it tells such nodes by. A device with a seal of its own on its record never may.
    package func allowsPlaintext(_ id: DeviceID) -> Bool {
        guard let entry = self.entries[id], let profile = entry.profile.map({ self.profiles[$0] }) else { return false }
        return profile.plaintext && (entry.device.seal ?? SealForm.none) == SealForm.none
    }

    private func isPlaintext(_ id: DeviceID, by way: Profile.IdentifyBy) -> Bool {
        guard let entry = self.entries[id], let profile = entry.profile.map({ self.profiles[$0] }) else { return false }
        return profile.plaintext && profile.identifyBy == way && (entry.device.seal ?? SealForm.none) == SealForm.none
    }

    private func plaintextDevice(_ clientID: String?) -> DeviceID? {
        guard let id = self.named(clientID)?.device.id, self.isPlaintext(id, by: .clientID) else { return nil }
        return id
    }

    /// Follows `keys_of` a few steps, so that a ring in the records ends.
    private static func v1Keys(of device: Device, in entries: [DeviceID: Entry]) -> V1Keys? {
        var device = device
        for _ in 0..<4 {
            if let keys = device.v1Keys { return keys }
            guard let next = device.keysOf.flatMap({ entries[$0]?.device }) else { return nil }
            device = next
        }
        return nil
    }
}
