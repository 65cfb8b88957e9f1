import CoAPCodec
import Devices
import MQTTCodec

/// What listeners and profiles say about CoAP together.
extension GatewayConfiguration {
    /// Topics that short paths stand for, and that are the gateway's own.
    func checkPaths(of listener: ListenerConfiguration, _ document: ConfigurationDocument, _ path: TOMLPath) {
        guard !listener.paths.isEmpty else { return }
        let reserved = ReservedTopics(
            profiles: Array(self.profiles.values),
            others: [self.stateTopics.reserved],
            gateway: self.name
        )
        // What is reserved for one device is for all.
        let device = try? DeviceID("x")
        for rule in listener.paths {
            guard let topic = rule.topic.expandTopic(device: device, gateway: self.name), reserved.contains(topic)
            else { continue }
            document.error(
                path.key("paths").key(rule.text),
                "\(TOMLPath.printable(rule.topic.text)) is a topic of the gateway's own, where nobody publishes; "
                    + "session IDs are at /sid"
            )
        }
    }

    // MARK: Warnings

    /// Keys about CoAP that do nothing, and a door that is wider than it looks.
    func warnAboutCoAP(_ document: ConfigurationDocument) {
        for listener in self.listeners where listener.isCoAP {
            let path = self.path(ofListenerOn: listener.line, document)
            if listener.multicast, !listener.bind.isAnyAddress {
                document.warning(
                    path.key("multicast"),
                    "does nothing: what is sent to a group reaches only a listener on all addresses, \"0.0.0.0:5683\" or "
                        + "\"[::]:5683\""
                )
            }
            if listener.transport == .coaps, listener.anonymous != .refused {
                document.warning(path.key("anonymous"), "does nothing: each DTLS session has proven a device")
            }
            self.warnAboutForgers(listener, path, document)
            self.warnAboutPaths(listener, path, document)
        }
        let listeners = self.listeners.filter(\.isCoAP)
        for profile in self.profiles.values.sorted(by: { $0.line < $1.line }) {
            let path = TOMLPath.root.key("profile").key(profile.name)
            if profile.fresh {
                let isAsked = profile.plaintext && listeners.contains { $0.transport == .coap && $0.admitsUnproven }
                if !isAsked {
                    document.warning(
                        path.key("fresh"),
                        "does nothing: it is about messages of plaintext = true over a listener with protocol = \"coap\" "
                            + "and anonymous = true"
                    )
                }
            }
            if profile.piggybackCommands {
                if listeners.isEmpty {
                    document.warning(path.key("piggyback_commands"), "does nothing: \(Self.noCoAP)")
                } else if !profile.subscribe.map(\.template).contains(where: {
                    $0.hasDevice && $0 != profile.sessionTopic
                }) {
                    document.warning(
                        path.key("piggyback_commands"),
                        "does nothing: subscribe has no topic with %d on which commands could come"
                    )
                }
            }
            if profile.senml != .keep, listeners.isEmpty {
                document.warning(path.key("senml"), "does nothing: \(Self.noCoAP)")
            }
        }
    }

    private static let noCoAP = "no listener has protocol = \"coap\" or \"coaps\""

    /// With TCP a sender must at least be reachable at its address; a datagram comes from wherever it says.
    private func warnAboutForgers(
        _ listener: ListenerConfiguration,
        _ path: TOMLPath,
        _ document: ConfigurationDocument
    ) {
        guard listener.transport == .coap, listener.admitsUnproven, !listener.bind.isLoopback else { return }
        let open = self.profiles.values.filter { $0.plaintext && !$0.fresh }
        guard let first = open.min(by: { $0.line < $1.line }) else { return }
        document.warning(
            path.key("anonymous"),
            "whoever can send a datagram here, from whatever address it says, can speak for the devices of profile "
                + "\(TOMLPath.quoted(first.name)), and send again what was recorded; fresh = true there asks that the sender "
                + "answers from its address now"
        )
    }

    /// Short paths that nobody may use.
    private func warnAboutPaths(
        _ listener: ListenerConfiguration,
        _ path: TOMLPath,
        _ document: ConfigurationDocument
    ) {
        let lines = self.profiles.values.reduce(0) { $0 + $1.publish.count + $1.subscribe.count }
        guard !listener.paths.isEmpty, lines <= 5_000 else { return }
        let allowed = self.profiles.values.flatMap { ($0.publish + $0.subscribe).map(self.filter) }
        for rule in listener.paths {
            let topics = rule.topic.expand(device: nil, gateway: self.name)
            guard !allowed.contains(where: { $0.overlaps(topics) }) else { continue }
            document.warning(
                path.key("paths").key(rule.text),
                "no profile may publish or subscribe on \(TOMLPath.printable(rule.topic.text)): nobody can use this path"
            )
        }
    }
}
