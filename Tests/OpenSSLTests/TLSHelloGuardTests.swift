import NIOCore
import Testing

@testable import OpenSSL

@Suite struct TLSHelloGuardTests {
    @Test(
        "decides by the claimed length, however the bytes are cut into records",
        arguments: [
            ([0x16, 3, 1, 0, 4], .undecided),
            ([0x16, 3, 1, 0, 4, 1, 0, 0x40], .undecided),
            ([0x16, 3, 1, 0, 4, 1, 0, 0x40, 0], .passed),
            ([0x16, 3, 1, 0, 4, 1, 0, 0x40, 1], .tooLarge(claimedBytes: 16385)),
            ([0x16, 3, 1, 0x40, 0, 1, 0xFF, 0xFF, 0xFF], .tooLarge(claimedBytes: 0xFFFFFF)),
            (
                [0x16, 3, 1, 0, 1, 1, 0x16, 3, 1, 0, 1, 2, 0x16, 3, 1, 0, 1, 0, 0x16, 3, 1, 0, 1, 0],
                .tooLarge(claimedBytes: 0x20000)
            ),
            ([0x16, 3, 1, 0, 0], .passed),
            ([0x10, 0x0E], .passed),
            ([0x80, 0x2E, 1], .passed),
        ] as [([UInt8], TLSHelloGuard.Verdict)]
    )
    func verdict(bytes: [UInt8], verdict: TLSHelloGuard.Verdict) {
        var whole = TLSHelloGuard()
        whole.receive(ByteBuffer(bytes: bytes).readableBytesView)
        #expect(whole.verdict == verdict)
        var dripped = TLSHelloGuard()
        for byte in bytes { dripped.receive(ByteBuffer(integer: byte).readableBytesView) }
        #expect(dripped.verdict == verdict)
    }

    @Test("a server refuses a huge ClientHello from its header")
    func refused() throws {
        let server = try TLSConnection(context: TLSContext(TLSFixture.keyServer()))
        server.receive(ByteBuffer(bytes: [0x16, 3, 1, 0x40, 0, 1, 1, 0, 0]))
        var plaintext = ByteBuffer()
        let error = #expect(throws: TLSError.self) { try server.readPlaintext(into: &plaintext) }
        #expect(error?.kind == .protocolError)
        #expect(error?.message.contains("65536") == true)
    }
}
