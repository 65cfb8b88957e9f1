import NIOCore

/// Bytes that are no text for MQTT, and some that are although they look odd.
struct OddText: Sendable {
    let name: String
    /// In the notation of ``wire(_:)``.
    let bytes: String

    /// With the length in front.
    var field: ByteBuffer {
        var field = ByteBuffer()
        field.writeInteger(UInt16(wire(self.bytes).readableBytes))
        field.writeImmutableBuffer(wire(self.bytes))
        return field
    }

    private init(_ name: String, _ bytes: String) {
        self.name = name
        self.bytes = bytes
    }

    /// `[MQTT-1.5.4-1]`
    static let illFormed = [
        OddText("a continuation alone", "'a' 80"), OddText("a lead byte alone", "C3"),
        OddText("a lead byte before a letter", "C3 'a'"), OddText("two bytes of three", "'a' E2 82"),
        OddText("three bytes of four", "F0 9F 92"), OddText("an overlong NUL", "C0 80"),
        OddText("an overlong slash", "C0 AF"), OddText("an overlong letter", "C1 A1"),
        OddText("overlong in three bytes", "E0 9F BF"), OddText("overlong in four bytes", "F0 8F BF BF"),
        OddText("the surrogate D800", "ED A0 80"), OddText("the surrogate DFFF", "ED BF BF"),
        OddText("a pair of surrogates", "ED A0 BD ED B2 A9"), OddText("past U+10FFFF", "F4 90 80 80"),
        OddText("a lead byte of five", "F8 88 80 80 80"), OddText("FE", "FE"), OddText("FF", "'long enough' FF"),
    ]

    /// `[MQTT-1.5.4-2]`
    static let withNull = [
        OddText("NUL", "00"), OddText("NUL in the middle", "'a' 00 'b'"),
        OddText("NUL at the end", "'longer than 8' 00"),
    ]

    /// Taken as they are: U+FEFF is never stripped `[MQTT-1.5.4-3]`, and a server may take the rest.
    static let good = [
        OddText("U+FEFF in front", "EFBBBF 'a'"), OddText("U+FEFF alone", "EFBBBF"), OddText("U+FFFE", "EFBFBE"),
        OddText("U+FFFF", "EFBFBF"), OddText("U+FDD0", "EFB790"), OddText("U+1FFFE", "F09FBFBE"),
        OddText("U+10FFFF", "F48FBFBF"), OddText("control characters", "01 1F 7F C280 C29F"),
        OddText("U+D7FF and U+E000", "ED9FBF EE8080"), OddText("a letter and its accent", "'e' CC81"),
    ]
}
