/// Where an uplink connects to: `mqtts://host:port`, `wss://host:port/path`.
package struct UplinkAddress: Hashable, Sendable, CustomStringConvertible {
    /// How MQTT is carried there.
    private struct Scheme {
        let name: String
        let isTLS: Bool
        let isWebSocket: Bool
        let port: Int

        static let all = [
            Scheme(name: "mqtts", isTLS: true, isWebSocket: false, port: 8883),
            Scheme(name: "mqtt", isTLS: false, isWebSocket: false, port: 1883),
            Scheme(name: "wss", isTLS: true, isWebSocket: true, port: 443),
            Scheme(name: "ws", isTLS: false, isWebSocket: true, port: 80),
        ]
    }

    /// Long enough for a query that is signed.
    private static let maxPathBytes = 2048
    private static let defaultPath = "/mqtt"

    /// Whether it is `mqtts` or `wss`.
    package var isTLS: Bool
    /// The host and the port.
    package var address: NetworkAddress
    /// The path of the WebSocket's request, with a query if there is one; `nil` for `mqtt` and `mqtts`.
    package var path: String?

    /// An address that is known to be right.
    package init(isTLS: Bool, address: NetworkAddress, path: String? = nil) {
        self.isTLS = isTLS
        self.address = address
        self.path = path
    }

    /// Reads `mqtt://host[:1883]`, `mqtts://host[:8883]`, `ws://host[:80][/mqtt]` and `wss://host[:443][/mqtt]`. What is wrong
    /// is told without repeating a password that someone put before an `@`.
    package init(_ text: String) throws(ConfigurationValueError) {
        let shown = TOMLPath.printable(text)
        guard let scheme = Scheme.all.first(where: { text.lowercased().hasPrefix($0.name + "://") }) else {
            guard !text.contains("@") else { throw Self.noPassword }
            let names = "\"mqtts://\", \"mqtt://\", \"wss://\" or \"ws://\""
            throw ConfigurationValueError("\(shown) must start with \(names)")
        }
        let rest = text.dropFirst(scheme.name.utf8.count + 3)
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.contains("@"), scheme.isWebSocket || !rest.contains("@") else { throw Self.noPassword }
        let path = String(rest.dropFirst(authority.count))
        guard scheme.isWebSocket || path.isEmpty else {
            throw ConfigurationValueError("\(shown): nothing may follow the host and the port")
        }
        self.isTLS = scheme.isTLS
        self.address = try NetworkAddress(String(authority), defaultPort: scheme.port)
        guard self.address.port > 0 else {
            throw ConfigurationValueError("\(shown): the port must be a number, 1 to 65535")
        }
        guard scheme.isWebSocket else { return }
        self.path = path.isEmpty ? Self.defaultPath : path
        guard path.isEmpty || path.utf8.first == UInt8(ascii: "/"), path.utf8.count <= Self.maxPathBytes,
            path.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") })
        else {
            throw ConfigurationValueError("expected a path such as /mqtt behind the port: ASCII without spaces and #")
        }
    }

    private static let noPassword = ConfigurationValueError(
        "has no place for a password; use username and password_file"
    )

    /// `mqtts`, `mqtt`, `wss` or `ws`.
    package var scheme: String { (self.path == nil ? "mqtt" : "ws") + (self.isTLS ? "s" : "") }

    /// As it is written.
    package var description: String { "\(self.scheme)://\(self.address)\(self.path ?? "")" }
}
