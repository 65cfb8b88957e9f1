import OpenSSL
import TestSupport
import Testing

@Suite struct ScryptTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let password: String
        let salt: String
        let cost: (logN: UInt8, r: UInt8, p: UInt8)
        let key: String
    }

    /// RFC 7914 §12, but for the last, which takes a gibibyte.
    static let vectors = [
        Vector(
            testDescription: "no password and no salt",
            password: "",
            salt: "",
            cost: (4, 1, 1),
            key: """
                77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442
                fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906
                """
        ),
        Vector(
            testDescription: "N = 1024, p = 16",
            password: "password",
            salt: "NaCl",
            cost: (10, 8, 16),
            key: """
                fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162
                2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640
                """
        ),
        Vector(
            testDescription: "the standard price",
            password: "pleaseletmein",
            salt: "SodiumChloride",
            cost: (14, 8, 1),
            key: """
                7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2
                d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887
                """
        ),
    ]

    @Test("derives what RFC 7914 says", arguments: vectors)
    func published(vector: Vector) throws {
        let parameters = try #require(
            Scrypt.Parameters(logN: vector.cost.logN, r: vector.cost.r, p: vector.cost.p)
        )
        let key = try Scrypt(parameters).derive(
            password: Array(vector.password.utf8),
            salt: Array(vector.salt.utf8),
            count: 64
        )
        #expect(key == hexBytes(vector.key))
    }

    @Test("the standard price is N = 2^14, r = 8, p = 1, and takes 16 MiB")
    func standard() {
        #expect(Scrypt.Parameters.standard == Scrypt.Parameters(logN: 14, r: 8, p: 1))
        #expect(Scrypt.Parameters.standard.memoryBytes == 16 << 20)
    }

    @Test(
        "a price that is no price, or over 64 MiB, is none",
        arguments: [
            (0, 8, 1), (14, 0, 1), (14, 8, 0), (17, 8, 1), (21, 1, 1), (255, 255, 255), (16, 1, 1), (14, 33, 1),
        ]
    )
    func tooDear(logN: UInt8, r: UInt8, p: UInt8) {
        #expect(Scrypt.Parameters(logN: logN, r: r, p: p) == nil)
    }

    @Test("a password is taken with all its bytes, NUL included")
    func bytes() throws {
        let parameters = try #require(Scrypt.Parameters(logN: 4, r: 1, p: 1))
        let scrypt = Scrypt(parameters)
        let keys = try [[], [0], [0, 0], [0x61], [0x61, 0], [0x61, 0, 0x62]].map {
            try scrypt.derive(password: $0, salt: [1], count: 16)
        }
        // HMAC pads a short key with zeros, so that those which end with some are the same.
        #expect(keys[0] == keys[1] && keys[1] == keys[2] && keys[3] == keys[4])
        #expect(keys[0] != keys[3] && keys[3] != keys[5])
    }
}
