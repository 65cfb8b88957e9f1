import COpenSSL

/// Comparisons whose duration says nothing about where two values differ (`CRYPTO_memcmp`).
package enum ConstantTime {
    /// Whether both hold the same bytes; `false` at once when the lengths differ, since lengths are no secret.
    package static func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        guard a.count == b.count else { return false }
        guard a.count > 0, let left = a.baseAddress, let right = b.baseAddress else { return true }
        return unsafe CRYPTO_memcmp(left, right, a.count) == 0
    }

    /// Whether both hold the same bytes; `false` at once when the lengths differ.
    package static func equal(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        unsafe a.withUnsafeBytes { left in unsafe b.withUnsafeBytes { right in unsafe self.equal(left, right) } }
    }
}
