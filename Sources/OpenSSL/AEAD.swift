import COpenSSL

/// Authenticated encryption with associated data (RFC 5116): one case for each algorithm that the gateway speaks.
///
/// A nonce must never be used twice under one key, with GCM above all. Safe to call from any thread.
package enum AEAD: Sendable, CaseIterable {
    /// AES-128-GCM, tag of 16 bytes.
    case aes128GCM
    /// AES-256-GCM, tag of 16 bytes.
    case aes256GCM
    /// AES-128-CCM with a 13-byte nonce and a tag of 8 bytes: COSE's AES-CCM-16-64-128 (RFC 9053 §4.2).
    case aes128CCM8
    /// AES-128-CCM with a 13-byte nonce and a tag of 16 bytes: COSE's AES-CCM-16-128-128 (RFC 9053 §4.2).
    case aes128CCM16
    /// ChaCha20-Poly1305 (RFC 8439).
    case chaCha20Poly1305

    /// Bytes of a key.
    package var keyBytes: Int {
        switch self {
        case .aes128GCM, .aes128CCM8, .aes128CCM16: 16
        case .aes256GCM, .chaCha20Poly1305: 32
        }
    }

    /// Bytes of a nonce.
    package var nonceBytes: Int {
        switch self {
        case .aes128GCM, .aes256GCM, .chaCha20Poly1305: 12
        case .aes128CCM8, .aes128CCM16: 13
        }
    }

    /// Bytes of the tag that ``seal(_:key:nonce:aad:)`` puts behind the ciphertext.
    package var tagBytes: Int { self == .aes128CCM8 ? 8 : 16 }

    var isCCM: Bool { self == .aes128CCM8 || self == .aes128CCM16 }

    /// Encrypts `plaintext` and returns ciphertext and tag. Key and nonce must have the algorithm's lengths.
    package func seal(_ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], aad: [UInt8]) -> [UInt8] {
        let cipher = Context(self, key: key, nonce: nonce, tag: nil, messageBytes: plaintext.count)
        cipher.authenticate(aad)
        guard let ciphertext = cipher.transform(plaintext) else { preconditionFailure("\(self) does not encrypt") }
        return ciphertext + cipher.tag()
    }

    /// Decrypts ciphertext and tag; `nil` if they are not what was sealed under this key, nonce and AAD, or too short
    /// to be. Key and nonce must have the algorithm's lengths.
    package func open(_ sealed: [UInt8], key: [UInt8], nonce: [UInt8], aad: [UInt8]) -> [UInt8]? {
        guard sealed.count >= self.tagBytes else { return nil }
        let ciphertext = Array(sealed.dropLast(self.tagBytes))
        let tag = Array(sealed.suffix(self.tagBytes))
        let cipher = Context(self, key: key, nonce: nonce, tag: tag, messageBytes: ciphertext.count)
        cipher.authenticate(aad)
        return cipher.transform(ciphertext)
    }
}

extension AEAD {
    /// One message's `EVP_CIPHER_CTX`.
    @safe private struct Context: ~Copyable {
        private let raw: OpaquePointer
        private let aead: AEAD
        private let encrypts: Bool

