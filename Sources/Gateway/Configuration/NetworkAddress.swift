/// A host and a port, as `bind` and `address` name them.
package struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or an address; an IPv6 address without its brackets.
    package var host: String
    /// 0 to 65535; 0, for `bind` only: any free port.
    package var port: Int

    /// A host and a port that are known to be right.
    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Whether only this machine can reach it, as far as the text tells.
    package var isLoopback: Bool {
        self.host == "localhost" || self.host == "::1" || self.host.hasPrefix("127.") && Self.isIPv4(self.host)
    }

    /// Whether it stands for all addresses of this machine.
    package var isAnyAddress: Bool { self.host == "0.0.0.0" || self.host == "::" }

    /// Reads `host:port` and `[ipv6]:port`; without a port, `defaultPort` if there is one.
    package init(_ text: String, defaultPort: Int? = nil) throws(ConfigurationValueError) {
        let shown = TOMLPath.printable(text)
        let rest: Substring
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw ConfigurationValueError("\(shown) lacks a \"]\"") }
            self.host = String(text[text.index(after: text.startIndex)..<end])
            guard Self.isIPv6(self.host) else {
                throw ConfigurationValueError("\(shown): what is between the brackets is no IPv6 address")
            }
            rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else {
                throw ConfigurationValueError("\(shown): after the \"]\" comes \":\" and a port")
            }
        } else {
            let colons = text.utf8.count { $0 == UInt8(ascii: ":") }
            guard colons <= 1 else {
                throw ConfigurationValueError("\(shown): an IPv6 address is written in brackets, \"[::]:1883\"")
            }
            let end = text.firstIndex(of: ":") ?? text.endIndex
            self.host = String(text[..<end])
            rest = text[end...]
            guard !self.host.isEmpty else {
                let cure = "for all addresses of this machine write \"0.0.0.0\" or \"[::]\""
                throw ConfigurationValueError("\(shown) has no host; \(cure)")
            }
            guard self.host.utf8.allSatisfy(Self.isHostByte), self.host.utf8.count <= 253 else {
                throw ConfigurationValueError("\(shown) holds a character that a host name can't have")
            }
            let looksNumeric = self.host.utf8.allSatisfy { $0 == UInt8(ascii: ".") || Self.isDigit($0) }
            guard !looksNumeric || Self.isIPv4(self.host) else {
                throw ConfigurationValueError("\(shown): \"\(self.host)\" is no IPv4 address")
            }
        }
        if rest.isEmpty, let defaultPort {
            self.port = defaultPort
            return
        }
        let digits = rest.dropFirst()
        guard !digits.isEmpty else { throw ConfigurationValueError("\(shown) has no port; write \"host:port\"") }
        guard digits.utf8.allSatisfy(Self.isDigit), digits.utf8.count <= 5, let port = Int(digits), port <= 65_535
        else {
            throw ConfigurationValueError("\(shown): the port must be a number, 0 to 65535")
        }
        self.port = port
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        TOMLPath.isBareKeyByte(byte) || byte == UInt8(ascii: ".")
    }

    private static func isIPv4(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { (1...3).contains($0.utf8.count) && UInt8($0) != nil }
    }

    /// The characters of one, and few enough; the system has the last word when it is bound or connected to. A zone
    /// (`fe80::1%eth0`) may follow.
    private static func isIPv6(_ text: String) -> Bool {
        let address = text.prefix { $0 != "%" }
        guard (2...45).contains(address.utf8.count), text.utf8.count <= 64 else { return false }
        return address.utf8.count { $0 == UInt8(ascii: ":") } >= 2
            && address.utf8.allSatisfy {
                $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") || Hexadecimal.value(of: $0) != nil
            }
    }

    /// As it is written, with brackets where they belong.
    package var description: String {
        self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }
}
