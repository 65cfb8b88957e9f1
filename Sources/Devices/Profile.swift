package import CoAPCodec

/// One `[profile.x]` of gateway.conf: what the devices that name it may do. The defaults allow nothing.
package struct Profile: Sendable, Equatable {
    /// How a plaintext node on an anonymous connection is told.
    package enum IdentifyBy: String, Sendable, Hashable, CaseIterable {
        /// By the `%d` of the filter that its topic matches.
        case topic
        /// By its MQTT client id.
        case clientID = "client_id"
    }

    /// The `x` of `[profile.x]`.
    package var name: String
    /// The line of `[profile.x]` in gateway.conf, from 1.
    package var line: Int
    /// The form of the devices' payloads, unless a device has its own.
    package var seal: SealForm = .none
    /// Whether an unproven connection may send unsealed messages as a device of this profile.
    package var plaintext = false
    /// How such a node is told.
    package var identifyBy: IdentifyBy = .topic
    /// What its devices may publish.
    package var publish: [PolicyLine] = []
    /// What its devices may subscribe to and receive.
    package var subscribe: [PolicyLine] = []
    /// What its devices may neither publish nor receive, whatever the other two say.
    package var deny: [PolicyLine] = []
    /// Topics whose messages are sealed for a device that sends sealed ones itself, each with `%d`; nil: those of ``subscribe``
    /// that are for one device alone.
    package var sealedCommands: [TopicTemplate]?
    /// Where the gateway publishes session IDs: with `%d` one topic a device, without it one that all share.
    package var sessionTopic: TopicTemplate?
    /// Longest payload in bytes, sealed as it arrives.
    package var maxPayload = 65_536
    /// How many messages a device may send; nil: no limit of its own.
    package var rate: Rate?
    /// How many unconsumed session IDs stay valid, 1 or more.
    package var window = 1
    /// How long an unconsumed session ID stays valid; nil: until it is consumed or pushed out of the window.
    package var lifetime: Duration?
    /// Whether a message that fails uses up the session ID too (anyone on the network can then lock a node out).
    package var rotateOnFailure = false
    /// Whether its devices carry other nodes' sealed messages (a broker or repeater).
    package var relay = false
    /// Whether its devices may publish retained messages.
    package var retain = true
    /// Whether unsealed messages over plain CoAP have to bring a fresh Echo (RFC 9175): that the sender can be reached at its
    /// address now. It proves no device.
    package var fresh = false
    /// Whether a device that posts over CoAP may get a pending command in the response.
    package var piggybackCommands = false
    /// What becomes of SenML packs that its devices post over CoAP.
    package var senml: SenMLRule = .keep
    /// What a client of MQTT 5.0 that asks for it is told as a basis for response topics (§4.10.1); nil: nothing.
    package var responseInformation: TopicTemplate?

    /// Topics of commands: ``sealedCommands``, or else the lines of ``subscribe`` with `%d`, but for the session topic.
    package var commandTopics: [TopicTemplate] {
        if let listed = self.sealedCommands { return listed }
        return self.subscribe.map(\.template).filter { $0.hasDevice && $0 != self.sessionTopic }
    }

    /// A profile that allows nothing yet.
    package init(name: String, line: Int) {
        self.name = name
        self.line = line
    }
}

/// One filter of a profile and where it stands.
package struct PolicyLine: Sendable, Hashable {
    /// The filter with its placeholders.
    package var template: TopicTemplate
    /// The line of gateway.conf, from 1.
    package var line: Int

    /// A filter as it stands on `line`.
    package init(template: TopicTemplate, line: Int) {
        self.template = template
        self.line = line
    }
}
