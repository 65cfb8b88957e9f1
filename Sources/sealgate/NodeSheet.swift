import Devices
import Gateway
import MQTTCodec
import Sealing
import Store

/// What a node has to be told of a device that was just added, its secrets included: shown once, never stored. As text it is
/// a key file, with the rest in comments.
struct NodeSheet {
    let device: Device
    /// The form of its payloads.
    let seal: SealForm
    /// The pre-shared key, if it is to be shown.
    let psk: [UInt8]?
    /// The OSCORE context, if it is to be shown.
    let oscore: OSCORESheet?
    let topics: DeviceDetails
    let configuration: GatewayConfiguration

    init(
        _ device: Device,
        seal: SealForm,
        psk: [UInt8]?,
        oscore: OSCORESheet? = nil,
        configuration: GatewayConfiguration,
        registry: DeviceRegistry
    ) {
        self.device = device
        self.seal = seal
        self.psk = psk
        self.oscore = oscore
        self.configuration = configuration
        let owners = Set([device.keysOf ?? device.id])
        self.topics = DeviceDetails(DeviceRecord(device), owners: owners, registry: registry)
    }

    /// Whether there is any secret to show.
    var hasSecrets: Bool { self.device.v1Keys != nil || self.psk != nil || self.oscore != nil }

    // MARK: For people

    /// The key file with its comments.
    var text: String {
        var entry = KeyFileEntry(self.device)
        entry.seal = self.seal
        entry.psk = nil  // A derived key in a key file would become an imported one.
        entry.oscore = nil
        var parts = [self.introduction]
        if self.device.v1Keys != nil {
            parts.append(KeyFile.write([entry]))
            parts.append(self.luaConfiguration)
        }
        if self.psk != nil { parts.append(self.preSharedKey) }
        if let oscore = self.oscore { parts.append(Self.comment(oscore.lines + self.oscoreHint)) }
        return parts.joined(separator: "\n")
    }

    private var introduction: String {
        var lines = ["Device \(self.device.id), profile \(self.device.profile): what its node needs. Shown this once."]
        lines += self.topicLines
        return Self.comment(lines)
    }

    /// Where the node publishes and what it gets.
    var topicLines: [String] {
        func list(_ filters: [DeviceDetails.Filter]) -> String {
            filters.isEmpty ? "nothing" : filters.map { Printable.text($0.filter) }.joined(separator: ", ")
        }
        var lines = ["  may publish on     \(list(self.topics.publish))"]
        lines.append("  may subscribe to   \(list(self.topics.subscribe))")
        if !self.topics.deny.isEmpty { lines.append("  but not            \(list(self.topics.deny))") }
        if self.seal == .v1, let topic = self.topics.sessionTopic {
            lines.append("  session IDs are on \(Printable.text(topic))")
        }
        return lines
    }

