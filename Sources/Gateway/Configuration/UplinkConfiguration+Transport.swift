import NIOCore

/// The keys about the way to the broker: which address when, through what, and how the broker is told.
extension UplinkConfiguration {
    /// Longest time in `return_after`.
    private static let maxReturnAfter: Duration = .seconds(30 * 86_400)
    /// Most of what ALPN may offer, and most pins.
    private static let maxListed = 16

    /// Reads what uplinks and attached brokers have in common.
    mutating func readTransport(_ reader: ConfigurationReader, directory: String) {
        if let time = reader.duration("return_after", in: .zero...Self.maxReturnAfter) {
            self.returnAfter = time == .zero ? nil : time
        }
        self.alpn = Self.readProtocols(reader)
        self.pins = Self.readPins(reader)
        self.proxy = Self.readProxy(reader, directory: directory)
    }

    private static func readProtocols(_ reader: ConfigurationReader) -> [String] {
        guard let names = reader.strings("alpn", orOne: true, atMost: Self.maxListed) else { return [] }
        if names.isEmpty { reader.error("alpn", "names no protocol") }
        for name in names where !(1...255).contains(name.text.utf8.count) {
            reader.document.error(name.path, "expected the name of a protocol such as \"mqtt\", of 1 to 255 bytes")
        }
        return names.map(\.text)
    }

    private static func readPins(_ reader: ConfigurationReader) -> [[UInt8]] {
        guard let pins = reader.strings("pin", orOne: true, atMost: Self.maxListed) else { return [] }
        if pins.isEmpty { reader.error("pin", "names no key") }
        return pins.compactMap { pin in
            let prefix = "sha256:"
            guard pin.text.hasPrefix(prefix), let digest = Base64.decode(pin.text.dropFirst(prefix.utf8.count)),
                digest.count == 32
            else {
                reader.document.error(pin.path, "expected \"sha256:\" and 32 bytes in base64: the hash of a public key")
                return nil
            }
            return digest
        }
    }

    private static func readProxy(_ reader: ConfigurationReader, directory: String) -> Proxy? {
        let username = reader.text("proxy_username", maxBytes: 255)
        let passwordFile = reader.file("proxy_password_file", .secret, directory: directory)
        for key in ["proxy_username", "proxy_password_file"].filter(reader.has) where !reader.has("proxy") {
            reader.error(key, "there is no proxy to tell")
        }
        if reader.has("proxy_username") != reader.has("proxy_password_file"), reader.has("proxy") {
            let isNamed = reader.has("proxy_username")
            let (missing, present) =
                isNamed ? ("proxy_password_file", "proxy_username") : ("proxy_username", "proxy_password_file")
            reader.error(missing, "missing; \(present) needs it")
        }
        // RFC 7617 §2: the first colon ends the user name.
        if let username, username.contains(":") { reader.error("proxy_username", "can't hold a colon") }
        guard let text = reader.text("proxy", maxBytes: 300) else { return nil }
        guard !text.contains("@") else {
            return reader.refuse("proxy", "has no place for a password; use proxy_username and proxy_password_file")
        }
        guard text.lowercased().hasPrefix("http://") else {
            return reader.refuse("proxy", "\(TOMLPath.printable(text)) must start with \"http://\"")
        }
        var rest = text.dropFirst(7)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        do {
            let address = try NetworkAddress(String(rest))
            guard address.port > 0 else { return reader.refuse("proxy", "the port must be a number, 1 to 65535") }
            var proxy = Proxy(address: address)
            proxy.username = username
            proxy.passwordFile = passwordFile
            return proxy
        } catch {
            return reader.refuse("proxy", error.description)
        }
    }

    /// `bind`: of uplinks only, for with a listener the word means something else.
    static func readBind(_ reader: ConfigurationReader) -> String? {
        guard let text = reader.text("bind", maxBytes: 64) else { return nil }
        guard (try? SocketAddress(ipAddress: text, port: 0)) != nil else {
            let problem =
                "\(TOMLPath.printable(text)) is no address of this machine, such as \"192.0.2.7\", without a port"
            return reader.refuse("bind", problem)
        }
        return text
    }
}
