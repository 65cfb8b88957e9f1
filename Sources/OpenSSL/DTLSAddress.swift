/// Where a datagram comes from, as the DTLS server knows it: only compared, and put into cookies.
package struct DTLSAddress: Hashable, Sendable {
    /// The address as 16 bytes in network order, an IPv4 address in its mapped form (RFC 4291 §2.5.5.2).
    package let high: UInt64
    package let low: UInt64
    package let port: UInt16
    /// The owner's number of the address of its own that the peer knows; 0: any.
    package let local: UInt16

    package init(high: UInt64, low: UInt64, port: UInt16, local: UInt16 = 0) {
        self.local = local
        self.high = high
        self.low = low
        self.port = port
    }

    /// What one machine may call itself by: an IPv4 address, or the /64 of an IPv6 address.
    var network: UInt64 { self.high == 0 ? self.low : self.high }
}
