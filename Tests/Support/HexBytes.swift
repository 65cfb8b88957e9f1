/// The bytes that hex digits spell; white space is passed over. For constants in tests: traps on anything else.
package func hexBytes(_ text: String) -> [UInt8] {
    let digits = text.filter { !$0.isWhitespace }.map { character in
        guard let value = character.hexDigitValue else { preconditionFailure("not hex: \(text)") }
        return UInt8(value)
    }
    precondition(digits.count.isMultiple(of: 2), "odd number of hex digits: \(text)")
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

/// Lowercase hex, two digits for each byte.
package func hexText(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
}
