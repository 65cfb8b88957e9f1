import COpenSSL

/// HKDF (RFC 5869).
package enum HKDF {
    /// Most bytes that one derivation with SHA-256 can give (RFC 5869 §2.3).
    package static let maxBytes = 255 * 32

    /// Extract and expand with SHA-256.
    ///
    /// - Parameters:
    ///   - ikm: The input keying material.
    ///   - salt: May be empty: then as many zero bytes as the hash has (RFC 5869 §2.2).
    ///   - count: Bytes to derive, 1 to ``maxBytes``.
    package static func sha256(ikm: [UInt8], salt: [UInt8], info: [UInt8], count: Int) -> [UInt8] {
        precondition((1...self.maxBytes).contains(count), "HKDF-SHA-256 gives 1 to \(self.maxBytes) bytes")
        let key = salt.isEmpty ? [UInt8](repeating: 0, count: Digest.Algorithm.sha256.count) : salt
        let expand = HMAC(.sha256, key: HMAC.authenticate(ikm, key: key, .sha256))
        var output: [UInt8] = []
        output.reserveCapacity(count + expand.count)
        var block: [UInt8] = []
        var counter: UInt8 = 0
        while output.count < count {
            counter += 1
            expand.reset()
            unsafe (block + info + [counter]).withUnsafeBytes { unsafe expand.update($0) }
            block = unsafe [UInt8](unsafeUninitializedCapacity: expand.count) { buffer, initialized in
                unsafe expand.finalize(into: UnsafeMutableRawBufferPointer(buffer))
                initialized = expand.count
            }
            output += block
        }
        return Array(output.prefix(count))
    }
}
