import Devices
import MQTTCodec

/// Warnings about attached brokers.
extension GatewayConfiguration {
    func warnAboutAttached(_ document: ConfigurationDocument) {
        for (index, attached) in self.attached.enumerated() {
            let path = self.path(ofListenerOn: attached.line, document)
            self.warnAboutUse(of: attached, at: path, document)
            self.warnAboutClear(attached, at: path, document)
            self.warnAboutUplinks(of: attached, at: path, document)
            let rivals = self.uplinks + self.attached[..<index].map(\.broker)
            if let rival = rivals.first(where: { $0.isRival(of: attached.broker) }) {
                document.warning(
                    path.key("client_id"),
                    "it has the same client id as \(rival.name) at the same broker, and they would throw each other out; "
                        + "name another one here"
                )
            }
        }
    }

    /// Filters from which nothing can come that is taken.
    private func warnAboutUse(
        of attached: AttachedBrokerConfiguration,
        at path: TOMLPath,
        _ document: ConfigurationDocument
    ) {
        let published = self.profiles.values.flatMap { $0.publish.map(self.filter) }
        for (index, filter) in attached.subscribe.enumerated()
        where !published.contains(where: { $0.overlaps(filter) }) {
            document.warning(
                path.key("subscribe").element(index),
                "no profile may publish there: everything that comes from there will be refused"
            )
        }
    }

    /// What was sealed goes on in the clear.
    private func warnAboutClear(
        _ attached: AttachedBrokerConfiguration,
        at path: TOMLPath,
        _ document: ConfigurationDocument
    ) {
        let addresses = attached.broker.addresses
        guard attached.prefix != nil, addresses.contains(where: { !$0.isTLS && !$0.address.isLoopback }) else { return }
        document.warning(
            path.key("prefix"),
            "opened messages cross the network in the clear here: only for a network that is trusted, "
                + "otherwise write mqtts:// in address"
        )
    }

    /// A route out that leads back to where the gateway takes messages from.
    private func warnAboutUplinks(
        of attached: AttachedBrokerConfiguration,
        at path: TOMLPath,
        _ document: ConfigurationDocument
    ) {
        let addresses = Set(attached.broker.addresses.map(\.address))
        for route in self.routes where route.direction == .out {
            guard let uplink = self.uplinks.first(where: { $0.name == route.uplink }),
                !addresses.isDisjoint(with: uplink.addresses.map(\.address)),
                let target = try? route.compile(gateway: self.name).target,
                let filter = attached.subscribe.first(where: { $0.overlaps(target) })
            else { continue }
            document.warning(
                path.key("subscribe"),
                "a loop: the route of line \(route.line) sends to the same broker, where \"\(filter)\" takes it from"
            )
        }
    }
}

extension UplinkConfiguration {
    /// Whether the two would throw each other out of one broker, for ever [MQTT-3.1.4-2].
    func isRival(of other: UplinkConfiguration) -> Bool {
        self.clientID == other.clientID
            && !Set(self.addresses.map(\.address)).isDisjoint(with: other.addresses.map(\.address))
    }
}
