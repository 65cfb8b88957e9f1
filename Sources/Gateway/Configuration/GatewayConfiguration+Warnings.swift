import Devices
import MQTTCodec

/// Warnings: what is valid by itself, but can't have been meant.
extension GatewayConfiguration {
    /// Reports to `document`. Only for a configuration without errors.
    func addWarnings(_ document: ConfigurationDocument) {
        self.warnAboutClientIDs(document)
        self.warnAboutPasswords(document)
        self.warnAboutOrigins(document)
        self.warnAboutCoAP(document)
        // Lines are compared with each other; a file of this size is written by a program, which should know.
        let lines = self.profiles.values.reduce(0) { $0 + $1.publish.count + $1.subscribe.count + $1.deny.count }
        guard lines <= 5_000, lines * self.routes.count <= 200_000 else { return }
        for profile in self.profiles.values.sorted(by: { $0.line < $1.line }) {
            self.warnAboutUse(of: profile, document)
            self.warnAboutSeal(of: profile, document)
        }
        self.warnAboutRoutes(document)
        self.warnAboutDeviceRoutes(document)
        self.warnAboutAttached(document)
        self.warnAboutObserved(document)
    }

    // MARK: Listeners

    /// Passwords that everybody on the way can read.
    private func warnAboutPasswords(_ document: ConfigurationDocument) {
        for listener in self.listeners where listener.password && !listener.isTLS && !listener.bind.isLoopback {
            document.warning(
                self.path(ofListenerOn: listener.line, document).key("password"),
                "passwords cross the network in the clear here: "
                    + "only for a network that is trusted, otherwise use a listener with TLS"
            )
        }
    }

    // MARK: Profiles

    /// A profile that allows nothing, or whose devices can never prove themselves.
    private func warnAboutUse(of profile: Profile, _ document: ConfigurationDocument) {
        let path = TOMLPath.root.key("profile").key(profile.name)
        let isGuest = profile.name == "guest" && self.listeners.contains { $0.anonymous == .guest }
        if profile.publish.isEmpty, profile.subscribe.isEmpty {
            document.warning(path, "allows nothing: it has neither publish nor subscribe")
            return
        }
        let denied = profile.deny.map { (line: $0.line, filter: self.filter($0)) }
        for (key, lines) in [("publish", profile.publish), ("subscribe", profile.subscribe)] {
            for (index, line) in lines.enumerated() {
                let linePath = path.key(key).element(index)
                let filter = self.filter(line)
                if let deny = denied.first(where: { $0.filter.covers(filter) }) {
                    document.warning(linePath, "is denied as a whole by line \(deny.line)")
                } else if isGuest, line.template.hasDevice {
                    document.warning(linePath, "allows guests nothing: they are no device, and have nothing for %d")
                }
            }
        }
        guard !isGuest else { return }
        let isPlaintext =
            profile.plaintext && (!self.attached.isEmpty || self.listeners.contains(where: \.admitsUnproven))
        let isSealed = profile.seal != .none
        let isProven = self.listeners.contains(where: \.provesDevices)
        if !isPlaintext, !isSealed, !isProven {
            document.warning(
                path,
                "nobody can publish with it: its messages are neither sealed nor plaintext = true, "
                    + "and no listener has psk = true, password = true or a client_ca to prove its devices"
            )
        }
        if isPlaintext, !isSealed, !isProven, profile.identifyBy == .topic, !profile.publish.isEmpty,
            !profile.publish.contains(where: \.template.hasDevice)
        {
            let key = path.key("publish")
            document.warning(key, "nobody can publish with it: identify_by = \"topic\", but no filter has %d")
        }
    }

    private func warnAboutSeal(of profile: Profile, _ document: ConfigurationDocument) {
        let path = TOMLPath.root.key("profile").key(profile.name)
        if profile.plaintext, profile.seal != .none {
            document.warning(
                path.key("plaintext"),
                "unsealed messages are taken as well, from anyone on an anonymous listener: the seal then proves nothing"
            )
        }
        guard profile.seal == .v1, let topic = profile.sessionTopic else { return }
        let filter = topic.expand(device: nil, gateway: self.name)
        if !profile.subscribe.contains(where: { self.filter($0).covers(filter) }) {
            document.warning(
                path.key("subscribe"),
                "does not have \"\(topic)\": nodes can't fetch their session IDs, and a sealed message needs one"
            )
        }
        self.warnAboutCommands(of: profile, path, document)
        if profile.maxPayload > self.limits.maxPacket {
            document.warning(path.key("max_payload"), "is over max_packet of [limits], which comes first")
        }
    }

