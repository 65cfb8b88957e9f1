package import Devices
package import MQTTCodec
import NIOCore

/// The topics on which the gateway says how it is: below `base` of `[gateway]`, and nobody else's.
package struct StateTopicNames: Sendable, Equatable {
    /// Longest `base` in bytes.
    static let maxBaseBytes = 256
    /// If gateway.conf does not say.
    static let defaultBase = "sealgate/%g"

    /// As in gateway.conf, without wildcards and `%d`.
    package let base: TopicTemplate
    private let gateway: String

    /// - Parameter gateway: The gateway's name. It must have passed ``DeviceID/check(_:)``.
    init(base: TopicTemplate, gateway: String) {
        precondition(!base.hasWildcards && !base.hasDevice, "a base is one topic")
        self.base = base
        self.gateway = gateway
    }

    /// Reads `base` of `[gateway]`.
    init(_ reader: ConfigurationReader?, gateway: String) {
        self.init(base: reader.flatMap { Self.read($0, "base") } ?? Self.template(Self.defaultBase), gateway: gateway)
    }

    /// A topic of the gateway's own, here or outside.
    static func read(_ reader: ConfigurationReader, _ key: String) -> TopicTemplate? {
        guard let template = reader.template(key) else { return nil }
        let given = TOMLPath.printable(template.text)
        if template.hasWildcards { return reader.refuse(key, "\(given) has a wildcard, and has to be one topic") }
        if template.hasDevice {
            return reader.refuse(key, "\(given) has %d, but it is about the gateway, and no device")
        }
        if template.text.utf8.first == UInt8(ascii: "$") {
            return reader.refuse(key, "\(given) begins with $: such topics are each broker's own")
        }
        guard template.text.utf8.count <= Self.maxBaseBytes else {
            return reader.refuse(key, "is \(template.text.utf8.count) bytes long, over \(Self.maxBaseBytes)")
        }
        return template
    }

    /// `online` or `offline`.
    package var bridge: TopicName { self.topic("bridge/state") }

    /// How one uplink is, as a JSON object.
    package func uplink(_ name: String) -> TopicName { self.topic("uplink/\(name)") }

    /// Everything below ``base``: reserved, so that no device speaks for the gateway.
    package var reserved: TopicTemplate { Self.template(self.base.text + "/#") }

    private func topic(_ rest: String) -> TopicName {
        let template = Self.template(self.base.text + "/" + rest)
        return TopicName(unchecked: template.expand(device: nil, gateway: self.gateway).buffer)
    }

    private static func template(_ text: String) -> TopicTemplate {
        do {
            return try TopicTemplate(text)
        } catch {
            preconditionFailure("\(text) is no topic: \(error)")
        }
    }
}

/// Where an outside broker is told whether the gateway is there.
package enum StateTopicRule: Sendable, Hashable {
    /// On the topic that the gateway uses itself.
    case own
    /// On this one, without wildcards and `%d`.
    case topic(TopicTemplate)
    /// Nowhere: neither a message nor a will.
    case none

    /// Reads `state_topic` of an uplink.
    ///
    /// AWS and Azure close connections that publish where no policy lets them, or on any topic but their own: there nothing is said
    /// unless gateway.conf names the topic.
    init(_ reader: ConfigurationReader) {
        let provider = reader.word("provider").flatMap(Provider.init(rawValue:)) ?? .generic
        self = provider == .aws || provider == .azure ? .none : .own
        guard reader.has("state_topic") else { return }
        if case .bool(let isWanted)? = reader.boolOrString("state_topic") {
            self = isWanted ? .own : .none
        } else if reader.word("state_topic") == "" {
            self = .none
        } else if !reader.hasFailed("state_topic"), let template = StateTopicNames.read(reader, "state_topic") {
            self = .topic(template)
        }
    }
}

extension UplinkConfiguration {
    /// The topic outside that says whether the gateway is there; nil: none.
    package func stateTopic(_ names: StateTopicNames, gateway: String) -> TopicName? {
        switch self.stateTopicRule {
        case .own: names.bridge
        case .topic(let template): template.expandTopic(device: nil, gateway: gateway)
        case .none: nil
        }
    }
}
