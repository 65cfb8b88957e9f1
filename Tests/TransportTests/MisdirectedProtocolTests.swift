import TestSupport
import Testing

@testable import Transport

@Suite struct MisdirectedProtocolTests {
    private func look(_ hex: String, isSecure: Bool) -> MisdirectedProtocol? {
        hexBytes(hex).withUnsafeBytes { MisdirectedProtocol($0, isSecure: isSecure) }
    }

    @Test(
        "what is meant for the other kind of listener is known by its first bytes",
        arguments: [
            ("16 FEFF 0000 000000000000 0001 01", MisdirectedProtocol?.some(.dtls), MisdirectedProtocol?.none),
            ("16 FEFD 0000 000000000000 0001 01", .dtls, nil), ("14 FEFD 0000 000000000000 0001 01", .dtls, nil),
            // Cut off, of TLS, of no type.
            ("16 FEFF 0000", nil, nil), ("16 0303 0000 000000000000 0001 01", nil, nil),
            ("1A FEFD 0000 000000000000 0001 01", nil, nil), ("", nil, nil),
            ("40 01 0001", nil, .coap), ("7F FF FFFF", nil, .coap), ("40 01 00", nil, nil), ("80 01 0001", nil, nil),
        ]
    )
    func look(hex: String, plain: MisdirectedProtocol?, secure: MisdirectedProtocol?) {
        #expect(self.look(hex, isSecure: false) == plain)
        #expect(self.look(hex, isSecure: true) == secure)
    }
}
