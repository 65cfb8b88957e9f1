import COpenSSL

/// Hash functions.
package enum Digest {
    /// A hash function, fetched once from the library: in OpenSSL 3 a fetch costs more than hashing a short message.
    package enum Algorithm: Sendable, CaseIterable {
        /// SHA-1, for the legacy form's HMAC alone (RFC 6194 §3.3); never as a plain hash.
        case sha1
        /// SHA-256 (FIPS 180-4).
        case sha256

        /// Size of the result in bytes.
        package var count: Int {
            switch self {
            case .sha1: 20
            case .sha256: 32
            }
        }

        /// The library's object; lives as long as the process.
        var raw: OpaquePointer {
            switch self {
            case .sha1: unsafe Self.fetchedSHA1
            case .sha256: unsafe Self.fetchedSHA256
            }
        }

        // Immutable once fetched, and libcrypto's algorithm objects may be used from any thread.
        nonisolated(unsafe) private static let fetchedSHA1 = unsafe fetch("SHA1")
        nonisolated(unsafe) private static let fetchedSHA256 = unsafe fetch("SHA256")

        private static func fetch(_ name: String) -> OpaquePointer {
            guard let algorithm = unsafe EVP_MD_fetch(nil, name, nil) else {
                preconditionFailure("libcrypto has no \(name)")
            }
            return unsafe algorithm
        }
    }

    /// SHA-256 of `bytes`: 32 bytes. For now and then; the message path keeps a ``Context``.
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] {
        let context = Context(.sha256)
        return unsafe [UInt8](unsafeUninitializedCapacity: Algorithm.sha256.count) { buffer, initialized in
            unsafe bytes.withUnsafeBytes { input in
                unsafe context.hash(input, into: UnsafeMutableRawBufferPointer(buffer))
            }
            initialized = Algorithm.sha256.count
        }
    }

    /// A hash computation that is used again and again without allocation. Not thread-safe: one owner, one loop.
    @safe package final class Context {
        private let algorithm: Algorithm
        private let raw: OpaquePointer

        package init(_ algorithm: Algorithm) {
            guard let raw = unsafe EVP_MD_CTX_new() else { preconditionFailure("EVP_MD_CTX_new: out of memory") }
            self.algorithm = algorithm
            unsafe self.raw = raw
            let initialized = unsafe EVP_DigestInit_ex2(raw, algorithm.raw, nil)
            precondition(initialized == 1, "EVP_DigestInit_ex2 failed")
        }

        deinit { unsafe EVP_MD_CTX_free(self.raw) }

        /// Hashes all of `input` and writes the result to the first bytes of `output`, which must be large enough.
        package func hash(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
            precondition(output.count >= self.algorithm.count, "output too short for the digest")
            var done = unsafe EVP_DigestInit_ex2(self.raw, nil, nil) == 1
            done = unsafe done && EVP_DigestUpdate(self.raw, input.baseAddress, input.count) == 1
            done = unsafe done && EVP_DigestFinal_ex(self.raw, output.baseAddress, nil) == 1
            precondition(done, "EVP_Digest failed")
        }
    }
}
