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
        let from = reader.template("from")
        let to = reader.template("to")
        let uplink = Self.readUplink(reader, uplinks: uplinks)
        let qos = Self.readQoS(reader)
        for (key, example) in [("direction", "out"), ("from", "nodes/%d/#"), ("to", "sites/%g/%d/#")]
        where !reader.has(key) {
            reader.error(key, "missing; write \"\(example)\"")
        }
        reader.finish()
        guard let direction, let from, let to, let uplink, let qos else { return nil }
        self.init(direction: direction, from: from, to: to, uplink: uplink, qos: qos, line: reader.line)
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
        guard number < 2 else { return reader.refuse("qos", "2 is \(ConfigurationReader.unsupported); use 0 or 1") }
        return number == 0 ? .atMostOnce : .atLeastOnce
    }

    /// The key to which an error of the pair belongs.
    private static func key(of error: RouteError) -> String {
        switch error.kind {
        case .plusCount, .hashOnlyInTo, .hashOnlyInFrom, .deviceOnlyInTo, .reservedTarget: "to"
        case .sharedSubscription: "from"
        case .unknownUplink: "uplink"
        }
    }
}
