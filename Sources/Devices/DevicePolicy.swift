package import MQTTCodec

/// What one device may publish, subscribe to and receive: its profile, expanded for it.
///
/// The default is to refuse. The gateway's own topics go first, then the `deny` lines, then what the profile lists. Topics
/// are compared as bytes. Copies share their storage; a decision does not allocate.
package struct DevicePolicy: Sendable {
    private let rules: PolicyRules

    /// The policy of a device, or, with no device, that of connections which nothing tells apart (`anonymous = "guest"`).
    ///
    /// Without a device, `publish` and `subscribe` lines with `%d` allow nothing, and `deny` lines with it refuse for every id.
    ///
    /// - Parameters:
    ///   - gateway: The gateway's name. It must have passed ``DeviceID/check(_:)``.
    ///   - reserved: The gateway's own topics.
    package init(profile: Profile, device: DeviceID?, gateway: String, reserved: ReservedTopics) {
        self.rules = PolicyRules(profile: profile, device: device, gateway: gateway, reserved: reserved)
    }

    /// A policy that refuses everything, and says why.
    private init(refusing outcome: Decision.Outcome, profile: Profile) {
        self.rules = PolicyRules(refusing: outcome, profile: profile)
    }

    /// Refuses everything, since the device is revoked.
    package static func revoked(profile: Profile) -> DevicePolicy {
        DevicePolicy(refusing: .revoked, profile: profile)
    }

    /// Refuses everything, since gateway.conf has no such profile.
    package static func unknownProfile(_ name: String) -> DevicePolicy {
        DevicePolicy(refusing: .unknownProfile, profile: Profile(name: name, line: 0))
    }

    /// The profile behind it, for its limits and `retain`. Of a policy that refuses everything it lists nothing that counts.
    package var profile: Profile { self.rules.profile }

    /// The basis of its response topics; nil: none.
    package var responseInformation: String? { self.rules.responseInformation }

    /// Whether the device may publish on `topic`: a message, a will (at CONNECT, and again when it is sent), a retained one.
    ///
    /// Topics that start with `$` and ``ReservedTopics`` are refused, whatever the profile lists.
    package func decide(publish topic: TopicName) -> Decision {
        let rules = self.rules
        let outcome: Decision.Outcome
        if let refusal = rules.refusal {
            outcome = refusal
        } else if rules.reserved.contains(topic) {
            outcome = .reserved
        } else if let index = rules.deny.firstMatch(topic) {
            outcome = .denied(rule: index)
        } else if let index = rules.publish.firstMatch(topic) {
            outcome = .allowed(rule: index)
        } else {
            outcome = .notListed
        }
        return Decision(action: .publish, outcome: outcome, rules: rules, subject: topic.buffer)
    }

    /// Whether the device may subscribe to `filter`.
    ///
    /// One `subscribe` line must cover the filter as a whole; what only several lines together would cover is refused. A
    /// `deny` line refuses if it covers the filter as a whole. One that only cuts a piece out of it does not: the subscription
    /// stands, and ``mayReceive(_:)`` holds that piece back, message by message.
    ///
    /// - Parameter filter: Of a shared subscription, the filter behind `$share/GROUP/`, which is what messages match.
    package func decide(subscribe filter: TopicFilter) -> Decision {
        let rules = self.rules
        let outcome: Decision.Outcome
        if let refusal = rules.refusal {
            outcome = refusal
        } else if let index = rules.deny.firstCover(filter) {
            outcome = .denied(rule: index)
        } else if let index = rules.subscribe.firstCover(filter) {
            outcome = .allowed(rule: index)
        } else {
            outcome = .notListed
        }
        return Decision(action: .subscribe, outcome: outcome, rules: rules, subject: filter.buffer)
    }

    /// Whether a message on `topic` may be delivered to the device. To be asked for every delivery: the subscription may be
    /// wider than a `deny` line, or older than the policy.
    package func mayReceive(_ topic: TopicName) -> Bool {
        let rules = self.rules
        return rules.refusal == nil
            && rules.deny.firstMatch(topic) == nil
            && rules.subscribe.firstMatch(topic) != nil
    }
}

/// The storage of a ``DevicePolicy``, shared with the decisions that it makes.
final class PolicyRules: Sendable {
    /// Filters in the order of gateway.conf, each with the line that it comes from. Apart, so that a decision touches the
    /// filters only.
    struct Rules: Sendable {
        let lines: [PolicyLine]
        let filters: [TopicFilter]

        func firstMatch(_ topic: TopicName) -> Int? { self.filters.firstIndex { $0.matches(topic) } }
        func firstCover(_ filter: TopicFilter) -> Int? { self.filters.firstIndex { $0.covers(filter) } }
    }

    let profile: Profile
    /// If set, the answer to everything.
    let refusal: Decision.Outcome?
    let publish: Rules
    let subscribe: Rules
    let deny: Rules
    let reserved: ReservedTopics
    let responseInformation: String?

    init(profile: Profile, device: DeviceID?, gateway: String, reserved: ReservedTopics) {
        func rules(_ lines: [PolicyLine]) -> Rules {
            Rules(lines: lines, filters: lines.map { $0.template.expand(device: device, gateway: gateway) })
        }
        func isMeant(_ line: PolicyLine) -> Bool { device != nil || !line.template.hasDevice }
        self.profile = profile
        self.refusal = nil
        self.publish = rules(profile.publish.filter(isMeant))
        self.subscribe = rules(profile.subscribe.filter(isMeant))
        self.deny = rules(profile.deny)
        self.reserved = reserved
        self.responseInformation = profile.responseInformation.map {
            $0.expand(device: device, gateway: gateway).description
        }
    }

    init(refusing outcome: Decision.Outcome, profile: Profile) {
        self.profile = profile
        self.refusal = outcome
        self.publish = Rules(lines: [], filters: [])
        self.subscribe = self.publish
        self.deny = self.publish
        self.reserved = ReservedTopics()
        self.responseInformation = nil
    }

    /// The rules that can allow `action`.
    func allowing(_ action: PolicyAction) -> Rules {
        switch action {
        case .publish: self.publish
        case .subscribe: self.subscribe
        }
    }
}
