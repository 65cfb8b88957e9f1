import Devices
import Gateway
import MQTTCodec

/// What the demo takes from a gateway.conf, and what it changes in it: the files, the ports and the outside broker are its
/// own, everything else is as it stands.
struct DemoPlan: Sendable {
    /// The file in the demo's directory where the gateway finds its key for the outside broker.
    static let keyFileName = "uplink.psk"

    /// As the demo runs it. It has one uplink.
    private(set) var configuration: GatewayConfiguration
    /// Of the sealed nodes, and of those that TLS proves.
    let sealedProfile: Profile
    /// Of the plain node.
    let plainProfile: Profile
    /// Places in `configuration.listeners`: without TLS, and with pre-shared keys.
    let plainListener: Int
    let tlsListener: Int
    /// The name by which the gateway proves itself to the outside broker.
    let outsideIdentity: DeviceID
    let routes: RouteTable

    /// Looks for what the demo needs.
    ///
    /// - Throws: ``CommandFailure`` that says what gateway.conf lacks.
    init(adapting configuration: GatewayConfiguration, to directory: DemoDirectory) throws(CommandFailure) {
        let file = configuration.file
        func lacks(_ what: String) -> CommandFailure { .unfit(file, lacks: what) }
        let profiles = configuration.profiles.values.sorted { $0.line < $1.line }
        func isForNodes(_ profile: Profile) -> Bool { profile.publish.contains(where: \.template.hasDevice) }
        guard let sealed = profiles.first(where: { $0.seal == .v1 && $0.sessionTopic != nil && isForNodes($0) }) else {
            throw lacks("profile with seal = \"v1\", a session_topic, and %d in publish")
        }
        guard let plain = profiles.first(where: { $0.plaintext && $0.seal == .none && isForNodes($0) }) else {
            throw lacks("profile with seal = \"none\", plaintext = true, and %d in publish")
        }
        let listeners = configuration.listeners
        guard let mqtt = listeners.firstIndex(where: { $0.transport == .mqtt && $0.anonymous == .allowed }) else {
            throw lacks("listener with protocol = \"mqtt\" and anonymous = true")
        }
        guard let mqtts = listeners.firstIndex(where: { $0.transport == .mqtts && $0.psk }) else {
            throw lacks("listener with protocol = \"mqtts\" and psk = true")
        }
        guard let uplink = configuration.uplinks.first else { throw lacks("uplink") }
        let name = uplink.psk?.identity ?? configuration.name
        guard let identity = (try? DeviceID(name)) ?? (try? DeviceID(configuration.name)) else { throw lacks("name") }

        var adapted = configuration
        adapted.stateDirectory = directory.file("gateway")
        // The demo fails on purpose, all from one address.
        let failures = max(configuration.limits.failureRate.count, 60)
        adapted.limits.failureRate = Rate(count: failures, interval: .seconds(60))
        for index in listeners.indices { adapted.listeners[index].bind.host = "127.0.0.1" }
        adapted.attached = []  // The demo touches no broker but its own.
        adapted.uplinks = [Self.outsideUplink(uplink, identity: identity, directory)]
        adapted.routes = configuration.routes.filter { $0.uplink == uplink.name }
        let reserved = ReservedTopics(profiles: profiles, gateway: configuration.name)
        do {
            self.routes = try RouteTable(
                routes: adapted.routes,
                uplinks: [uplink.name],
                gateway: configuration.name,
                reserved: reserved
            )
        } catch {
            throw CommandFailure(.usage, "\(file):\(error.line): \(error)")
        }
        self.configuration = adapted
        self.sealedProfile = sealed
        self.plainProfile = plain
        self.plainListener = mqtt
        self.tlsListener = mqtts
        self.outsideIdentity = identity
    }

    private static func outsideUplink(
        _ uplink: UplinkConfiguration,
        identity: DeviceID,
        _ directory: DemoDirectory
    ) -> UplinkConfiguration {
        var adapted = uplink
        let file = ConfigurationFile(path: directory.file(Self.keyFileName), content: .secret, line: uplink.line)
        adapted.psk = .init(identity: identity.text, keyFile: file)
        adapted.ca = nil
        adapted.certificate = nil
        adapted.key = nil
        adapted.serverName = nil
        adapted.username = nil
        adapted.passwordFile = nil
        // Exactly the nodes' messages are to arrive.
        adapted.stateTopicRule = .none
        return adapted
    }

    /// Points the uplink at the outside broker.
    mutating func connectUplink(toPort port: Int) {
        let address = NetworkAddress(host: "127.0.0.1", port: port)
        self.configuration.uplinks[0].addresses = [UplinkAddress(isTLS: true, address: address)]
    }

    /// What the gateway sends to the outside broker, and so all that its key has to allow there.
    var published: [TopicFilter] {
        self.routes.routes.filter { $0.route.direction == .out }.map(\.target)
    }

    /// What the gateway subscribes to at the outside broker.
    var subscribed: [TopicFilter] {
        self.routes.routes.filter { $0.route.direction == .in }.map(\.subscription)
    }
}

extension CommandFailure {
    /// A gateway.conf that can be right for its user, and lacks what the demo shows.
    static func unfit(_ file: String, lacks what: String) -> CommandFailure {
        CommandFailure(.usage, "the demo can't use \(file): it has no \(what); name another with --config FILE")
    }
}
