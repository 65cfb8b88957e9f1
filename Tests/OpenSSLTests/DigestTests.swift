import OpenSSL
import TestSupport
import Testing

@Suite struct DigestTests {
    @Test(
        "computes SHA-256 (FIPS 180-4's examples)",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ]
    )
    func sha256(text: String, digest: String) {
        #expect(hexText(Digest.sha256(Array(text.utf8))) == digest)
    }

    @Test("a context gives the same for each message, whatever came before")
    func reuse() {
        let context = Digest.Context(.sha256)
        var output = [UInt8](repeating: 0, count: 32)
        for message in [[UInt8]("abc".utf8), [], Array("abc".utf8)] {
            message.withUnsafeBytes { input in output.withUnsafeMutableBytes { context.hash(input, into: $0) } }
            #expect(output == Digest.sha256(message))
        }
    }
}