        /// Ready for the AAD. A `tag` to check means decryption.
        init(_ aead: AEAD, key: [UInt8], nonce: [UInt8], tag: [UInt8]?, messageBytes: Int) {
            precondition(key.count == aead.keyBytes, "\(aead) takes a key of \(aead.keyBytes) bytes")
            precondition(nonce.count == aead.nonceBytes, "\(aead) takes a nonce of \(aead.nonceBytes) bytes")
            guard let raw = unsafe EVP_CIPHER_CTX_new() else {
                preconditionFailure("EVP_CIPHER_CTX_new: out of memory")
            }
            unsafe self.raw = raw
            self.aead = aead
            self.encrypts = tag == nil
            let direction: Int32 = tag == nil ? 1 : 0
            var done = unsafe EVP_CipherInit_ex2(raw, aead.algorithm, nil, nil, direction, nil) == 1
            done =
                unsafe done
                && EVP_CIPHER_CTX_ctrl(raw, EVP_CTRL_AEAD_SET_IVLEN, Int32(aead.nonceBytes), nil) == 1
            if var tag {
                done = unsafe done && EVP_CIPHER_CTX_ctrl(raw, EVP_CTRL_AEAD_SET_TAG, Int32(tag.count), &tag) == 1
            } else if aead.isCCM {
                // CCM must know the tag's length before the first byte (RFC 3610 §2.2).
                done = unsafe done && EVP_CIPHER_CTX_ctrl(raw, EVP_CTRL_AEAD_SET_TAG, Int32(aead.tagBytes), nil) == 1
            }
            done = unsafe done && EVP_CipherInit_ex2(raw, nil, key, nonce, direction, nil) == 1
            if aead.isCCM {
                // And the message's length (the same section).
                var unused: Int32 = 0
                done = unsafe done && EVP_CipherUpdate(raw, nil, &unused, nil, Int32(messageBytes)) == 1
            }
            precondition(done, "\(aead) does not start")
        }

        deinit { unsafe EVP_CIPHER_CTX_free(self.raw) }

        /// Takes the associated data, before the message.
        func authenticate(_ aad: [UInt8]) {
            guard !aad.isEmpty else { return }
            var unused: Int32 = 0
            let done = unsafe EVP_CipherUpdate(self.raw, nil, &unused, aad, Int32(aad.count))
            precondition(done == 1, "\(self.aead) takes no associated data")
        }

        /// Encrypts, or decrypts and checks the tag; `nil` when the tag does not hold.
        func transform(_ input: [UInt8]) -> [UInt8]? {
            // One byte more than needed, so that an empty message has an address too: NULL means something else.
            var output = [UInt8](repeating: 0, count: input.count + 1)
            var written: Int32 = 0
            if self.aead.isCCM || !input.isEmpty {
                let bytes = input.isEmpty ? [0] : input
                guard unsafe EVP_CipherUpdate(self.raw, &output, &written, bytes, Int32(input.count)) == 1 else {
                    return nil
                }
            }
            var rest: Int32 = 0
            if !self.aead.isCCM {
                var end: [UInt8] = [UInt8](repeating: 0, count: AESCBC.blockBytes)
                guard unsafe EVP_CipherFinal_ex(self.raw, &end, &rest) == 1 else { return nil }
            }
            precondition(Int(written) == input.count && rest == 0, "\(self.aead) changed the length")
            output.removeLast()
            return output
        }

        /// The tag of the message that was encrypted.
        func tag() -> [UInt8] {
            var tag = [UInt8](repeating: 0, count: self.aead.tagBytes)
            let done = unsafe EVP_CIPHER_CTX_ctrl(self.raw, EVP_CTRL_AEAD_GET_TAG, Int32(tag.count), &tag)
            precondition(self.encrypts && done == 1, "\(self.aead) gives no tag")
            return tag
        }
    }

    var algorithm: OpaquePointer {
        switch self {
        case .aes128GCM: unsafe Self.fetchedAES128GCM
        case .aes256GCM: unsafe Self.fetchedAES256GCM
        case .aes128CCM8, .aes128CCM16: unsafe Self.fetchedAES128CCM
        case .chaCha20Poly1305: unsafe Self.fetchedChaCha20Poly1305
        }
    }

    // Immutable once fetched, and libcrypto's algorithm objects may be used from any thread.
    nonisolated(unsafe) private static let fetchedAES128GCM = unsafe fetch("AES-128-GCM")
    nonisolated(unsafe) private static let fetchedAES256GCM = unsafe fetch("AES-256-GCM")
    nonisolated(unsafe) private static let fetchedAES128CCM = unsafe fetch("AES-128-CCM")
    nonisolated(unsafe) private static let fetchedChaCha20Poly1305 = unsafe fetch("ChaCha20-Poly1305")

    private static func fetch(_ name: String) -> OpaquePointer {
        guard let algorithm = unsafe EVP_CIPHER_fetch(nil, name, nil) else {
            preconditionFailure("libcrypto has no \(name)")
        }
        return unsafe algorithm
    }
}
