import COpenSSL

/// The process's cryptographically secure random number generator (`RAND_bytes`). Safe to call from any thread.
package enum SecureRandom {
    /// `count` fresh random bytes. Traps if the generator fails: there is no safe way to go on without it.
    package static func bytes(count: Int) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            unsafe self.fill(UnsafeMutableRawBufferPointer(buffer))
            initialized = count
        }
    }

    /// Fills `buffer` with random bytes. Traps if the generator fails.
    package static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        guard buffer.count > 0, let start = buffer.baseAddress else { return }
        let count = Int32(buffer.count)
        precondition(unsafe RAND_bytes(start, count) == 1, "RAND_bytes failed: the random number generator is broken")
    }
}
