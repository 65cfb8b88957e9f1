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

    /// - Parameter devices: Whose password is ``password``; of the profile that is called like them, if there is one, else
    ///   of `node`.
    static func home(_ text: String = OpenSite.text(), devices: [String] = []) async throws -> GatewayProcess.Home {
        let home = try GatewayProcess.Home(configuration: text)
        guard !devices.isEmpty else { return home }
        let entries = devices.map { id in
            let profile = text.contains("[profile.\(id)]") ? id : "node"
            return "[[device]]\nid = \"\(id)\"\nprofile = \"\(profile)\"\n\n"
        }
        try await home.importDevices(entries.joined())
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
