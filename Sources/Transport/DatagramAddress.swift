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

    init(_ peer: CoAPPeer) { self.init(high: peer.addressHigh, low: peer.addressLow, port: peer.port) }
    init(_ address: DTLSAddress) { self.init(high: address.high, low: address.low, port: address.port) }

    /// Bytes of a socket's address, family and all, as the system lays them out.
    private typealias IPv4Bytes = (family: UInt16, port: UInt16, address: UInt32, padding: UInt64)
    private typealias IPv6Bytes = (
        family: UInt16, port: UInt16, flow: UInt32,
        address: (UInt32, UInt32, UInt32, UInt32), scope: UInt32
    )

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
            var high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            if Self.isLinkLocal(high) {
                high = high & ~0xFFFF_FFFF | UInt64(bytes.loadUnaligned(fromByteOffset: 24, as: UInt32.self))
            }
            return Self(high: high, low: low, port: port)
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

    /// As a socket takes it.
    ///
    /// - Parameter isIPv6: The socket is one of IPv6, and takes IPv4 addresses in their mapped form.
    func socketAddress(isIPv6: Bool) -> SocketAddress {
        if self.isIPv4, !isIPv6 {
            let bytes: IPv4Bytes = (
                UInt16(AF_INET), self.port.bigEndian, UInt32(truncatingIfNeeded: self.low).bigEndian, 0
            )
            return SocketAddress(unsafeBitCast(bytes, to: sockaddr_in.self))
        }
        let isLinkLocal = Self.isLinkLocal(self.high)
        let high = isLinkLocal ? self.high & ~0xFFFF_FFFF : self.high
        let words = (high >> 32, high, self.low >> 32, self.low)
        let bytes: IPv6Bytes = (
            UInt16(AF_INET6), self.port.bigEndian, 0,
            (
                UInt32(truncatingIfNeeded: words.0).bigEndian, UInt32(truncatingIfNeeded: words.1).bigEndian,
                UInt32(truncatingIfNeeded: words.2).bigEndian, UInt32(truncatingIfNeeded: words.3).bigEndian
            ),
            isLinkLocal ? UInt32(truncatingIfNeeded: self.high) : 0
        )
        return SocketAddress(unsafeBitCast(bytes, to: sockaddr_in6.self))
    }

    /// In the form of `inet_ntop`, without the port.
    var text: String {
        if self.isIPv4 {
            return (0..<4).map { String(UInt8(truncatingIfNeeded: self.low >> (24 - 8 * $0))) }.joined(separator: ".")
        }
        return self.socketAddress(isIPv6: true).ipAddress ?? "unknown"
    }

    var dtls: DTLSAddress { DTLSAddress(high: self.high, low: self.low, port: self.port) }

    func peer(listener: UInt16, session: UInt32 = 0) -> CoAPPeer {
        CoAPPeer(addressHigh: self.high, addressLow: self.low, port: self.port, listener: listener, session: session)
    }
}
