/// Where messages come from and go to: an endpoint (RFC 7252 §1.2) as the machines know it. Only compared, never looked into.
///
/// Over DTLS the session is part of it, so that what happens under one session is never mistaken for that of another.
/// It is never who somebody is: addresses can be forged.
package struct CoAPPeer: Hashable, Sendable {
    /// The address as 16 bytes in network order, an IPv4 address in its mapped form (RFC 4291 §2.5.5.2).
    package let addressHigh: UInt64
    package let addressLow: UInt64
    package let port: UInt16
    /// The owner's number of the socket.
    package let listener: UInt16
    /// The owner's number of the address of its own that the peer knows, where it has several; 0: any.
    package let local: UInt16
    /// The owner's number of the DTLS session; 0: plain CoAP.
    package let session: UInt32

    package init(
        addressHigh: UInt64,
        addressLow: UInt64,
        port: UInt16,
        listener: UInt16 = 0,
        local: UInt16 = 0,
        session: UInt32 = 0
    ) {
        self.addressHigh = addressHigh
        self.addressLow = addressLow
        self.port = port
        self.listener = listener
        self.local = local
        self.session = session
    }

    /// - Parameter ipv4: In host order.
    package init(ipv4: UInt32, port: UInt16, listener: UInt16 = 0, session: UInt32 = 0) {
        self.init(
            addressHigh: 0,
            addressLow: 0xFFFF_0000_0000 | UInt64(ipv4),
            port: port,
            listener: listener,
            session: session
        )
    }

    /// Whether a handshake has shown that the peer receives at its address.
    package var isSecure: Bool { self.session != 0 }
}
