package import Devices
package import OpenSSL

extension PasswordHash {
    /// The hash of a new password under a new salt, at the standard price. Takes tens of milliseconds and more.
    ///
    /// - Throws: An error of the crypto library when there is not enough memory.
    package static func make(of password: [UInt8]) throws -> PasswordHash {
        let parameters = Scrypt.Parameters.standard
        let salt = SecureRandom.bytes(count: 16)
        let digest = try Scrypt(parameters).derive(password: password, salt: salt, count: 32)
        guard
            let hash = PasswordHash(
                logN: parameters.logN,
                r: parameters.r,
                p: parameters.p,
                salt: salt,
                digest: digest
            )
        else { preconditionFailure("a hash with a salt of \(salt.count) bytes") }
        return hash
    }

    /// The price at which it was made; nil if it is over what this gateway pays.
    package var parameters: Scrypt.Parameters? { Scrypt.Parameters(logN: self.logN, r: self.r, p: self.p) }

    /// Whether `password` is the one. Takes as long for a wrong one as for the right one; any thread, but no loop.
    package func verify(_ password: [UInt8]) -> Bool {
        guard let parameters = self.parameters,
            let digest = try? Scrypt(parameters).derive(
                password: password,
                salt: self.salt,
                count: self.digest.count
            )
        else { return false }
        // HMAC, of which scrypt is made, pads its key with zeros: with them at its end a password has the same digest. No
        // password that was set holds one.
        return ConstantTime.equal(digest, self.digest) && !password.contains(0)
    }
}
