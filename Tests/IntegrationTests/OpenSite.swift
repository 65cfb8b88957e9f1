import TestSupport
import Testing

/// Configurations with guests, who may everything but below `denied/`, and devices with passwords. There is no uplink.
enum OpenSite {
    /// The password of each device.
    static let password = "a long secret"

    /// All of gateway.conf.
    static func text(limits: [String] = [], guest: [String] = [], extra: String = "") -> String {
        """
        [gateway]
        name = "attic"
        state = "state"
        log_level = "debug"

        [limits]
        failure_rate = "100000/s"
        \(limits.joined(separator: "\n"))

        [[listener]]
        protocol = "mqtt"
        bind = "127.0.0.1:0"
        anonymous = "guest"
        password = true

        [profile.guest]
        publish = ["#"]
        subscribe = ["#"]
        deny = ["denied/#"]
        max_payload = "200KiB"
        rate = "100000/s"
        \(guest.joined(separator: "\n"))

        [profile.node]
        publish = ["nodes/%d/#", "log/%d"]
        deny = ["nodes/%d/private/#"]
        subscribe = ["nodes/%d/#", "news/#"]
        max_payload = "200KiB"
        rate = "100000/s"

        \(extra)
        """
    }

    /// - Parameter devices: Of profile `node`, whose password is ``password``.
    static func home(_ text: String = OpenSite.text(), devices: [String] = []) async throws -> GatewayProcess.Home {
        let home = try GatewayProcess.Home(configuration: text)
        guard !devices.isEmpty else { return home }
        try await home.importDevices(devices.map { "[[device]]\nid = \"\($0)\"\nprofile = \"node\"\n\n" }.joined())
        for id in devices {
            let finished = try await home.run(["device", "password", id], input: Self.password)
            try #require(finished.exit == .status(0), "\(finished.all)")
        }
        return home
    }
}

extension MQTTPeer.Opening {
    /// A device of ``OpenSite``, under a client id of its own.
    static func device(_ name: String, id: String? = nil, level: UInt8 = 5) -> Self {
        Self(id: id ?? "of-\(name)", level: level, user: name, password: OpenSite.password)
    }
}
