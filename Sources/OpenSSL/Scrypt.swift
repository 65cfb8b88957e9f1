import COpenSSL

/// scrypt (RFC 7914): turns a password into a key at a price in time and memory, so that a list of hashes can't be tried
/// through. Takes about 50 ms at the default on a desktop machine, several times that on a small one: not for a loop.
package struct Scrypt: Sendable {
    /// The price of one hash.
    package struct Parameters: Equatable, Sendable {
        /// Most memory in bytes that one hash may take, so that a hash from outside can't ask for more.
        package static let maxMemoryBytes = 64 << 20

        /// N, the cost in time and memory, as its logarithm to base 2: 14 means 16,384.
        package let logN: UInt8
        /// r, the size of a block.
        package let r: UInt8
        /// p, how often all of it is done.
        package let p: UInt8

        /// N = 2^14, r = 8, p = 1: 16 MiB.
        package static let standard = Parameters(checkedLogN: 14, r: 8, p: 1)

        /// Nil for what scrypt does not know or what takes more than ``maxMemoryBytes``: N is 2 to 2^20 and below
        /// 2^(16r) (RFC 7914 §2), r 1 to 32, p 1 to 16.
        package init?(logN: UInt8, r: UInt8, p: UInt8) {
            guard (1...20).contains(logN), (1...32).contains(r), (1...16).contains(p), Int(logN) < 16 * Int(r) else {
                return nil
            }
            self.init(checkedLogN: logN, r: r, p: p)
            guard self.memoryBytes <= Self.maxMemoryBytes else { return nil }
        }

        private init(checkedLogN logN: UInt8, r: UInt8, p: UInt8) {
            self.logN = logN
            self.r = r
            self.p = p
        }

        /// What V takes, the table of blocks; the rest is small against it.
        package var memoryBytes: Int { 128 * Int(self.r) << Int(self.logN) }
    }

    private let parameters: Parameters

    package init(_ parameters: Parameters = .standard) {
        self.parameters = parameters
    }

    /// The key of `password` under `salt`; `count` bytes, 1 to 1,024. Any thread.
    ///
    /// - Throws: ``OpenSSLError`` if there is not as much memory.
    package func derive(password: [UInt8], salt: [UInt8], count: Int) throws(OpenSSLError) -> [UInt8] {
        precondition((1...1_024).contains(count), "a key of \(count) bytes")
        OpenSSLError.clear()
        var key = [UInt8](repeating: 0, count: count)
        // An empty array may have no address, which OpenSSL would take for "measure only" in place of a salt.
        let (secret, grain) = (password + [0], salt + [0])
        let parameters = self.parameters
        let limit = UInt64(Parameters.maxMemoryBytes + (1 << 20))
        let done = unsafe secret.withUnsafeBytes { secret in
            unsafe EVP_PBE_scrypt(
                secret.bindMemory(to: CChar.self).baseAddress,
                password.count,
                grain,
                salt.count,
                UInt64(1) << UInt64(parameters.logN),
                UInt64(parameters.r),
                UInt64(parameters.p),
                limit,
                &key,
                count
            )
        }
        guard done == 1 else { throw OpenSSLError(call: "EVP_PBE_scrypt") }
        return key
    }
}
