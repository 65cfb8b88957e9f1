import MQTTCodec

/// What `sealgate explain --uplink NAME TOPIC` answers: what becomes of a message that an outside broker sends. Encodes to JSON.
package struct UplinkExplanation: Sendable, Equatable, Encodable {
    /// The answer in one word, for programs.
    package enum Verdict: String, Sendable, Encodable {
        case taken
        case noRoute = "no-route"
        case reserved
        case unknownDevice = "unknown-device"
    }

    /// Name of the uplink.
    package var uplink: String
    /// The topic at the outside broker.
    package var topic: String
    /// Whether the message is taken.
    package var taken: Bool
    /// The answer in one word.
    package var verdict: Verdict
    /// The answer in one line.
    package var reason: String
    /// The way in; nil if no route takes it.
    package var crossing: Explanation.Crossing?
    /// The device that `%d` of the route named.
    package var device: String?
    /// The device that it is sealed for; nil: it goes as it is.
    package var sealedFor: String?
    /// Where that device publishes the session IDs for it.
    package var sessionTopic: String?
    /// Who may get it here.
    package var receivers: [Explanation.Receiver] = []
    /// The other uplinks that it goes to.
    package var onward: [Explanation.Crossing] = []
    /// Routes out that take its topic, and by which it does not go.
    package var stops: [Explanation.Stop] = []

    private enum CodingKeys: String, CodingKey {
        case uplink, topic, taken, verdict, reason, crossing, device
        case sealedFor = "sealed_for"
        case sessionTopic = "session_topic"
        case receivers, onward, stops
    }

    /// Asks the routes and the policy, changing nothing.
    ///
    /// - Parameters:
    ///   - uplink: Place in ``RouteTable/uplinks``.
    ///   - registry: May have the devices without their secrets.
    package init(
        uplink: Int,
        topic text: String,
        registry: DeviceRegistry,
        routes: RouteTable
    ) throws(Explanation.Failure) {
        let topic: TopicName
        do { topic = try TopicName(text) } catch { throw .topic(error) }
        self.uplink = routes.uplinks[uplink]
        self.topic = text
        self.taken = false
        guard let route = routes.route(in: uplink, topic), let (local, device) = route.map(topic) else {
            self.verdict = .noRoute
            self.reason = "not taken: no route in takes it"
            return
        }
        let crossing = Explanation.Crossing(route, outside: text, local: local.description, topic: topic)
        self.crossing = crossing
        self.device = device?.text
        guard !registry.reserved.contains(local) else {
            self.verdict = .reserved
            self.reason = "not taken: \(Printable.text(local.description)) is one of the gateway's own topics"
            return
        }
        if let device, registry.device(device) == nil {
            self.verdict = .unknownDevice
            self.reason = "not taken: there is no device \(device)"
            return
        }
        self.taken = true
        self.verdict = .taken
        self.reason = "taken as \(Printable.text(local.description)) (\(crossing.details))"
        let sealedFor = route.route.seal ? registry.commandDevice(local, needsKeys: false) : nil
        self.sealedFor = sealedFor?.text
        self.sessionTopic = sealedFor.map { _ in local.commandSessionTopic }
        self.receivers = Explanation.receivers(of: local, sealedFor: sealedFor, registry)
        (self.onward, self.stops) = Explanation.ways(out: local, from: uplink, routes)
    }

    /// For people: the answer, then a line for each way from here.
    package var lines: [String] {
        var lines = ["\(self.uplink) \(Printable.text(self.topic)): \(self.reason)"]
        guard self.taken else { return lines }
        lines += self.receivers.map { "  " + $0.text }
        if self.receivers.isEmpty { lines.append("  nobody may get it here") }
        if let device = self.sealedFor, let topic = self.sessionTopic {
            lines.append(
                "  sealed for device \(device), under the session IDs that it publishes on \(Printable.text(topic))"
            )
        }
        for crossing in self.onward {
            let outside = Printable.text(crossing.outside)
            lines.append("  goes on to uplink \(crossing.uplink) as \(outside) (\(crossing.details))")
        }
        return lines + self.stops.map { "  " + $0.text }
    }
}
