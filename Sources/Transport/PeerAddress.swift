package import NIOCore

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The network address of a peer without its port: what limits by address count.
///
/// Never an identity: addresses are claimed, not proven.
package struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
    /// As text, in the form of `inet_ntop`; "unknown" for a socket that has none.
    package let text: String

    package init(_ address: SocketAddress?) {
        self.text = address?.ipAddress ?? "unknown"
    }

    init(_ address: DatagramAddress) {
        self.text = address.text
    }

    package var description: String { self.text }

    /// What limits count by: of an IPv6 address its /64, within which one machine may call itself what it likes. An IPv4
    /// address stays what it is, also one that an IPv6 socket shows as `::ffff:…`, and so does one of the local link
    /// (`fe80::/10`): all neighbours share that prefix.
    package var network: String {
        guard self.text.contains(":") else { return self.text }
        var bytes = [UInt8](repeating: 0, count: 16)
        guard inet_pton(AF_INET6, self.text, &bytes) == 1 else { return self.text }
        if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF {
            return bytes[12...].map { String($0) }.joined(separator: ".")
        }
        if bytes[0] == 0xFE, bytes[1] & 0xC0 == 0x80 { return self.text }
        let groups = stride(from: 0, to: 8, by: 2).map {
            String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
        }
        return groups.joined(separator: ":") + "::/64"
    }
}
