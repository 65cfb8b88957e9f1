internal import OpenSSL

/// All secrets that hang from the gateway's master key: derived per device and epoch, or wrapped for the store.
package struct KeyHierarchy: Sendable {
    private static let salt = Array("sealgate device".utf8)

    private let master: MasterKey
    private let wrapKey: [UInt8]

    package init(master: MasterKey) {
        self.master = master
        self.wrapKey = HKDF.sha256(ikm: master.bytes, salt: Self.salt, info: Array("wrap".utf8), count: 32)
    }

    /// The secret of one device in one epoch: HKDF over the master key with info = id, a zero byte, epoch as 4 bytes
    /// big-endian. An id without zero bytes, as device ids are, makes that unambiguous.
    package func deviceSecret(device: String, epoch: UInt32) -> DeviceSecret {
        let number = (0..<4).reversed().map { UInt8(truncatingIfNeeded: epoch >> (8 * UInt32($0))) }
        let info = Array(device.utf8) + [0] + number
        return DeviceSecret(bytes: HKDF.sha256(ikm: self.master.bytes, salt: Self.salt, info: info, count: 32))
    }

    /// Encrypts a secret that can't be derived, for the store: a random nonce of 12 bytes, then AES-256-GCM's ciphertext
    /// and tag, with the device's id as associated data. 28 bytes longer than `secret`.
    package func wrap(_ secret: [UInt8], device: String) -> [UInt8] {
        let nonce = SecureRandom.bytes(count: AEAD.aes256GCM.nonceBytes)
        return nonce + AEAD.aes256GCM.seal(secret, key: self.wrapKey, nonce: nonce, aad: Array(device.utf8))
    }

    /// What ``wrap(_:device:)`` wrapped; `nil` if the bytes are damaged, of another device, or of another master key.
    package func unwrap(_ wrapped: [UInt8], device: String) -> [UInt8]? {
        let nonceBytes = AEAD.aes256GCM.nonceBytes
        guard wrapped.count >= nonceBytes else { return nil }
        return AEAD.aes256GCM.open(
            Array(wrapped.dropFirst(nonceBytes)),
            key: self.wrapKey,
            nonce: Array(wrapped.prefix(nonceBytes)),
            aad: Array(device.utf8)
        )
    }
}

extension KeyHierarchy: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Shows nothing of the keys.
    package var description: String { "KeyHierarchy(redacted)" }
    /// Shows nothing of the keys.
    package var debugDescription: String { self.description }
    /// Shows nothing of the keys.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// The 32 secret bytes of one device in one epoch, from which its keys are derived. No description shows them.
package struct DeviceSecret: Sendable {
    /// What a derived key is for. The raw value is HKDF's info.
    package enum Purpose: String, Sendable, CaseIterable {
        /// Pre-shared key of TLS and DTLS.
        case tlsPSK = "sealgate tls psk"
        /// OSCORE's master secret.
        case oscoreSecret = "sealgate oscore secret"
        /// OSCORE's master salt.
        case oscoreSalt = "sealgate oscore salt"
        /// The device's Sender ID of OSCORE. Two devices may have the same.
        case oscoreID = "sealgate oscore id"
        /// Encryption key of v2, node to gateway.
        case v2UpEncryption = "sealgate v2 up enc"
        /// MAC key of v2, node to gateway.
        case v2UpMAC = "sealgate v2 up mac"
        /// Encryption key of v2, gateway to node.
        case v2DownEncryption = "sealgate v2 down enc"
        /// MAC key of v2, gateway to node.
        case v2DownMAC = "sealgate v2 down mac"
        /// Key of COSE, node to gateway.
        case coseUpKey = "sealgate cose up key"
        /// Context IV of COSE, node to gateway.
        case coseUpIV = "sealgate cose up iv"
        /// Key of COSE, gateway to node.
        case coseDownKey = "sealgate cose down key"
        /// Context IV of COSE, gateway to node.
        case coseDownIV = "sealgate cose down iv"

        /// Bytes of the key, where the purpose fixes them; `nil` where the device's algorithm does.
        package var fixedBytes: Int? {
            switch self {
            case .tlsPSK, .v2UpMAC, .v2DownMAC: 32
            case .oscoreSecret, .v2UpEncryption, .v2DownEncryption: 16
            case .oscoreSalt: 8
            case .oscoreID: 4
            case .coseUpKey, .coseUpIV, .coseDownKey, .coseDownIV: nil
            }
        }
    }

    private let bytes: [UInt8]

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The key for a purpose that fixes its length.
    package func key(_ purpose: Purpose) -> [UInt8] {
        guard let count = purpose.fixedBytes else { preconditionFailure("\(purpose) needs a length") }
        return self.key(purpose, count: count)
    }

    /// The key for a purpose, `count` bytes long.
    package func key(_ purpose: Purpose, count: Int) -> [UInt8] {
        precondition(purpose.fixedBytes ?? count == count, "\(purpose) has another length")
        return HKDF.sha256(ikm: self.bytes, salt: [], info: Array(purpose.rawValue.utf8), count: count)
    }

    /// The secret itself, for the test vectors.
    func withBytes<Result>(_ body: ([UInt8]) -> Result) -> Result { body(self.bytes) }
}

extension DeviceSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Shows nothing of the secret.
    package var description: String { "DeviceSecret(redacted)" }
    /// Shows nothing of the secret.
    package var debugDescription: String { self.description }
    /// Shows nothing of the secret.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}
