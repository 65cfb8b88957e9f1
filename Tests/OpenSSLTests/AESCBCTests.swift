import OpenSSL
import TestSupport
import Testing

@Suite struct AESCBCTests {
    struct Vector: Sendable, CustomStringConvertible {
        let description: String
        let key: String
        let iv: String
        let plaintext: String
        let ciphertext: String
    }

    static let vectors = [
        Vector(
            description: "RFC 3602 §4 case 1",
            key: "06a9214036b8a15b512e03d534120006",
            iv: "3dafba429d9eb430b422da802c9fac41",
            plaintext: "53696e676c6520626c6f636b206d7367",
            ciphertext: "e353779c1079aeb82708942dbe77181a"
        ),
        Vector(
            description: "RFC 3602 §4 case 2",
            key: "c286696d887c9aa0611bbb3e2025a45a",
            iv: "562e17996d093d28ddb3ba695a2e6f58",
            plaintext: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            ciphertext: "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"
        ),
        Vector(
            description: "SP 800-38A F.2.3, AES-192",
            key: "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            iv: "000102030405060708090a0b0c0d0e0f",
            plaintext: "6bc1bee22e409f96e93d7e117393172a",
            ciphertext: "4f021db243bc633d7178183a9fa071e8"
        ),
        Vector(
            description: "SP 800-38A F.2.5, AES-256",
            key: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            iv: "000102030405060708090a0b0c0d0e0f",
            plaintext: "6bc1bee22e409f96e93d7e117393172a",
            ciphertext: "f58c4c04d6e5f1ba779eabfb5f7bfbd6"
        ),
        Vector(
            description: "no block at all",
            key: "06a9214036b8a15b512e03d534120006",
            iv: "3dafba429d9eb430b422da802c9fac41",
            plaintext: "",
            ciphertext: ""
        ),
    ]

    @Test("encrypts and decrypts, in place and not, as often as wanted", arguments: vectors)
    func published(vector: Vector) {
        let cipher = AESCBC(key: hexBytes(vector.key))
        let iv = hexBytes(vector.iv)
        for _ in 0..<3 {
            var bytes = hexBytes(vector.plaintext)
            bytes.withUnsafeMutableBytes { bytes in
                iv.withUnsafeBytes { cipher.encrypt(UnsafeRawBufferPointer(bytes), into: bytes, iv: $0) }
            }
            #expect(hexText(bytes) == vector.ciphertext)
            var clear = [UInt8](repeating: 0xff, count: bytes.count)
            clear.withUnsafeMutableBytes { clear in
                bytes.withUnsafeBytes { source in
                    iv.withUnsafeBytes { cipher.decrypt(source, into: clear, iv: $0) }
                }
            }
            #expect(hexText(clear) == vector.plaintext)
        }
    }
}
