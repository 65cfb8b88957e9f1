/// What a datagram looks like by its first bytes, where a listener does not speak it.
package enum MisdirectedProtocol: Sendable {
    /// A record of DTLS 1.0 or 1.2 (RFC 6347 §4.1), on a socket without DTLS.
    case dtls
    /// A message of CoAP (RFC 7252 §3), on a socket with DTLS.
    case coap

    /// `nil`: nothing that the other kind of listener would understand.
    init?(_ datagram: UnsafeRawBufferPointer, isSecure: Bool) {
        guard let first = datagram.first else { return nil }
        // RFC 7983 has the two told apart by this byte.
        switch first {
        case 20...25 where !isSecure && datagram.count >= 13:
            guard datagram[1] == 0xFE, datagram[2] == 0xFD || datagram[2] == 0xFF else { return nil }
            self = .dtls
        case 0x40...0x7F where isSecure && datagram.count >= 4: self = .coap
        default: return nil
        }
    }
}
