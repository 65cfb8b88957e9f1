import COpenSSL

/// AES in CBC mode without padding (NIST SP 800-38A), under one key, for many messages.
///
/// Callers pad and authenticate; CBC alone protects nothing against change. Each direction has a context that is
/// made at its first use and kept, so a message costs no allocation. Not thread-safe: one owner, one loop.
@safe package final class AESCBC {
    /// Bytes of a block, and of an IV.
    package static var blockBytes: Int { 16 }
    /// The lengths of key that AES has, in bytes.
    package static var keyLengths: [Int] { [16, 24, 32] }

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

    /// Decrypts `source`, a whole number of blocks, into the first bytes of `destination`, which must not overlap it.
    /// `iv` has 16 bytes.
    package func decrypt(
        _ source: UnsafeRawBufferPointer,
        into destination: UnsafeMutableRawBufferPointer,
        iv: UnsafeRawBufferPointer
    ) {
        unsafe Self.check(source, destination, iv)
        guard source.count > 0 else { return }
        let context = unsafe self.decryption ?? self.makeContext(Self.blockCipher(self.key.count), encrypts: false)
        unsafe self.decryption = context
        unsafe Self.run(context, source, destination)
        // What makes a block cipher's decryption CBC's: each block XOR the ciphertext before it. Done here because
        // giving libcrypto an IV costs six times as much as decrypting a block (100 ns against 15).
        var previous = unsafe iv.loadUnaligned(as: SIMD16<UInt8>.self)
        for offset in stride(from: 0, to: source.count, by: Self.blockBytes) {
            let block = unsafe destination.loadUnaligned(fromByteOffset: offset, as: SIMD16<UInt8>.self)
            unsafe destination.storeBytes(of: block ^ previous, toByteOffset: offset, as: SIMD16<UInt8>.self)
            unsafe previous = source.loadUnaligned(fromByteOffset: offset, as: SIMD16<UInt8>.self)
        }
    }

    /// Encrypts `source`, a whole number of blocks, into the first bytes of `destination`. The two may be the same
    /// memory; else they must not overlap. `iv` has 16 bytes.
    package func encrypt(
        _ source: UnsafeRawBufferPointer,
        into destination: UnsafeMutableRawBufferPointer,
        iv: UnsafeRawBufferPointer
    ) {
        unsafe Self.check(source, destination, iv)
        guard source.count > 0 else { return }
        let context = unsafe self.encryption ?? self.makeContext(Self.chainedCipher(self.key.count), encrypts: true)
        unsafe self.encryption = context
        // -1: direction and key stay as they are.
        precondition(unsafe EVP_CipherInit_ex2(context, nil, nil, iv.baseAddress, -1, nil) == 1, "no IV taken")
        unsafe Self.run(context, source, destination)
    }

    private static func check(
        _ source: UnsafeRawBufferPointer,
        _ destination: UnsafeMutableRawBufferPointer,
        _ iv: UnsafeRawBufferPointer
    ) {
        precondition(iv.count == self.blockBytes, "an IV has 16 bytes, not \(iv.count)")
        precondition(source.count.isMultiple(of: self.blockBytes), "CBC takes whole blocks, not \(source.count) bytes")
        precondition(destination.count >= source.count, "destination too short")
    }

    private static func run(
        _ context: OpaquePointer,
        _ source: UnsafeRawBufferPointer,
        _ destination: UnsafeMutableRawBufferPointer
    ) {
        var written: Int32 = 0
        let length = Int32(source.count)
        let done = unsafe EVP_CipherUpdate(context, destination.baseAddress, &written, source.baseAddress, length)
        precondition(done == 1 && written == length, "EVP_CipherUpdate failed")
    }

    private func makeContext(_ algorithm: OpaquePointer, encrypts: Bool) -> OpaquePointer {
        guard let context = unsafe EVP_CIPHER_CTX_new() else {
            preconditionFailure("EVP_CIPHER_CTX_new: out of memory")
        }
        let keyed = unsafe EVP_CipherInit_ex2(context, algorithm, self.key, nil, encrypts ? 1 : 0, nil)
        let unpadded = unsafe EVP_CIPHER_CTX_set_padding(context, 0)
        precondition(keyed == 1 && unpadded == 1, "EVP_CipherInit_ex2 failed")
        return unsafe context
    }

    private static func chainedCipher(_ keyBytes: Int) -> OpaquePointer {
        switch keyBytes {
        case 16: unsafe self.aes128CBC
        case 24: unsafe self.aes192CBC
        default: unsafe self.aes256CBC
        }
    }

    private static func blockCipher(_ keyBytes: Int) -> OpaquePointer {
        switch keyBytes {
        case 16: unsafe self.aes128ECB
        case 24: unsafe self.aes192ECB
        default: unsafe self.aes256ECB
        }
    }

    // Immutable once fetched, and libcrypto's algorithm objects may be used from any thread.
    nonisolated(unsafe) private static let aes128CBC = unsafe fetch("AES-128-CBC")
    nonisolated(unsafe) private static let aes192CBC = unsafe fetch("AES-192-CBC")
    nonisolated(unsafe) private static let aes256CBC = unsafe fetch("AES-256-CBC")
    nonisolated(unsafe) private static let aes128ECB = unsafe fetch("AES-128-ECB")
    nonisolated(unsafe) private static let aes192ECB = unsafe fetch("AES-192-ECB")
    nonisolated(unsafe) private static let aes256ECB = unsafe fetch("AES-256-ECB")

    private static func fetch(_ name: String) -> OpaquePointer {
        guard let algorithm = unsafe EVP_CIPHER_fetch(nil, name, nil) else {
            preconditionFailure("libcrypto has no \(name)")
        }
        return unsafe algorithm
    }
}