    private var luaConfiguration: String {
        guard let keys = self.device.v1Keys else { return "" }
        func secret(_ name: String, _ bytes: [UInt8]) -> String {
            let text = String(decoding: bytes, as: UTF8.self)
            let isText = bytes.allSatisfy { (0x21...0x7E).contains($0) } && !text.hasPrefix("hex:")
            return "  \(name) = \(isText ? Self.luaString(text) : "\"hex:\(Hexadecimal.encode(bytes))\""),"
        }
        func topic(_ name: String, _ topic: String?) -> [String] {
            topic.map { ["  \(name) = \(Self.luaString($0)),"] } ?? []
        }
        var lines = ["The same for the NodeMCU example, in config.lua:"]
        lines.append("  id = \"\(self.device.id)\",")
        lines.append("  node_id = \(Self.luaString(self.device.nodeID ?? self.device.id.text)),")
        lines.append(secret("static_iv", keys.staticIV))
        lines.append(secret("iv_key", keys.ivKey))
        lines.append(secret("data_key", keys.dataKey))
        lines.append(secret("passphrase", keys.passphrase))
        lines += topic("session_topic", self.topics.sessionTopic)
        lines += topic("data_topic", self.dataTopic)
        return Self.comment(lines)
    }

    private var preSharedKey: String {
        guard let psk else { return "" }
        let key = Hexadecimal.encode(psk)
        let listeners = self.configuration.listeners.filter(\.psk)
        let topic = self.dataTopic ?? "TOPIC"
        let coaps = listeners.first { $0.transport == .coaps }
        let mqtts = listeners.first { $0.transport == .mqtts }
        var lines = ["TLS or DTLS with a pre-shared key, for a listener with psk = true:"]
        lines.append("  identity  \(self.device.id)")
        lines.append("  key       \(key)")
        lines.append("With clients for trying, where no other user of the machine can look at their arguments:")
        if mqtts != nil || coaps == nil {
            let port = mqtts.map { "\($0.bind.port)" } ?? "PORT"
            lines.append("  mosquitto_pub -h GATEWAY -p \(port) --psk-identity \(self.device.id) \\")
            lines.append("    --psk \(key) -q 1 -t \(Self.shellWord(topic)) -m hello")
        }
        if let coaps {
            lines += Self.coapClient(self.device.id.text, key: psk, self.address(of: coaps, topic: topic))
        }
        return Self.comment(lines)
    }

    /// How libcoap's client posts with a key, which it takes as bytes in an argument; why it can't be tried, where no argument holds them.
    static func coapClient(_ identity: String, key: [UInt8], _ address: String) -> [String] {
        // $(…) leaves out zeroes, and line ends behind the last word.
        guard !key.contains(0), key.last != UInt8(ascii: "\n") else {
            return [
                "  (not with coap-client: no shell hands it a key with a byte 00, or with 0a at the end. gnutls-cli takes "
                    + "this one in hex, by --pskkey; nodes don't mind)"
            ]
        }
        return [
            "  coap-client-openssl -m post -u \(identity) -k \"$(printf \(Hexadecimal.encode(key)) | xxd -r -p)\" \\",
            "    -e hello \(Self.shellWord(address))",
        ]
    }

    /// Where a node with an OSCORE context sends its messages.
    private var oscoreHint: [String] {
        let listeners = self.configuration.listeners.filter { $0.isCoAP && $0.oscore }
        guard let listener = listeners.first(where: { $0.transport == .coap }) ?? listeners.first else { return [] }
        return ["It posts to \(self.address(of: listener, topic: self.dataTopic ?? "TOPIC"))"]
    }

    /// The resource of a topic on a listener.
    private func address(of listener: ListenerConfiguration, topic: String) -> String {
        let prefix = listener.prefix.isEmpty ? "" : "/" + listener.prefix
        return "\(listener.transport.rawValue)://GATEWAY:\(listener.bind.port)\(prefix)/\(Printable.text(topic))"
    }

    /// A topic that the node may publish on, if one can be made of its first filter.
    private var dataTopic: String? {
        guard let filter = self.topics.publish.first?.filter, !filter.contains("+") else { return nil }
        return filter.hasSuffix("#") ? String(filter.dropLast()) + "data" : filter
    }

    private static func comment(_ lines: [String]) -> String {
        lines.map { "# \($0)\n" }.joined()
    }

    /// A string of Lua 5.1 that stays on its line, whatever a node id holds.
    private static func luaString(_ text: String) -> String {
        var quoted = "\""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): quoted += "\\" + String(UnicodeScalar(byte))
            case 0x20...0x7E: quoted += String(UnicodeScalar(byte))
            default:
                let digits = String(byte)
                quoted += "\\" + String(repeating: "0", count: 3 - digits.count) + digits
            }
        }
        return quoted + "\""
    }

    private static func shellWord(_ text: String) -> String {
        "'" + Printable.text(text).split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
            + "'"
    }

    // MARK: For programs

    /// The same as one object: v1 secrets as a key file takes them (`hex:…`), the pre-shared key as hex digits.
    struct Machine: Encodable {
        struct PreSharedKey: Encodable {
            let identity: String
            let key: String
        }

        let id: String
        let profile: String
        let seal: String
        let nodeID: String?
        let keysOf: String?
        let staticIV: String?
        let ivKey: String?
        let dataKey: String?
        let passphrase: String?
        let psk: PreSharedKey?
        let oscore: OSCORESheet.Machine?
        let sessionTopic: String?
        let publish: [DeviceDetails.Filter]
        let subscribe: [DeviceDetails.Filter]
        let deny: [DeviceDetails.Filter]

        private enum CodingKeys: String, CodingKey {
            case id, profile, seal, passphrase, psk, oscore, publish, subscribe, deny
            case nodeID = "node_id"
            case keysOf = "keys_of"
            case staticIV = "static_iv"
            case ivKey = "iv_key"
            case dataKey = "data_key"
            case sessionTopic = "session_topic"
        }
    }

    var machine: Machine {
        let keys = self.device.v1Keys
        func secret(_ bytes: [UInt8]?) -> String? { bytes.map { "hex:" + Hexadecimal.encode($0) } }
        return Machine(
            id: self.device.id.text,
            profile: self.device.profile,
            seal: self.seal.rawValue,
            nodeID: self.device.nodeID,
            keysOf: self.device.keysOf?.text,
            staticIV: secret(keys?.staticIV),
            ivKey: secret(keys?.ivKey),
            dataKey: secret(keys?.dataKey),
            passphrase: secret(keys?.passphrase),
            psk: self.psk.map {
                Machine.PreSharedKey(identity: self.device.id.text, key: Hexadecimal.encode($0))
            },
            oscore: self.oscore?.machine,
            sessionTopic: self.topics.sessionTopic,
            publish: self.topics.publish,
            subscribe: self.topics.subscribe,
            deny: self.topics.deny
        )
    }
}
