package import NIOCore
internal import OpenSSL

/// How the first three fields of a v1 payload are written.
package enum V1Form: String, Sendable, CaseIterable {
    /// As hex digits, lower case.
    case hex
    /// As they are.
    case raw
}

extension V1Cipher {
    /// Seals one message as a node does.
    ///
    /// - Parameters:
    ///   - nodeID: 1 to 64 bytes without a zero.
    ///   - sessionID: What the receiver published.
    ///   - iv: Exactly 16 bytes, never used before with these keys; `nil` takes 16 random letters, digits, `-` and `_`.
    /// - Throws: ``V1KeysError`` about `node_id`, or about `iv`.
    package static func seal(
        _ data: ByteBuffer,
        keys: V1Keys,
        nodeID: [UInt8],
        sessionID: [UInt8],
        iv: [UInt8]? = nil,
        form: V1Form = .hex
    ) throws(V1KeysError) -> ByteBuffer {
        try V1Member.check(nodeID: nodeID)
        let iv = iv ?? self.randomIV()
        guard iv.count == AESCBC.blockBytes else {
            throw V1KeysError(field: "iv", problem: .length(iv.count, allowed: [AESCBC.blockBytes]))
        }
        let data = Array(data.readableBytesView)
        let dataCipher = AESCBC(key: keys.dataKey)
        let fields = [
            self.encrypt(iv, with: AESCBC(key: keys.ivKey), iv: keys.staticIV),
            self.encrypt(nodeID, with: dataCipher, iv: iv),
            self.encrypt(data, with: dataCipher, iv: iv),
        ]
        let mac = HMAC.authenticate(nodeID + iv + data + sessionID, key: keys.passphrase, .sha1)
        var payload = ByteBuffer()
        for field in fields {
            payload.writeBytes(form == .hex ? Hex.encode(field) : field)
            payload.writeInteger(UInt8(ascii: ","))
        }
        payload.writeBytes(Hex.encode(mac))
        return payload
    }

    /// Bytes that ``seal(_:keys:nodeID:sessionID:iv:form:)`` makes of so much data in hex.
    package static func sealedBytes(of data: Int, nodeIDBytes: Int) -> Int {
        func field(_ bytes: Int) -> Int { self.blocks(for: bytes) * AESCBC.blockBytes * 2 + 1 }
        return field(AESCBC.blockBytes) + field(nodeIDBytes) + field(data) + 40
    }

    private static func encrypt(_ text: [UInt8], with cipher: AESCBC, iv: [UInt8]) -> [UInt8] {
        var padded = text + [UInt8](repeating: 0, count: self.blocks(for: text.count) * AESCBC.blockBytes - text.count)
        padded.withUnsafeMutableBytes { bytes in
            iv.withUnsafeBytes { cipher.encrypt(UnsafeRawBufferPointer(bytes), into: bytes, iv: $0) }
        }
        return padded
    }

    /// 96 random bits in printable characters, which every receiver of this format takes.
    private static func randomIV() -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        return SecureRandom.bytes(count: AESCBC.blockBytes).map { alphabet[Int($0 & 63)] }
    }
}
