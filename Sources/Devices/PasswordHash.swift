/// What is kept of a device's password: a salted scrypt hash with the price at which it was made. It can't be turned
/// back, but tried, so it is handled as a secret and never shown.
///
/// The salt is new for each password, also when the same one is set again: two hashes are equal only if nothing was set
/// between them. Only values: making and checking one takes long, and is the gateway's.
package struct PasswordHash: Equatable, Sendable {
    /// Fewest and most bytes of a salt.
    package static let saltBytes = 8...64
    /// Fewest and most bytes of a digest.
    package static let digestBytes = 16...64

    /// scrypt's N as its logarithm to base 2.
    package let logN: UInt8
    /// scrypt's r.
    package let r: UInt8
    /// scrypt's p.
    package let p: UInt8
    /// Not secret by itself.
    package let salt: [UInt8]
    /// What scrypt makes of the password.
    package let digest: [UInt8]

    /// Nil if salt or digest have no fitting length. Whether scrypt can do the rest is not looked at.
    package init?(logN: UInt8, r: UInt8, p: UInt8, salt: [UInt8], digest: [UInt8]) {
        guard Self.saltBytes.contains(salt.count), Self.digestBytes.contains(digest.count) else { return nil }
        self.logN = logN
        self.r = r
        self.p = p
        self.salt = salt
        self.digest = digest
    }

    /// The form in which it is stored and exported: version 1, the three numbers, the length of the salt, salt, digest;
    /// one byte for each number.
    package var bytes: [UInt8] {
        [1, self.logN, self.r, self.p, UInt8(truncatingIfNeeded: self.salt.count)] + self.salt + self.digest
    }

    /// Longest ``bytes``.
    package static var maxBytes: Int { 5 + Self.saltBytes.upperBound + Self.digestBytes.upperBound }

    /// Reads ``bytes``; nil if they are anything else.
    package init?(bytes: [UInt8]) {
        guard bytes.count >= 5, bytes.count <= Self.maxBytes, bytes[0] == 1 else { return nil }
        let rest = bytes[5...]
        guard rest.count >= Int(bytes[4]) else { return nil }
        self.init(
            logN: bytes[1],
            r: bytes[2],
            p: bytes[3],
            salt: Array(rest.prefix(Int(bytes[4]))),
            digest: Array(rest.dropFirst(Int(bytes[4])))
        )
    }
}

extension PasswordHash: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Says that there is one, nothing about it.
    package var description: String { "(redacted)" }

    /// Nothing about it.
    package var debugDescription: String { self.description }

    /// Nothing inside, so that `dump` and test failures show nothing either.
    package var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }
}
