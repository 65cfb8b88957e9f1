import OpenSSL
import TestSupport
import Testing

@Suite struct HMACTests {
    struct Vector: Sendable, CustomStringConvertible {
        let description: String
        let hash: Digest.Algorithm
        let key: [UInt8]
        let message: [UInt8]
        let mac: String
    }

    static let vectors = [
        Vector(
            description: "RFC 2202 §3 case 1",
            hash: .sha1,
            key: [UInt8](repeating: 0x0b, count: 20),
            message: Array("Hi There".utf8),
            mac: "b617318655057264e28bc0b6fb378c8ef146be00"
        ),
        Vector(
            description: "RFC 2202 §3 case 2",
            hash: .sha1,
            key: Array("Jefe".utf8),
            message: Array("what do ya want for nothing?".utf8),
            mac: "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        ),
        Vector(
            description: "RFC 2202 §3 case 6, a key longer than a block",
            hash: .sha1,
            key: [UInt8](repeating: 0xaa, count: 80),
            message: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            mac: "aa4ae5e15272d00e95705637ce8a3b55ed402112"
        ),
        Vector(
            description: "RFC 4231 §4.2",
            hash: .sha256,
            key: [UInt8](repeating: 0x0b, count: 20),
            message: Array("Hi There".utf8),
            mac: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        Vector(
            description: "RFC 4231 §4.3",
            hash: .sha256,
            key: Array("Jefe".utf8),
            message: Array("what do ya want for nothing?".utf8),
            mac: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        Vector(
            description: "RFC 4231 §4.7, a key longer than a block",
            hash: .sha256,
            key: [UInt8](repeating: 0xaa, count: 131),
            message: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            mac: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
    ]

    @Test("computes the MACs of the RFCs", arguments: vectors)
    func oneShot(vector: Vector) {
        #expect(hexText(HMAC.authenticate(vector.message, key: vector.key, vector.hash)) == vector.mac)
    }

    @Test("gives the same again after a reset, however the message is cut", arguments: vectors)
    func reuse(vector: Vector) {
        let hmac = HMAC(vector.hash, key: vector.key)
        for cut in 0...vector.message.count {
            hmac.reset()
            update(hmac, vector.message[..<cut])
            update(hmac, vector.message[cut...])
            #expect(finalize(hmac) == vector.mac)
        }
    }

    @Test("tries several endings of one beginning", arguments: vectors)
    func marks(vector: Vector) {
        let hmac = HMAC(vector.hash, key: vector.key)
        hmac.reset()
        update(hmac, vector.message.prefix(3))
        hmac.mark()
        let rest = vector.message.dropFirst(3)
        for ending: ArraySlice<UInt8> in [rest, [], rest] {
            hmac.rewind()
            update(hmac, ending)
            let whole = Array(vector.message.prefix(3)) + ending
            #expect(finalize(hmac) == hexText(HMAC.authenticate(whole, key: vector.key, vector.hash)))
        }
    }

    private func update(_ hmac: HMAC, _ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { hmac.update($0) }
    }

    private func finalize(_ hmac: HMAC) -> String {
        var mac = [UInt8](repeating: 0, count: hmac.count)
        mac.withUnsafeMutableBytes { hmac.finalize(into: $0) }
        return hexText(mac)
    }
}
