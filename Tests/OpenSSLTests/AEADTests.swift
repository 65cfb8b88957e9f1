import OpenSSL
import TestSupport
import Testing

@Suite struct AEADTests {
    struct Vector: Sendable, CustomStringConvertible {
        let description: String
        let aead: AEAD
        let key: [UInt8]
        let nonce: [UInt8]
        let aad: [UInt8]
        let plaintext: [UInt8]
        let sealed: [UInt8]

        init(
            _ text: String,
            _ aead: AEAD,
            key: String,
            nonce: String,
            aad: String,
            _ plaintext: [UInt8],
            _ sealed: String
        ) {
            self.description = text
            self.aead = aead
            self.key = hexBytes(key)
            self.nonce = hexBytes(nonce)
            self.aad = hexBytes(aad)
            self.plaintext = plaintext
            self.sealed = hexBytes(sealed)
        }
    }

    static let gcmKey = "feffe9928665731c6d6a8f9467308308"
    static let gcmAAD = "feedfacedeadbeeffeedfacedeadbeefabaddad2"
    static let gcmPlaintext = hexBytes(
        """
        d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
        1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39
        """
    )
    static let ccmKey = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
    static let ccmNonce = "00000003020100a0a1a2a3a4a5"

    static let vectors = [
        Vector(
            "GCM specification, case 4",
            .aes128GCM,
            key: gcmKey,
            nonce: "cafebabefacedbaddecaf888",
            aad: gcmAAD,
            gcmPlaintext,
            """
            42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
            21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091 5bc94fbc3221a5db94fae95ae7121a47
            """
        ),
        Vector(
            "GCM specification, case 1: nothing",
            .aes128GCM,
            key: String(repeating: "00", count: 16),
            nonce: String(repeating: "00", count: 12),
            aad: "",
            [],
            "58e2fccefa7e3061367f1d57a4e7455a"
        ),
        Vector(
            "GCM specification, case 16",
            .aes256GCM,
            key: gcmKey + gcmKey,
            nonce: "cafebabefacedbaddecaf888",
            aad: gcmAAD,
            gcmPlaintext,
            """
            522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
            8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662 76fc6ece0f4e1768cddf8853bb2d551b
            """
        ),
        Vector(
            "RFC 3610 §8, packet vector 1",
            .aes128CCM8,
            key: ccmKey,
            nonce: ccmNonce,
            aad: "0001020304050607",
            Array(8...30),
            "588c979a61c663d2f066d0c2c0f989806d5f6b61dac384 17e8d12cfdf926e0"
        ),
        Vector(
            "the same with a tag of 16 bytes",
            .aes128CCM16,
            key: ccmKey,
            nonce: ccmNonce,
            aad: "0001020304050607",
            Array(8...30),
            "588c979a61c663d2f066d0c2c0f989806d5f6b61dac384 509da654e32deac369c2dae7133cb08d"
        ),
        Vector(
            "CCM of nothing, with associated data",
            .aes128CCM8,
            key: ccmKey,
            nonce: ccmNonce,
            aad: "0001020304050607",
            [],
            "e4288ac378000ff5"
        ),
        Vector(
            "CCM of nothing at all",
            .aes128CCM16,
            key: ccmKey,
            nonce: ccmNonce,
            aad: "",
            [],
            "7957096160b4beb4d982e743f11a87c1"
        ),
        Vector(
            "RFC 8439 §2.8.2",
            .chaCha20Poly1305,
            key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            nonce: "070000004041424344454647",
            aad: "50515253c0c1c2c3c4c5c6c7",
            Array(
                ("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
                    + "sunscreen would be it.").utf8
            ),
            """
            d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b
            1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
            3ff4def08e4b7a9de576d26586cec64b6116 1ae10b594f09e26a7e902ecbd0600691
            """
        ),
    ]

    @Test("seals and opens the published vectors", arguments: vectors)
    func published(vector: Vector) {
        let sealed = vector.aead.seal(vector.plaintext, key: vector.key, nonce: vector.nonce, aad: vector.aad)
        #expect(sealed == vector.sealed)
        #expect(open(vector, sealed) == vector.plaintext)
    }

    @Test("refuses any changed byte, other associated data, another nonce or key, and what is cut", arguments: vectors)
    func refuses(vector: Vector) {
        for index in vector.sealed.indices {
            var changed = vector.sealed
            changed[index] ^= 1
            #expect(open(vector, changed) == nil)
        }
        for count in 0..<vector.sealed.count { #expect(open(vector, Array(vector.sealed.prefix(count))) == nil) }
        let aead = vector.aead
        var other = vector.nonce
        other[0] ^= 1
        #expect(aead.open(vector.sealed, key: vector.key, nonce: other, aad: vector.aad) == nil)
        #expect(aead.open(vector.sealed, key: vector.key, nonce: vector.nonce, aad: vector.aad + [0]) == nil)
        other = vector.key
        other[0] ^= 1
        #expect(aead.open(vector.sealed, key: other, nonce: vector.nonce, aad: vector.aad) == nil)
    }

    private func open(_ vector: Vector, _ sealed: [UInt8]) -> [UInt8]? {
        vector.aead.open(sealed, key: vector.key, nonce: vector.nonce, aad: vector.aad)
    }
}
