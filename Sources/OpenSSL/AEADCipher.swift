import COpenSSL

/// One algorithm in one direction, for many messages under many keys: what ``AEAD`` does, without an allocation for each
/// message. Bound to one loop.
@safe package final class AEADCipher {
    /// The algorithm.
    package let aead: AEAD
    private let raw: OpaquePointer
    private let encrypts: Bool

    /// - Parameter encrypts: For ``seal(_:key:nonce:aad:tag:)``; otherwise for ``open(_:key:nonce:aad:tag:)``.
    package init(_ aead: AEAD, encrypts: Bool) {
        guard let raw = unsafe EVP_CIPHER_CTX_new() else { preconditionFailure("EVP_CIPHER_CTX_new: out of memory") }
        unsafe self.raw = raw
        self.aead = aead
        self.encrypts = encrypts
        var done = unsafe EVP_CipherInit_ex2(raw, aead.algorithm, nil, nil, encrypts ? 1 : 0, nil) == 1
        done =
            unsafe done && EVP_CIPHER_CTX_ctrl(raw, EVP_CTRL_AEAD_SET_IVLEN, Int32(aead.nonceBytes), nil) == 1
        if encrypts, aead.isCCM {
            // CCM must know the tag's length before the first byte (RFC 3610 §2.2).
            done = unsafe done && EVP_CIPHER_CTX_ctrl(raw, EVP_CTRL_AEAD_SET_TAG, Int32(aead.tagBytes), nil) == 1
        }
        precondition(done, "\(aead) does not start")
    }

    deinit { unsafe EVP_CIPHER_CTX_free(self.raw) }

    /// Encrypts `message` in place and writes its tag. Key, nonce and tag must have the algorithm's lengths.
    package func seal(
        _ message: UnsafeMutableRawBufferPointer,
        key: UnsafeRawBufferPointer,
        nonce: UnsafeRawBufferPointer,
        aad: UnsafeRawBufferPointer,
        tag: UnsafeMutableRawBufferPointer
    ) {
        precondition(self.encrypts && tag.count == self.aead.tagBytes, "\(self.aead) has another tag")
        var done = unsafe self.begin(key, nonce, aad, messageBytes: message.count)
        done = unsafe done && self.transform(message)
        done =
            unsafe done
            && EVP_CIPHER_CTX_ctrl(self.raw, EVP_CTRL_AEAD_GET_TAG, Int32(tag.count), tag.baseAddress) == 1
        precondition(done, "\(self.aead) does not encrypt")
    }

    /// Decrypts `message` in place. What is left in it means nothing if it is not what was sealed with this tag.
    ///
    /// - Returns: Whether it is. Key, nonce and tag must have the algorithm's lengths.
    package func open(
        _ message: UnsafeMutableRawBufferPointer,
        key: UnsafeRawBufferPointer,
        nonce: UnsafeRawBufferPointer,
        aad: UnsafeRawBufferPointer,
        tag: UnsafeRawBufferPointer
    ) -> Bool {
        precondition(!self.encrypts && tag.count == self.aead.tagBytes, "\(self.aead) has another tag")
        // The pointer is not written through.
        let expected = unsafe UnsafeMutableRawPointer(mutating: tag.baseAddress)
        let isSet = unsafe EVP_CIPHER_CTX_ctrl(self.raw, EVP_CTRL_AEAD_SET_TAG, Int32(tag.count), expected) == 1
        let isBegun = unsafe self.begin(key, nonce, aad, messageBytes: message.count)
        precondition(isSet && isBegun, "\(self.aead) does not decrypt")
        return unsafe self.transform(message)
    }

    /// Up to the message.
    private func begin(
        _ key: UnsafeRawBufferPointer,
        _ nonce: UnsafeRawBufferPointer,
        _ aad: UnsafeRawBufferPointer,
        messageBytes: Int
    ) -> Bool {
        precondition(
            key.count == self.aead.keyBytes && nonce.count == self.aead.nonceBytes,
            "\(self.aead) has another key or nonce"
        )
        let keyBytes = unsafe key.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let nonceBytes = unsafe nonce.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let direction: Int32 = self.encrypts ? 1 : 0
        guard unsafe EVP_CipherInit_ex2(self.raw, nil, keyBytes, nonceBytes, direction, nil) == 1 else { return false }
        var unused: Int32 = 0
        // CCM must know the message's length too (RFC 3610 §2.2).
        if self.aead.isCCM {
            guard unsafe EVP_CipherUpdate(self.raw, nil, &unused, nil, Int32(messageBytes)) == 1 else { return false }
        }
        guard let aadBytes = unsafe aad.baseAddress?.assumingMemoryBound(to: UInt8.self), aad.count > 0 else {
            return true
        }
        return unsafe EVP_CipherUpdate(self.raw, nil, &unused, aadBytes, Int32(aad.count)) == 1
    }

    /// Whether the message went through, and with decryption is what was sealed.
    private func transform(_ message: UnsafeMutableRawBufferPointer) -> Bool {
        var written: Int32 = 0
        // An empty message has an address, too: NULL means something else.
        var nothing: (UInt8, UInt8) = (0, 0)
        if message.count > 0, let bytes = unsafe message.baseAddress?.assumingMemoryBound(to: UInt8.self) {
            let done = unsafe EVP_CipherUpdate(self.raw, bytes, &written, bytes, Int32(message.count))
            guard done == 1 else { return false }
        } else if self.aead.isCCM {
            let done = unsafe withUnsafeMutableBytes(of: &nothing) { space in
                let bytes = unsafe space.baseAddress?.assumingMemoryBound(to: UInt8.self)
                return unsafe EVP_CipherUpdate(self.raw, bytes, &written, bytes, 0)
            }
            guard done == 1 else { return false }
        }
        guard !self.aead.isCCM else { return Int(written) == message.count }
        var rest: Int32 = 0
        let done = unsafe withUnsafeMutableBytes(of: &nothing) { space in
            unsafe EVP_CipherFinal_ex(self.raw, space.baseAddress?.assumingMemoryBound(to: UInt8.self), &rest)
        }
        return done == 1 && rest == 0 && Int(written) == message.count
    }
}
