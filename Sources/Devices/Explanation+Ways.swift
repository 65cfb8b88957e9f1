import MQTTCodec

extension Explanation {
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
        /// What becomes of the RETAIN flag.
        package var retain = RetainRule.keep.rawValue
        /// In seconds from the message's arrival here; nil: as its publisher says.
        package var ttl: Int64?
        /// Of a route out.
        package var priority: String?
        /// Of a route in.
        package var keep: String?
        /// Of a route in: whether the device gets it sealed.
        package var sealed: Bool?
        /// What the captures of the route matched, by their names.
        package var captures: [String: String]?

        private enum CodingKeys: String, CodingKey {
            case uplink, outside, local, qos, line, retain
            case ttl = "ttl_seconds"
            case priority, keep, sealed, captures
        }

        /// A way across by the route of `line`.
        package init(uplink: String, outside: String, local: String, qos: UInt8, line: Int) {
            self.uplink = uplink
            self.outside = outside
            self.local = local
            self.qos = qos
            self.line = line
        }

        init(_ compiled: CompiledRoute, outside: String, local: String, topic: TopicName? = nil) {
            let route = compiled.route
            self.init(
                uplink: route.uplink,
                outside: outside,
                local: local,
                qos: route.qos.rawValue,
                line: route.line
            )
            self.retain = route.retain.rawValue
            self.ttl = route.ttl?.components.seconds
            switch route.direction {
            case .out: self.priority = route.priority.rawValue
            case .in: self.keep = route.keep.rawValue
            }
            let captures = topic.map { compiled.captures(in: $0) } ?? [:]
            if !captures.isEmpty { self.captures = captures }
        }

        /// What is said of the route behind a way, in words: only what is not as always.
        var details: String {
            var words = ["QoS \(self.qos)", "route line \(self.line)"]
            for (name, value) in (self.captures ?? [:]).sorted(by: { $0.key < $1.key }) {
                words.append("+\(name) = \(Printable.text(value))")
            }
            if self.retain != RetainRule.keep.rawValue { words.append("retain \(self.retain)") }
            if let priority = self.priority, priority != RoutePriority.normal.rawValue {
                words.append("priority \(priority)")
            }
            if let ttl = self.ttl { words.append("ttl \(ttl) s") }
            if let keep = self.keep, keep != KeepRule.all.rawValue { words.append("keep \(keep)") }
            return words.joined(separator: ", ")
        }
    }

    /// A route that takes the topic, and by which the message does not go all the same.
    package struct Stop: Sendable, Equatable, Encodable {
        /// Name of the uplink.
        package var uplink: String
        /// The topic that it would have at the outside broker.
        package var outside: String
        /// The line of `[[route]]` in gateway.conf.
        package var line: Int
        /// Why not, in words.
        package var reason: String

        var text: String {
            "not to uplink \(self.uplink) as \(Printable.text(self.outside)) by route line \(self.line): \(self.reason)"
        }
    }

    /// Who may get a message on the local side.
    package struct Receiver: Sendable, Equatable, Encodable {
        /// Nil: whoever has the profile.
        package var device: String?
        /// The profile that allows it.
        package var profile: String
        /// The line of the filter that does.
        package var line: Int
        /// Whether it is sealed for this device.
        package var sealed: Bool

        var text: String {
            let who = self.device.map { "device \($0)" } ?? "whoever has profile \(self.profile)"
            let how = self.sealed ? ", sealed," : ""
            return "\(who) may get it\(how) by subscribe line \(self.line)"
        }
    }

    /// The ways out of a local message, and the routes that take it in vain.
    ///
    /// - Parameter origin: The uplink that it came by; nil: a device's.
    static func ways(
        out topic: TopicName,
        from origin: Int? = nil,
        _ routes: RouteTable
    ) -> (crossings: [Crossing], stops: [Stop]) {
        var ways: (crossings: [Crossing], stops: [Stop]) = ([], [])
        for step in routes.trace(topic, from: origin) {
            let outside = step.outside.description
            let reason: String
            switch step.trace {
            case .goes:
                let crossing = Crossing(step.route, outside: outside, local: topic.description, topic: topic)
                ways.crossings.append(crossing)
                continue
            case .taken(let line): reason = "the route of line \(line) takes it first"
            case .comesBack(let line): reason = "the route of line \(line) would bring it back here"
            case .cameFromThere: reason = "it came from there"
            case .notFromUplinks: reason = "it came from an uplink, and the route has not from_uplinks = true"
            }
            let line = step.route.route.line
            ways.stops.append(Stop(uplink: routes.uplinks[step.uplink], outside: outside, line: line, reason: reason))
        }
        return ways
    }

    /// Who may get a message on `topic`, by the profiles in the order of gateway.conf. The devices may be without secrets.
    static func receivers(of topic: TopicName, sealedFor: DeviceID?, _ registry: DeviceRegistry) -> [Receiver] {
        var found: [Receiver] = []
        for profile in registry.profiles {
            func isDenied() -> Bool {
                profile.deny.contains {
                    !$0.template.hasDevice && $0.template.pattern(gateway: registry.gateway).matches(topic)
                }
            }
            for line in profile.subscribe {
                let pattern = line.template.pattern(gateway: registry.gateway)
                if line.template.hasDevice {
                    guard let id = pattern.device(in: topic), registry.device(id)?.profile == profile.name,
                        registry.policy(for: id)?.mayReceive(topic) ?? false,
                        !found.contains(where: { $0.device == id.text })
                    else { continue }
                    found.append(
                        Receiver(device: id.text, profile: profile.name, line: line.line, sealed: sealedFor == id)
                    )
                } else if pattern.matches(topic), !isDenied() {
                    found.append(Receiver(device: nil, profile: profile.name, line: line.line, sealed: false))
                    break
                }
            }
        }
        return found
    }
}
