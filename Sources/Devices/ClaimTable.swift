import MQTTCodec

/// Which device a topic or filter names, by the `%d` of all profiles' filters.
///
/// Equal filters of several profiles are held against a topic once.
struct ClaimTable {
    private struct Claim {
        var template: TopicTemplate
        var pattern: TopicPattern
        /// Indices of the profiles that have it.
        var profiles: [Int]
    }

    /// Filters with `%d`, in the order of gateway.conf.
    private let publish: [Claim]
    private let subscribe: [Claim]
    /// Publish filters without `%d`.
    private let shared: [Claim]

    init(profiles: [Profile], gateway: String) {
        func claims(_ lines: (Profile) -> [PolicyLine], hasDevice: Bool) -> [Claim] {
            var found: [Claim] = []
            var places: [TopicTemplate: Int] = [:]
            for (index, profile) in profiles.enumerated() {
                for line in lines(profile) where line.template.hasDevice == hasDevice {
                    if let place = places[line.template] {
                        if found[place].profiles.last != index { found[place].profiles.append(index) }
                    } else {
                        places[line.template] = found.count
                        let pattern = line.template.pattern(gateway: gateway)
                        found.append(Claim(template: line.template, pattern: pattern, profiles: [index]))
                    }
                }
            }
            return found
        }
        self.publish = claims(\.publish, hasDevice: true)
        self.subscribe = claims(\.subscribe, hasDevice: true)
        self.shared = claims(\.publish, hasDevice: false)
    }

    /// The first id that a publish filter takes out of `topic` and `isMeant` agrees to, given the filter's profile.
    func device(publish topic: TopicName, where isMeant: (DeviceID, Int) -> Bool) -> DeviceID? {
        for claim in self.publish {
            guard let id = claim.pattern.device(in: topic) else { continue }
            if claim.profiles.contains(where: { isMeant(id, $0) }) { return id }
        }
        return nil
    }

    /// The same for the filter of a subscription, which must be covered as a whole.
    func device(subscribe filter: TopicFilter, where isMeant: (DeviceID, Int) -> Bool) -> DeviceID? {
        for claim in self.subscribe {
            guard let id = claim.pattern.device(in: filter) else { continue }
            if claim.profiles.contains(where: { isMeant(id, $0) }) { return id }
        }
        return nil
    }

    /// Profiles that may publish on `topic` without naming a device in it, in the order of gateway.conf.
    func sharedProfiles(publish topic: TopicName) -> [Int] {
        var found: Set<Int> = []
        for claim in self.shared where claim.pattern.matches(topic) { found.formUnion(claim.profiles) }
        return found.sorted()
    }
}
