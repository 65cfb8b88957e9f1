package import MQTTCodec

/// One `[[listener]]` with `protocol = "attach"`: a broker that is there already, which the gateway is a client of.
package struct AttachedBrokerConfiguration: Sendable, Equatable {
    /// The line of `[[listener]]` in gateway.conf.
    package var line: Int
    /// How to connect there. Its name is its first address, its client id the gateway's name with `-attached` unless set.
    package var broker: UplinkConfiguration
    /// What is taken from there.
    package var subscribe: [TopicFilter]
    /// Which messages of uplinks go there; ``subscribe`` unless set.
    package var commands: [TopicFilter]
    /// Put before the topics of accepted messages when they go back opened; ends with a slash. `nil`: none go back.
    package var prefix: String?

    /// An attached broker without a prefix.
    package init(broker: UplinkConfiguration, subscribe: [TopicFilter], line: Int = 0) {
        self.broker = broker
        self.subscribe = subscribe
        self.commands = subscribe
        self.line = line
    }

    /// Its name in logs and in `$SYS`: host and port of its first address.
    package var name: String { self.broker.addresses.first?.address.description ?? "?" }

    /// How its messages are judged: each has to prove itself, and what is forbidden is acknowledged and dropped.
    var rules: ListenerConfiguration {
        let address = self.broker.addresses.first?.address ?? NetworkAddress(host: "?", port: 0)
        var rules = ListenerConfiguration(transport: .attach, bind: address, line: self.line)
        rules.anonymous = .allowed
        return rules
    }
}
