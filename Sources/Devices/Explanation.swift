package import MQTTCodec

/// What `sealgate explain DEVICE publish|subscribe TOPIC` answers: the decision, what made it, and where the message would
/// go, or where messages could come from. Encodes to JSON.
package struct Explanation: Sendable, Equatable, Encodable {
    /// The answer in one word, for programs.
    package enum Verdict: String, Sendable, Encodable {
        case allowed
        case denied
        case notListed = "not-listed"
        case reserved
        case revoked
        case unknownProfile = "unknown-profile"
        case unknownDevice = "unknown-device"
    }

    /// A way that the message takes to an uplink, or from one.
    package struct Crossing: Sendable, Equatable, Encodable {
        /// Name of the uplink.
        package var uplink: String
        /// The topic, or for a subscription the filter, at the outside broker.
        package var outside: String
        /// The topic, or for a subscription the filter, on the local side.
        package var local: String
        /// Quality of service on the uplink, 0 to 2.
        package var qos: UInt8
        /// The line of `[[route]]` in gateway.conf.
        package var line: Int

        /// A way across by the route of `line`.
        package init(uplink: String, outside: String, local: String, qos: UInt8, line: Int) {
            self.uplink = uplink
            self.outside = outside
            self.local = local
            self.qos = qos
            self.line = line
        }
    }

    /// The device asked about.
    package var device: String
    /// `publish` or `subscribe`.
    package var action: String
    /// The topic or filter asked about.
    package var topic: String
    /// Whether the device may.
    package var allowed: Bool
    /// The answer in one word.
    package var verdict: Verdict
    /// The answer in one line; see ``Decision/explanation``.
    package var reason: String
    /// The profile on the device's record; nil for an unknown device.
    package var profile: String?
    /// The line of `[profile.x]` in gateway.conf.
    package var profileLine: Int?
    /// The line of the deciding filter.
    package var line: Int?
    /// The deciding filter as configured.
    package var filter: String?
    /// The same filter as it reads for this device.
    package var expandedFilter: String?
    /// If allowed: the uplinks that a message goes to, or from which messages could be delivered.
    package var crossings: [Crossing] = []

    private enum CodingKeys: String, CodingKey {
        case device, action, topic, allowed, verdict, reason, profile
        case profileLine = "profile_line"
        case line, filter
        case expandedFilter = "expanded_filter"
        case crossings
    }

    /// Why the text to explain is no topic or filter.
    package enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
        /// It breaks the rules of topics.
        case topic(TopicError)
        /// It starts with `$share/` and is no shared subscription.
        case shared(SharedSubscription.SyntaxError)

        /// In words that follow the topic.
        package var description: String {
            switch self {
            case .topic(let error): error.description
            case .shared(let error): error.description
            }
        }
    }

    /// Asks the policy and the routes, changing nothing. For a shared subscription the answer is about the filter behind
    /// `$share/GROUP/`.
    package init(
        device id: DeviceID,
        action: PolicyAction,
        topic text: String,
        registry: DeviceRegistry,
        routes: RouteTable
    ) throws(Failure) {
        self.device = id.text
        self.action = action.rawValue
        self.topic = text
        let decide: (DevicePolicy) -> Decision
        let crossings: () -> [Crossing]
        switch action {
        case .publish:
            let topic = try Self.topic(text)
            decide = { $0.decide(publish: topic) }
            crossings = { Self.ways(out: topic, routes) }
        case .subscribe:
            let filter = try Self.filter(text)
            decide = { $0.decide(subscribe: filter) }
            crossings = { Self.ways(in: filter, of: id, registry.gateway, routes) }
        }
        guard let policy = registry.policy(for: id), let device = registry.device(id) else {
            self.allowed = false
            self.verdict = .unknownDevice
            self.reason = "refused: there is no device \(id)"
            return
        }
        let decision = decide(policy)
        self.allowed = decision.isAllowed
        self.reason = decision.explanation
        self.profile = device.profile
        self.profileLine = registry.profile(of: id)?.line
        self.expandedFilter = decision.expandedFilter
        switch decision.reason {
        case .allowed(let line):
            self.verdict = .allowed
            self.line = line.line
            self.filter = line.template.text
            self.crossings = crossings()
        case .denied(let line):
            self.verdict = .denied
            self.line = line.line
            self.filter = line.template.text
        case .notListed: self.verdict = .notListed
        case .reserved: self.verdict = .reserved
        case .revoked: self.verdict = .revoked
        case .unknownProfile: self.verdict = .unknownProfile
        }
    }

    /// For people: the answer, then a line for each way across.
    package var lines: [String] {
        var lines = ["\(self.device) \(self.action) \(Printable.text(self.topic)): \(self.reason)"]
        guard self.allowed else { return lines }
        let isPublish = self.action == PolicyAction.publish.rawValue
        for crossing in self.crossings {
            let outside = Printable.text(crossing.outside)
            let way =
                isPublish
                ? "goes to uplink \(crossing.uplink) as \(outside)"
                : "\(Printable.text(crossing.local)) comes from uplink \(crossing.uplink), there \(outside)"
            lines.append("  \(way) (QoS \(crossing.qos), route line \(crossing.line))")
        }
        if self.crossings.isEmpty {
            lines.append(isPublish ? "  stays here: no route takes it" : "  no route brings anything from outside")
        }
        return lines
    }

    private static func topic(_ text: String) throws(Failure) -> TopicName {
        do { return try TopicName(text) } catch { throw .topic(error) }
    }

    private static func filter(_ text: String) throws(Failure) -> TopicFilter {
        let filter: TopicFilter
        do { filter = try TopicFilter(text) } catch { throw .topic(error) }
        do { return try SharedSubscription.parse(filter)?.filter ?? filter } catch { throw .shared(error) }
    }

    private static func ways(out topic: TopicName, _ routes: RouteTable) -> [Crossing] {
        routes.outgoing(for: topic).map { routed in
            Crossing(
                uplink: routes.uplinks[routed.uplink],
                outside: routed.topic.description,
                local: topic.description,
                qos: routed.qos.rawValue,
                line: routed.line
            )
        }
    }

    private static func ways(
        in filter: TopicFilter,
        of device: DeviceID,
        _ gateway: String,
        _ routes: RouteTable
    ) -> [Crossing] {
        routes.incoming(to: filter, of: device, gateway: gateway).map { compiled in
            Crossing(
                uplink: compiled.route.uplink,
                outside: compiled.route.from.expand(device: device, gateway: gateway).description,
                local: compiled.route.to.expand(device: device, gateway: gateway).description,
                qos: compiled.route.qos.rawValue,
                line: compiled.route.line
            )
        }
    }
}
