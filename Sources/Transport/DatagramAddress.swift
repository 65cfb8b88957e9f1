import CoAPEndpoint
import NIOCore
import OpenSSL

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The other end of a datagram as numbers: what the machines know peers by, without a string or an allocation.
struct DatagramAddress: Hashable, Sendable {
    /// The address as 16 bytes in network order, an IPv4 address in its mapped form (RFC 4291 §2.5.5.2). In one of the local link
    /// (`fe80::/10`), whose bits 32 to 63 are always zero, these hold the number of the interface.
    let high: UInt64
    let low: UInt64
    let port: UInt16

    private static let mapped: UInt64 = 0xFFFF << 32

    init(high: UInt64, low: UInt64, port: UInt16) {
        self.high = high
        self.low = low
        self.port = port
    }

    /// - Parameter scope: Number of the interface, for an address of the local link.
    init(high: UInt64, low: UInt64, port: UInt16, scope: UInt32) {
        let isLinkLocal = Self.isLinkLocal(high)
        self.init(high: isLinkLocal ? high & ~0xFFFF_FFFF | UInt64(scope) : high, low: low, port: port)
    }

    init(_ peer: CoAPPeer) { self.init(high: peer.addressHigh, low: peer.addressLow, port: peer.port) }
    init(_ address: DTLSAddress) { self.init(high: address.high, low: address.low, port: address.port) }

    /// `nil`: not an address of IP.
    init?(_ address: SocketAddress) {
        let isIPv6 = address.protocol == .inet6
        guard isIPv6 || address.protocol == .inet else { return nil }
        self = address.withSockAddr { pointer, count in
            let bytes = UnsafeRawBufferPointer(start: pointer, count: count)
            let port = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            guard isIPv6 else {
                let address = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
                return Self(high: 0, low: Self.mapped | UInt64(address), port: port)
            }
            return Self(
                high: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
                port: port,
                scope: bytes.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
            )
        }
    }

    private static func isLinkLocal(_ high: UInt64) -> Bool { high >> 54 == 0xFE80 >> 6 }

    var isIPv4: Bool { self.high == 0 && self.low >> 32 == 0xFFFF }

    /// Of a group or of everybody on the link: nobody's own.
    var isMulticast: Bool {
        self.isIPv4
            ? self.low & 0xF000_0000 == 0xE000_0000 || self.low & 0xFFFF_FFFF == 0xFFFF_FFFF
            : self.high >> 56 == 0xFF
    }

    /// `0.0.0.0` or `::`.
    var isUnspecified: Bool { self.high == 0 && (self.low == 0 || self.low == Self.mapped) }

    /// Number of the interface of an address of the local link; 0: of any other.
    var scope: UInt32 { Self.isLinkLocal(self.high) ? UInt32(truncatingIfNeeded: self.high) : 0 }
    /// As it is on the wire.
    var wireHigh: UInt64 { Self.isLinkLocal(self.high) ? self.high & ~0xFFFF_FFFF : self.high }

    /// In the form of `inet_ntop`, without the port.
    var text: String {
        if self.isIPv4 {
            return (0..<4).map { String(UInt8(truncatingIfNeeded: self.low >> (24 - 8 * $0))) }.joined(separator: ".")
        }
        var bytes = [self.wireHigh.bigEndian, self.low.bigEndian]
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(AF_INET6, &bytes, &text, socklen_t(text.count)) != nil else { return "unknown" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// - Parameter local: Number of the gateway's own address.
    func dtls(local: UInt16) -> DTLSAddress {
        DTLSAddress(high: self.high, low: self.low, port: self.port, local: local)
    }

    /// - Parameter local: Number of the gateway's own address.
    func peer(listener: UInt16, local: UInt16, session: UInt32 = 0) -> CoAPPeer {
        CoAPPeer(
            addressHigh: self.high,
            addressLow: self.low,
            port: self.port,
            listener: listener,
            local: local,
            session: session
        )
    }
}
