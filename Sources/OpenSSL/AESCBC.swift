import COpenSSL

/// AES in CBC mode without padding (NIST SP 800-38A), under one key, for many messages.
///
/// Callers pad and authenticate; CBC alone protects nothing against change. Each direction has a context that is
/// made at its first use and kept, so a message costs no allocation. Not thread-safe: one owner, one loop.
@safe package final class AESCBC {
    /// Bytes of a block, and of an IV.
    package static let blockBytes = 16
    /// The lengths of key that AES has, in bytes.
    package static let keyLengths = [16, 24, 32]

    private let key: [UInt8]
    private var decryption: OpaquePointer?
    private var encryption: OpaquePointer?

    /// - Parameter key: 16, 24 or 32 bytes, which selects AES-128, AES-192 or AES-256. The caller has checked it.
    package init(key: [UInt8]) {
        precondition(Self.keyLengths.contains(key.count), "an AES key has 16, 24 or 32 bytes, not \(key.count)")
        self.key = key
    }

    deinit {
        unsafe EVP_CIPHER_CTX_free(self.decryption)
        unsafe EVP_CIPHER_CTX_free(self.encryption)
    }

    /// Decrypts `source`, a whole number of blocks, into the first bytes of `destination`. The two may be the same
    /// memory; else they must not overlap. `iv` has 16 bytes.
    package func decrypt(
        _ source: UnsafeRawBufferPointer,
        into destination: UnsafeMutableRawBufferPointer,
        iv: UnsafeRawBufferPointer
    ) {
        let context = unsafe self.decryption ?? self.makeContext(encrypts: false)
        unsafe self.decryption = context
        unsafe Self.run(context, source, destination, iv)
    }

    /// Encrypts `source`, a whole number of blocks, into the first bytes of `destination`. The two may be the same
    /// memory; else they must not overlap. `iv` has 16 bytes.
    package func encrypt(
        _ source: UnsafeRawBufferPointer,
        into destination: UnsafeMutableRawBufferPointer,
        iv: UnsafeRawBufferPointer
    ) {
        let context = unsafe self.encryption ?? self.makeContext(encrypts: true)
        unsafe self.encryption = context
        unsafe Self.run(context, source, destination, iv)
    }

    private static func run(
        _ context: OpaquePointer,
        _ source: UnsafeRawBufferPointer,
        _ destination: UnsafeMutableRawBufferPointer,
        _ iv: UnsafeRawBufferPointer
    ) {
        precondition(iv.count == self.blockBytes, "an IV has 16 bytes, not \(iv.count)")
        precondition(source.count.isMultiple(of: self.blockBytes), "CBC takes whole blocks, not \(source.count) bytes")
        precondition(destination.count >= source.count, "destination too short")
        guard source.count > 0 else { return }
        var written: Int32 = 0
        // -1: the direction stays as it is, and so does the key.
        let started = unsafe EVP_CipherInit_ex2(context, nil, nil, iv.baseAddress, -1, nil)
        let length = Int32(source.count)
        let done = unsafe EVP_CipherUpdate(context, destination.baseAddress, &written, source.baseAddress, length)
        precondition(started == 1 && done == 1 && Int(written) == source.count, "EVP_CipherUpdate failed")
    }

    private func makeContext(encrypts: Bool) -> OpaquePointer {
        guard let context = unsafe EVP_CIPHER_CTX_new() else {
            preconditionFailure("EVP_CIPHER_CTX_new: out of memory")
        }
        let algorithm =
            switch self.key.count {
            case 16: unsafe Self.aes128
            case 24: unsafe Self.aes192
            default: unsafe Self.aes256
            }
        let zeros = [UInt8](repeating: 0, count: Self.blockBytes)
        let keyed = unsafe EVP_CipherInit_ex2(context, algorithm, self.key, zeros, encrypts ? 1 : 0, nil)
        let unpadded = unsafe EVP_CIPHER_CTX_set_padding(context, 0)
        precondition(keyed == 1 && unpadded == 1, "EVP_CipherInit_ex2 failed")
        return unsafe context
    }

    // Immutable once fetched, and libcrypto's algorithm objects may be used from any thread.
    nonisolated(unsafe) private static let aes128 = unsafe fetch("AES-128-CBC")
    nonisolated(unsafe) private static let aes192 = unsafe fetch("AES-192-CBC")
    nonisolated(unsafe) private static let aes256 = unsafe fetch("AES-256-CBC")

    private static func fetch(_ name: String) -> OpaquePointer {
        guard let algorithm = unsafe EVP_CIPHER_fetch(nil, name, nil) else {
            preconditionFailure("libcrypto has no \(name)")
        }
        return unsafe algorithm
    }
}
