internal import OpenSSL

/// The secrets that a v1 node and the gateway share. Several devices may have the same ones.
///
/// Not shown by any description. Two values are equal when they are the same key set.
package struct V1Keys: Hashable, Sendable {
    /// IV under which the message's IV is encrypted: 16 bytes.
    package let staticIV: [UInt8]
    /// Key of the message's IV: 16, 24 or 32 bytes.
    package let ivKey: [UInt8]
    /// Key of node id and data: 16, 24 or 32 bytes.
    package let dataKey: [UInt8]
    /// Key of the HMAC: 1 byte or more.
    package let passphrase: [UInt8]

    /// - Throws: ``V1KeysError`` when a length is not one that the format has.
    package init(
        staticIV: [UInt8],
        ivKey: [UInt8],
        dataKey: [UInt8],
        passphrase: [UInt8]
    ) throws(V1KeysError) {
        guard staticIV.count == AESCBC.blockBytes else {
            throw V1KeysError(field: "static_iv", problem: .length(staticIV.count, allowed: [AESCBC.blockBytes]))
        }
        for (field, key) in [("iv_key", ivKey), ("data_key", dataKey)] where !AESCBC.keyLengths.contains(key.count) {
            throw V1KeysError(field: field, problem: .length(key.count, allowed: AESCBC.keyLengths))
        }
        guard !passphrase.isEmpty else { throw V1KeysError(field: "passphrase", problem: .empty) }
        self.staticIV = staticIV
        self.ivKey = ivKey
        self.dataKey = dataKey
        self.passphrase = passphrase
    }

    /// New keys for AES-128, all bytes random; the passphrase is 32 lowercase hex characters.
    package static func random() -> V1Keys {
        V1Keys(
            unchecked: SecureRandom.bytes(count: 16),
            ivKey: SecureRandom.bytes(count: 16),
            dataKey: SecureRandom.bytes(count: 16),
            passphrase: Hex.encode(SecureRandom.bytes(count: 16))
        )
    }

    private init(unchecked staticIV: [UInt8], ivKey: [UInt8], dataKey: [UInt8], passphrase: [UInt8]) {
        self.staticIV = staticIV
        self.ivKey = ivKey
        self.dataKey = dataKey
        self.passphrase = passphrase
    }
}

extension V1Keys: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Shows nothing of the keys.
    package var description: String { "V1Keys(redacted)" }
    /// Shows nothing of the keys.
    package var debugDescription: String { self.description }
    /// Shows nothing of the keys.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Why a v1 key set or node id can't be used. Names the field as key files do, and never a secret.
package struct V1KeysError: Error, Equatable, CustomStringConvertible {
    /// What is wrong with the field.
    package enum Problem: Equatable, Sendable {
        /// Its length in bytes is not one of `allowed`.
        case length(Int, allowed: [Int])
        /// It holds nothing.
        case empty
        /// It is longer than `limit` bytes.
        case tooLong(Int, limit: Int)
        /// It holds a zero byte, which the format's padding would make ambiguous.
        case zeroByte
    }

    /// `static_iv`, `iv_key`, `data_key`, `passphrase` or `node_id`.
    package var field: String
    /// What is wrong with it.
    package var problem: Problem

    package init(field: String, problem: Problem) {
        self.field = field
        self.problem = problem
    }

    /// One sentence for the operator.
    package var description: String {
        switch self.problem {
        case .length(let count, let allowed):
            let lengths = allowed.map { String($0) }.joined(separator: " or ")
            return "\(self.field) must have \(lengths) bytes, and has \(count)"
        case .empty: return "\(self.field) is empty"
        case .tooLong(let count, let limit): return "\(self.field) has \(count) bytes, and may have \(limit)"
        case .zeroByte: return "\(self.field) holds a zero byte"
        }
    }
}
