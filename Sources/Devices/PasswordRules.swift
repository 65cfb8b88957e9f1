/// What a new password must be.
package enum PasswordRules {
    /// Fewest and most bytes of its UTF-8.
    package static let bytes = 8...128

    /// Why `bytes` can't be a password, in words that follow "the password"; nil if they can. Never repeats any of them.
    package static func problem(_ bytes: [UInt8]) -> String? {
        guard bytes.count >= Self.bytes.lowerBound else {
            return "has \(bytes.count) bytes; it needs \(Self.bytes.lowerBound) at least"
        }
        guard bytes.count <= Self.bytes.upperBound else {
            return "has \(bytes.count) bytes; \(Self.bytes.upperBound) are the most"
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { return "is not well-formed UTF-8" }
        guard Printable.isPrintable(text) else {
            return "has a character that can't be seen or typed, such as a control character"
        }
        return nil
    }
}
