import Testing

@testable import Gateway

@Suite("Nearest names")
struct ConfigurationNearestNameTests {
    private static let names = ["address", "psk", "ca", "key", "keep_alive", "max_bytes", "max_messages", "max_age"]

    private static let found: [(typed: String, meant: String?)] = [
        ("adress", "address"), ("addresss", "address"), ("addrses", "address"), ("ADDRESS", "address"),
        ("adres", "address"), ("addr", "address"), ("kye", "key"), ("pks", "psk"), ("keepalive", "keep_alive"),
        ("max_byte", "max_bytes"), ("keep", "keep_alive"), ("max", nil), ("x", nil), ("", nil), ("cert", nil),
        ("ac", nil), ("zzzzzzz", nil), ("k", nil),
    ]

    @Test("finds what was meant, and nothing that is too far", arguments: found)
    func finds(typed: String, meant: String?) {
        #expect(NearestName.find(typed, among: Self.names) == meant)
    }

    private static let distances: [(String, String, Int)] = [
        ("", "", 0), ("a", "", 1), ("", "ab", 2), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "abd", 1),
        ("abcd", "bacd", 1),
        ("kitten", "sitting", 3),
    ]

    @Test("counts a swap of neighbours as one slip", arguments: distances)
    func distance(first: String, second: String, slips: Int) {
        #expect(NearestName.distance(Array(first.unicodeScalars), Array(second.unicodeScalars)) == slips)
    }

    @Test("does no work on a name that is no name")
    func long() {
        #expect(NearestName.find(String(repeating: "a", count: 1_000_000), among: Self.names) == nil)
    }
}
