import Devices
import MQTTCodec
import NIOCore

extension AttachedBrokerConfiguration {
    private static let maxPrefixBytes = 256
    private static let maxFilters = 100
    /// What only an attached broker has.
    static let ownKeys = [
        "address", "subscribe", "commands", "prefix", "ca", "pin", "alpn", "tls_max", "server_name", "client_id",
        "username", "username_file", "password_file", "keep_alive", "connect_timeout", "return_after", "proxy",
        "proxy_username", "proxy_password_file",
    ]
    /// What only a listener has where clients connect; `psk` both have, in different forms.
    private static let keysOfDoors = [
        "bind", "anonymous", "on_denied", "password", "client_ca", "client_crl", "client_name", "path", "origins",
        "oscore", "paths", "multicast", "piggyback_within",
    ]

    /// Whether a `[[listener]]` is one of these.
    static func isMeant(by reader: ConfigurationReader) -> Bool {
        reader.word("protocol") == ListenerConfiguration.Transport.attach.rawValue
    }

    /// Reads one `[[listener]]` with `protocol = "attach"`; `nil` if it lacks what nothing can stand for.
    init?(_ reader: ConfigurationReader, gateway: String, directory: String) {
        for key in Self.keysOfDoors where reader.has(key) {
            reader.error(
                key,
                "a listener with protocol \"attach\" is a client of the broker at address: nobody connects here"
            )
        }
        let addresses = UplinkConfiguration.readAddresses(reader, example: "mqtt://localhost:1883")
        var broker = UplinkConfiguration(
            name: addresses.first?.description ?? "",
            addresses: addresses,
            clientID: gateway + "-attached",
            line: reader.line
        )
        broker.readConnection(reader, directory: directory)
        let subscribe = Self.readFilters("subscribe", reader, gateway: gateway)
        if !reader.has("subscribe") { reader.error("subscribe", "missing; write [\"nodes/#\"]") }
        if let subscribe, subscribe.isEmpty, !reader.hasFailed("subscribe") {
            reader.error("subscribe", "names no topic, so that nothing would come")
        }
        let commands = Self.readFilters("commands", reader, gateway: gateway)
        let prefix = Self.readPrefix(reader)
        reader.finish()
        self.init(broker: broker, subscribe: subscribe ?? [], line: reader.line)
        if let commands { self.commands = commands }
        self.prefix = prefix
        self.checkPrefix(reader)
        guard !addresses.isEmpty else { return nil }
    }

    private static func readFilters(_ key: String, _ reader: ConfigurationReader, gateway: String) -> [TopicFilter]? {
        guard let lines = reader.templates(key) else { return nil }
        guard lines.count <= Self.maxFilters else {
            return reader.refuse(key, "has \(lines.count) entries, over \(Self.maxFilters)")
        }
        for line in lines where line.template.text.utf8.first == UInt8(ascii: "$") {
            reader.error(key, "\"\(line.template)\": topics that begin with $ are each broker's own")
        }
        return lines.map { $0.template.expand(device: nil, gateway: gateway) }
    }

    private static func readPrefix(_ reader: ConfigurationReader) -> String? {
        guard let prefix = reader.text("prefix", maxBytes: Self.maxPrefixBytes) else { return nil }
        guard prefix.utf8.last == UInt8(ascii: "/"), prefix.utf8.first != UInt8(ascii: "$"),
            (try? TopicName(validating: ByteBuffer(string: prefix))) != nil
        else {
            return reader.refuse("prefix", "expected the beginning of a topic up to a slash, such as \"opened/\"")
        }
        return prefix
    }

    /// What goes back must not come in again.
    private func checkPrefix(_ reader: ConfigurationReader) {
        guard let prefix = self.prefix else { return }
        for filter in self.subscribe {
            guard let returned = try? TopicFilter(prefix + filter.description) else {
                reader.error("prefix", "makes topics of \"\(filter)\" too long or too deep")
                return
            }
            if let taken = self.subscribe.first(where: { $0.overlaps(returned) }) {
                reader.error(
                    "prefix",
                    "a loop: what goes back to \"\(returned)\" would come in again by subscribe, which has \"\(taken)\""
                )
                return
            }
        }
    }
}
