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
    /// If a message is allowed: routes by which it does not go, though they take its topic.
    package var stops: [Stop] = []
    /// If a message is allowed: who may get it here.
    package var receivers: [Receiver] = []
    /// The device that a message on this topic is sealed for; nil: it goes as it is.
    package var sealedFor: String?
    /// Of a topic for session IDs: the topic whose commands are sealed under them.
    package var sessionsFor: String?
    /// If allowed: how the device does it over CoAP. Nil: nobody looked, or no listener speaks it.
    package var coap: CoAP?

    private enum CodingKeys: String, CodingKey {
        case device, action, topic, allowed, verdict, reason, profile
        case profileLine = "profile_line"
        case line, filter
        case expandedFilter = "expanded_filter"
        case crossings, stops, receivers
        case sealedFor = "sealed_for"
        case sessionsFor = "sessions_for"
        case coap
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
        let topic = action == .publish ? try Self.topic(text) : nil
        let filter = action == .subscribe ? try Self.filter(text) : nil
        if let topic {
            decide = { $0.decide(publish: topic) }
        } else if let filter {
            decide = { $0.decide(subscribe: filter) }
        } else {
            preconditionFailure("\(action) is about neither a topic nor a filter")
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
            if let topic { self.follow(topic, registry, routes) }
            if let filter { self.crossings = Self.ways(in: filter, of: id, registry, routes) }
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
            lines.append("  \(way) (\(crossing.details))\(crossing.sealed == true ? ", sealed for it" : "")")
        }
        lines += self.stops.map { "  " + $0.text }
        lines += self.receivers.map { "  " + $0.text }
        if let device = self.sealedFor {
            lines.append(
                "  sealed for device \(device), under the session IDs that it publishes on "
                    + Printable.text(self.topic + "/sessionID")
            )
        }
        if let commands = self.sessionsFor {
            lines.append("  a session ID for the commands on \(Printable.text(commands)): for the gateway alone")
        } else if self.crossings.isEmpty {
            lines.append(isPublish ? "  stays here: no route takes it" : "  no route brings anything from outside")
        }
        lines += (self.coap?.lines ?? []).map { "  " + $0 }
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

    /// Where an allowed message goes.
    private mutating func follow(_ topic: TopicName, _ registry: DeviceRegistry, _ routes: RouteTable) {
        if let session = registry.commandSession(topic, needsKeys: false) {
            self.sessionsFor = session.commands.description
            return
        }
        let sealedFor = registry.commandDevice(topic, needsKeys: false).flatMap { $0.text == self.device ? nil : $0 }
        self.sealedFor = sealedFor?.text
        (self.crossings, self.stops) = Self.ways(out: topic, routes)
        self.receivers = Self.receivers(of: topic, sealedFor: sealedFor, registry)
    }

    private static func ways(
        in filter: TopicFilter,
        of device: DeviceID,
        _ registry: DeviceRegistry,
        _ routes: RouteTable
    ) -> [Crossing] {
        let gateway = registry.gateway
        let commands =
            registry.seal(of: device) == .v1 ? registry.profile(of: device).map(\.commandTopics) ?? [] : []
        return routes.incoming(to: filter, of: device, gateway: gateway).map { compiled in
            let local = compiled.route.to.expand(device: device, gateway: gateway)
            let outside = compiled.route.from.expand(device: device, gateway: gateway).description
            var crossing = Crossing(compiled, outside: outside, local: local.description)
            crossing.sealed =
                compiled.route.seal && commands.contains { $0.expand(device: device, gateway: gateway).overlaps(local) }
            return crossing
        }
    }
}
