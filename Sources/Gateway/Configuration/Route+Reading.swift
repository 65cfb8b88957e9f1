import Devices
import MQTTCodec

extension Route {
    /// Reads one `[[route]]`; `nil` if it lacks what nothing can stand for, or can't be used.
    ///
    /// - Parameters:
    ///   - uplinks: the names of all uplinks, usable or not.
    ///   - gateway: the gateway's name; it has passed ``DeviceID/check(_:)``.
    init?(_ reader: ConfigurationReader, uplinks: [String], gateway: String) {
        let direction: Direction? = reader.choice("direction")
        let from = reader.template("from", hasCaptures: true)
        let to = reader.template("to", hasCaptures: true)
        let uplink = Self.readUplink(reader, uplinks: uplinks)
        let qos = Self.readQoS(reader)
        for (key, example) in [("direction", "out"), ("from", "nodes/%d/#"), ("to", "sites/%g/%d/#")]
        where !reader.has(key) {
            reader.error(key, "missing; write \"\(example)\"")
        }
        let retain: RetainRule? = reader.choice("retain")
        let ttl = reader.duration("ttl", in: .seconds(1)...Self.maxTTL)
        let priority: RoutePriority? = reader.choice("priority")
        let fromUplinks = reader.bool("from_uplinks")
        let keep: KeepRule? = reader.choice("keep")
        let seal = reader.bool("seal")
        for (key, owner) in Self.keysOfOneDirection where reader.has(key) {
            guard let direction, direction != owner else { continue }
            reader.error(key, "is for routes with direction = \"\(owner.rawValue)\"")
        }
        reader.finish()
        guard let direction, let from, let to, let uplink, let qos else { return nil }
        self.init(direction: direction, from: from, to: to, uplink: uplink, qos: qos, line: reader.line)
        self.retain = retain ?? self.retain
        self.ttl = ttl
        self.priority = priority ?? self.priority
        self.fromUplinks = fromUplinks ?? self.fromUplinks
        self.keep = keep ?? self.keep
        self.seal = seal ?? self.seal
        guard direction == .in || !to.text.hasPrefix("$") else {
            reader.error("to", "starts with $: such topics are the outside broker's own")
            return nil
        }
        do {
            _ = try self.compile(gateway: gateway)
        } catch {
            reader.error(Self.key(of: error), error.description)
            return nil
        }
    }

    /// Anything longer is as good as no limit, and would not fit a Message Expiry Interval (MQTT 5.0 §3.3.2.3.3).
    private static let maxTTL = Duration.seconds(3_650 * 86_400)

    private static let keysOfOneDirection: [(key: String, direction: Direction)] = [
        ("priority", .out), ("from_uplinks", .out), ("keep", .in), ("seal", .in),
    ]

    private static func readUplink(_ reader: ConfigurationReader, uplinks: [String]) -> String? {
        guard reader.has("uplink") else {
            let example = uplinks.first.map { "; write \"\($0)\"" } ?? ", and there is no [uplink.NAME] yet"
            return reader.refuse("uplink", "missing\(example)")
        }
        guard let name = reader.string("uplink") else { return nil }
        if uplinks.contains(name) { return name }
        let shown = TOMLPath.printable(name)
        if let nearest = NearestName.find(name, among: uplinks) {
            return reader.refuse("uplink", "there is no uplink \(shown); did you mean \"\(nearest)\"?")
        }
        return reader.refuse("uplink", "there is no uplink \(shown); write [uplink.\(TOMLPath.quoted(name))]")
    }

    private static func readQoS(_ reader: ConfigurationReader) -> QoS? {
        guard let number = reader.int("qos", in: 0...2) else {
            return reader.has("qos") ? nil : .atLeastOnce
        }
        return QoS(rawValue: UInt8(number))
    }

    /// The key to which an error of the pair belongs.
    private static func key(of error: RouteError) -> String {
        switch error.kind {
        case .captureTwice: "from"
        case .unknownCapture, .plusCount, .hashOnlyInTo, .hashOnlyInFrom, .deviceOnlyInTo, .reservedTarget: "to"
        case .sharedSubscription: "from"
        case .unknownUplink: "uplink"
        }
    }
}
