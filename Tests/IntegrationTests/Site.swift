import Foundation
import TestSupport

/// Configurations of the gateway under test, put together from parts.
struct SiteConfiguration {
    /// `[uplink.cloud]` without its header.
    var uplink: [String]
    /// Of the route out.
    var qos = 1
    /// Lines of a `mqtts` listener besides protocol and bind; nil for none.
    var secureListener: [String]?
    /// Whether the gateway says outside that it is there; tests that count messages want to see their own only.
    var saysState = false
    /// Lines added to `[profile.sensor]`.
    var sensor: [String] = []
    /// A table before those routes.
    var firstRoute = ""
    /// Further tables.
    var extra = ""

    /// An uplink without TLS.
    static func plain(port: Int) -> Self {
        Self(uplink: ["address = [\"mqtt://127.0.0.1:\(port)\"]"])
    }

    /// An uplink with a pre-shared key, which is in the file `cloud.psk`.
    static func preSharedKey(port: Int, identity: String = "attic", more: [String] = []) -> Self {
        let psk = "psk = { identity = \"\(identity)\", key_file = \"cloud.psk\" }"
        return Self(uplink: ["address = [\"mqtts://localhost:\(port)\"]", psk] + more)
    }

    /// All of gateway.conf. Ports of listeners are the system's choice.
    var text: String {
        """
        [gateway]
        name = "attic"
        state = "state"
        log_level = "debug"

        [limits]
        failure_rate = "1000/s"

        [[listener]]
        protocol = "mqtt"
        bind = "127.0.0.1:0"
        anonymous = true

        \(self.secureListener.map { "[[listener]]\nprotocol = \"mqtts\"\nbind = \"127.0.0.1:0\"\n" + $0.joined(separator: "\n") } ?? "")

        [profile.sensor]
        seal = "v1"
        publish = ["nodes/%d/#"]
        subscribe = ["nodes/%d/sessionID", "nodes/%d/cmd/#"]
        session_topic = "nodes/%d/sessionID"
        rate = "100000/s"
        \(self.sensor.joined(separator: "\n"))

        [profile.plain]
        seal = "none"
        plaintext = true
        identify_by = "topic"
        publish = ["nodes/%d/#"]
        subscribe = ["nodes/%d/cmd/#"]
        rate = "100000/s"

        [profile.strict]
        seal = "none"
        publish = ["nodes/%d/#"]
        deny = ["nodes/%d/private/#"]
        subscribe = ["nodes/%d/cmd/#"]
        rate = "100000/s"

        [uplink.cloud]
        \(self.saysState ? "" : "state_topic = false")
        \(self.uplink.joined(separator: "\n"))

        \(self.firstRoute)

        [[route]]
        direction = "out"
        from = "nodes/%d/#"
        to = "sites/%g/%d/#"
        uplink = "cloud"
        qos = \(self.qos)

        [[route]]
        direction = "in"
        from = "sites/%g/%d/cmd/#"
        to = "nodes/%d/cmd/#"
        uplink = "cloud"
        qos = 1

        \(self.extra)
        """
    }
}

/// The devices of the tests, as key files.
enum SiteDevices {
    /// A plain device.
    static func plain(_ id: String) -> String {
        "[[device]]\nid = \"\(id)\"\nprofile = \"plain\"\n\n"
    }

    /// A device that proves itself with TLS-PSK.
    static func keyed(_ id: String, key: [UInt8], profile: String = "strict") -> String {
        "[[device]]\nid = \"\(id)\"\nprofile = \"\(profile)\"\npsk = \"hex:\(hexText(key))\"\n\n"
    }

    /// A device that seals, see ``SealedNode``.
    static func sealed(_ id: String, nodeID: String, profile: String = "sensor", secret: UInt8) -> String {
        let keys = SealedNode.keys(secret: secret)
        return """
            [[device]]
            id = "\(id)"
            profile = "\(profile)"
            seal = "v1"
            node_id = "\(nodeID)"
            static_iv = "hex:\(hexText(keys.staticIV))"
            iv_key = "hex:\(hexText(keys.ivKey))"
            data_key = "hex:\(hexText(keys.dataKey))"
            passphrase = "hex:\(hexText(keys.passphrase))"


            """
    }
}
