import OpenSSL
import TestSupport
import Testing

@Suite struct HKDFTests {
    struct Vector: Sendable, CustomStringConvertible {
        let description: String
        let ikm: [UInt8]
        let salt: [UInt8]
        let info: [UInt8]
        let okm: String
    }

    static let vectors = [
        Vector(
            description: "RFC 5869 §A.1",
            ikm: [UInt8](repeating: 0x0b, count: 22),
            salt: Array(0...0x0c),
            info: Array(0xf0...0xf9),
            okm: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        ),
        Vector(
            description: "RFC 5869 §A.2",
            ikm: Array(0...0x4f),
            salt: Array(0x60...0xaf),
            info: Array(0xb0...0xff),
            okm: """
                b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09
                da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87
                """
        ),
        Vector(
            description: "RFC 5869 §A.3, no salt and no info",
            ikm: [UInt8](repeating: 0x0b, count: 22),
            salt: [],
            info: [],
            okm: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        ),
    ]

    @Test("derives what RFC 5869 says, and prefixes of it for shorter keys", arguments: vectors)
    func published(vector: Vector) {
        let expected = hexBytes(vector.okm)
        for count in [1, 31, 32, 33, expected.count] {
            let derived = HKDF.sha256(ikm: vector.ikm, salt: vector.salt, info: vector.info, count: count)
            #expect(derived == Array(expected.prefix(count)))
        }
    }

    @Test("derives as much as there is")
    func longest() {
        #expect(HKDF.sha256(ikm: [1], salt: [2], info: [3], count: HKDF.maxBytes).count == 8160)
    }
}