    /// Commands that would wait for session IDs which no node may publish.
    private func warnAboutCommands(of profile: Profile, _ path: TOMLPath, _ document: ConfigurationDocument) {
        let published = profile.publish.map { self.filter($0) }
        for topic in profile.commandTopics {
            let text = topic.text.hasSuffix("#") ? topic.text : topic.text + "/sessionID"
            guard let sessions = try? TopicTemplate(text).expand(device: nil, gateway: self.name),
                !published.contains(where: { $0.overlaps(sessions) })
            else { continue }
            document.warning(
                path.key("publish"),
                "nodes can't publish their session IDs for the commands on \"\(topic)\", which then wait for ever: "
                    + "allow \"\(text)\", or write sealed_commands = [] if the nodes take commands that are not sealed"
            )
            return
        }
    }

    // MARK: Routes

    private func warnAboutRoutes(_ document: ConfigurationDocument) {
        let compiled = self.routes.map { try? $0.compile(gateway: self.name) }
        let published = self.profiles.values.flatMap { $0.publish.map(self.filter) }
        let subscribed = self.profiles.values.flatMap { $0.subscribe.map(self.filter) }
        for (index, route) in self.routes.enumerated() {
            guard let own = compiled[index] else { continue }
            let path = TOMLPath.root.key("route").element(index)
            switch route.direction {
            case .out:
                let isFed = published.contains { $0.overlaps(own.subscription) }
                let isFedFromOutside =
                    route.fromUplinks
                    && zip(self.routes, compiled).contains {
                        $0.direction == .in && $0.uplink != route.uplink
                            && $1?.target.overlaps(own.subscription) ?? false
                    }
                if !isFed, !isFedFromOutside {
                    document.warning(path.key("from"), "no profile may publish there: nothing will take this route")
                }
            case .in:
                let isRead = subscribed.contains { $0.overlaps(own.target) }
                if !isRead { document.warning(path.key("to"), "no profile may subscribe there: nobody will get it") }
            }
            for earlier in 0..<index {
                guard let other = compiled[earlier], self.routes[earlier].direction == route.direction,
                    self.routes[earlier].uplink == route.uplink
                else { continue }
                guard other.route.fromUplinks || !route.fromUplinks else { continue }
                let isSame = other.route.from == route.from
                if isSame || !other.route.from.hasDevice && other.subscription.covers(own.subscription) {
                    let line = other.route.line
                    document.warning(path.key("from"), "never used: the route of line \(line) takes all these topics")
                    break
                }
            }
        }
        self.warnAboutLoops(compiled, document)
    }

    /// A route in that takes everything that a route out of the same uplink sends, back to where that takes it from.
    ///
    /// A mere overlap is no finding: commands commonly live in the branch that is sent out (`sites/%g/%d/#` and
    /// `sites/%g/%d/cmd/#`).
    private func warnAboutLoops(_ compiled: [CompiledRoute?], _ document: ConfigurationDocument) {
        for (index, route) in self.routes.enumerated() where route.direction == .in {
            guard let back = compiled[index] else { continue }
            for case let out? in compiled where out.route.direction == .out && out.route.uplink == route.uplink {
                guard back.subscription.covers(out.target), back.target.overlaps(out.subscription) else { continue }
                document.warning(
                    TOMLPath.root.key("route").element(index).key("from"),
                    "a loop: whatever the route of line \(out.route.line) sends out comes back in by this one"
                )
                break
            }
        }
    }

    // MARK: Listeners

    /// A browser lets whatever page it shows open a WebSocket, also to the network that only the browser is in.
    private func warnAboutOrigins(_ document: ConfigurationDocument) {
        for listener in self.listeners {
            guard listener.isWebSocket, listener.anonymous != .refused, listener.origins == nil else { continue }
            document.warning(
                self.path(ofListenerOn: listener.line, document).key("anonymous"),
                "any web page that a browser of this network shows can connect here; name those that may in origins, "
                    + "or write origins = [] for no page at all"
            )
        }
    }

    // MARK: Uplinks

    /// Two uplinks that would throw each other out of the same broker, for ever (MQTT 5.0 §3.1.4).
    private func warnAboutClientIDs(_ document: ConfigurationDocument) {
        for (index, uplink) in self.uplinks.enumerated() {
            guard let rival = self.uplinks[..<index].first(where: { $0.isRival(of: uplink) }) else { continue }
            document.warning(
                TOMLPath.root.key("uplink").key(uplink.name).key("client_id"),
                "\(uplink.name) and \(rival.name) have the same client id at the same broker, "
                    + "and would throw each other out; name another one here"
            )
        }
    }

    // MARK: Helpers

    func path(ofListenerOn line: Int, _ document: ConfigurationDocument) -> TOMLPath {
        document.path(ofElement: "listener", onLine: line, count: self.listeners.count + self.attached.count)
    }

    func filter(_ line: PolicyLine) -> TopicFilter {
        line.template.expand(device: nil, gateway: self.name)
    }
}
