import Devices
import MQTTCodec
import Testing

@Suite("Device ids")
struct DeviceIDTests {
    @Test(
        "takes 1 to 64 characters of A-Z a-z 0-9 . _ -",
        arguments: ["a", "kitchen", "Node-7", "a.b_c-D", "..", "-", "0", String(repeating: "x", count: 64)]
    )
    func good(text: String) throws {
        #expect(try DeviceID(text).text == text)
        #expect(DeviceID(try MQTTString(text))?.text == text)
    }

    static let bad: [(String, DeviceIDError)] = [
        ("", .empty),
        (String(repeating: "x", count: 65), .tooLong(bytes: 65)),
        ("#", .badCharacter("#")),
        ("+", .badCharacter("+")),
        ("a/b", .badCharacter("/")),
        ("$SYS", .badCharacter("$")),
        ("%d", .badCharacter("%")),
        ("a b", .badCharacter(" ")),
        ("a\n", .badCharacter("\n")),
        ("caf\u{E9}", .badCharacter("\u{E9}")),
        ("cafe\u{301}", .badCharacter("\u{301}")),
        ("\u{FEFF}a", .badCharacter("\u{FEFF}")),
        ("\u{FF41}", .badCharacter("\u{FF41}")),
        ("a\u{661}", .badCharacter("\u{661}")),
    ]

    @Test("refuses everything that has a meaning elsewhere, and says what", arguments: Self.bad)
    func refused(text: String, error: DeviceIDError) throws {
        #expect(throws: error) { try DeviceID(text) }
        #expect(DeviceID(try MQTTString(text)) == nil)
    }

    @Test("refuses the null character")
    func null() {
        #expect(throws: DeviceIDError.badCharacter("\0")) { try DeviceID("a\0") }
    }

    @Test("tells upper from lower case")
    func caseMatters() throws {
        #expect(try DeviceID("Kitchen") != DeviceID("kitchen"))
    }

    @Test("shows a control character as an escape")
    func escaped() {
        #expect("\(DeviceIDError.badCharacter("\u{1B}"))".contains("\\u{1B}"))
    }
}

@Suite("Rates")
struct RateTests {
    static let good: [(String, Int, Duration)] = [
        ("20/s", 20, .seconds(1)), ("100/min", 100, .seconds(60)), ("5 / h", 5, .seconds(3600)),
        ("1/d", 1, .seconds(86400)), ("1000000/s", 1_000_000, .seconds(1)),
    ]

    @Test("reads a number and a unit", arguments: Self.good)
    func reads(text: String, count: Int, interval: Duration) throws {
        let rate = try Rate(text)
        #expect(rate == Rate(count: count, interval: interval))
        #expect(try Rate(rate.description) == rate)
    }

    static let bad: [(String, RateError)] = [
        ("", .malformed("")), ("20", .malformed("20")), ("/s", .malformed("/s")), ("-1/s", .malformed("-1/s")),
        ("+1/s", .malformed("+1/s")), ("1/s/s", .malformed("1/s/s")), ("1.5/s", .malformed("1.5/s")),
        ("0/s", .countOutOfRange("0/s")), ("1000001/s", .countOutOfRange("1000001/s")),
        ("99999999999999999999/s", .countOutOfRange("99999999999999999999/s")),
        ("1/m", .unknownUnit("m")), ("1/", .unknownUnit("")), ("1/S", .unknownUnit("S")),
        ("\u{661}/s", .malformed("\u{661}/s")),
    ]

    @Test("refuses what is none", arguments: Self.bad)
    func refused(text: String, error: RateError) {
        #expect(throws: error) { try Rate(text) }
    }
}

@Suite("Printable text")
struct PrintableTests {
    static let rows: [(String, String)] = [
        ("nodes/kitchen", "nodes/kitchen"),
        ("a\u{1B}[2Jb", "a\\u{1b}[2Jb"),
        ("a\r\nb", "a\\u{d}\\u{a}b"),
        ("a\u{202E}b", "a\\u{202e}b"),
        ("a\u{2028}b", "a\\u{2028}b"),
        ("caf\u{E9}", "caf\u{E9}"),
    ]

    @Test("shows what would steer a terminal as escapes", arguments: Self.rows)
    func escapes(text: String, shown: String) {
        #expect(Printable.text(text) == shown)
    }

    @Test("is bounded")
    func bounded() {
        #expect(Printable.text(String(repeating: "x", count: 300), limit: 10) == "xxxxxxxxxx…")
    }
}

@Suite("Devices as values")
struct DeviceTests {
    @Test("a description and a dump show no secret")
    func secrets() throws {
        var device = try Device.make("kitchen")
        device.psk = [0xDE, 0xAD, 0xBE, 0xEF, 0xDE, 0xAD]
        var dumped = ""
        dump(device, to: &dumped)
        for shown in ["\(device)", String(reflecting: device), dumped, "\([device])"] {
            #expect(shown.contains("kitchen"))
            #expect(!shown.contains("222") && !shown.contains("psk"))
        }
    }
}
