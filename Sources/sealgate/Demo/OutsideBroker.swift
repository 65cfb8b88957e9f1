import Devices
import Gateway
import Logging
import MQTTCodec
import OpenSSL

/// The outside broker of the demo: a second gateway without an uplink, which everybody has to prove a pre-shared key to,
/// and where each key has rights of its own.
struct OutsideBroker: Sendable {
    let broker: Gateway
    let port: Int
    /// Sees every message there is.
    let watcher: TLSPreSharedKey
    /// May send commands.
    let operatorKey: TLSPreSharedKey
    /// The gateway's.
    let gatewayKey: TLSPreSharedKey

    /// Starts it on a free port of this machine.
    ///
    /// - Throws: Also when it could not start; nothing is left running then.
    static func start(for plan: DemoPlan, in directory: DemoDirectory, logger: Logger) async throws -> OutsideBroker {
        let text = """
            [gateway]
            name  = "outside"
            state = "outside"

            [[listener]]
            protocol = "mqtts"
            bind     = "127.0.0.1:0"
            psk      = true
            """
        var configuration = try GatewayConfiguration.parse(text, file: "outside.conf", directory: directory.path)
        let everything = [try TopicFilter("#")]
        var profiles = [
            try Self.profile("gateway", publish: plan.published, subscribe: plan.subscribed),
            try Self.profile("watcher", subscribe: everything),
            try Self.profile("operator", publish: plan.subscribed),
        ]
        // What the broker says of itself has not arrived from anybody.
        profiles[1].deny = [PolicyLine(template: configuration.stateTopics.reserved, line: 0)]
        for profile in profiles { configuration.profiles[profile.name] = profile }
        let devices = [
            Device(id: plan.outsideIdentity, profile: "gateway", psk: DemoCast.key()),
            Device(id: try DeviceID("watcher"), profile: "watcher", psk: DemoCast.key()),
            Device(id: try DeviceID("operator"), profile: "operator", psk: DemoCast.key()),
        ]
        try DemoCast.enroll(devices, in: configuration.stateDirectory, logger: logger)
        let keys = devices.compactMap(\.preSharedKey)

        let broker = Gateway(configuration: configuration, logger: logger)
        do {
            guard let listener = try await broker.start().first, keys.count == devices.count else {
                throw DemoFailure("the outside broker has no listener")
            }
            return OutsideBroker(
                broker: broker,
                port: listener.port,
                watcher: keys[1],
                operatorKey: keys[2],
                gatewayKey: keys[0]
            )
        } catch {
            await broker.stop()
            throw error
        }
    }

    private static func profile(
        _ name: String,
        publish: [TopicFilter] = [],
        subscribe: [TopicFilter] = []
    ) throws -> Profile {
        func lines(_ filters: [TopicFilter]) throws -> [PolicyLine] {
            try filters.map { filter in
                // What is a placeholder in a template is a percent sign here.
                let text = filter.description.split(separator: "%", omittingEmptySubsequences: false)
                return PolicyLine(template: try TopicTemplate(text.joined(separator: "%%")), line: 0)
            }
        }
        var profile = Profile(name: name, line: 0)
        profile.publish = try lines(publish)
        profile.subscribe = try lines(subscribe)
        return profile
    }
}
