import Testing

@testable import Gateway

@Suite("Units of gateway.conf")
struct ConfigurationUnitsTests {
    private static let goodSizes: [(String, Int)] = [
        ("0B", 0), ("1B", 1), ("4KiB", 4096), ("256 KiB", 262_144), ("16MiB", 16_777_216), ("1GiB", 1_073_741_824),
        ("4kB", 4000), ("4MB", 4_000_000), ("4GB", 4_000_000_000),
    ]

    @Test("reads sizes", arguments: goodSizes)
    func sizes(text: String, bytes: Int) throws {
        #expect(try ByteSize.parse(text) == bytes)
    }

    private static let wrongSizes: [(String, String)] = [
        ("", #""" is no size: write a whole number and a unit, such as "4KiB""#),
        ("KiB", #""KiB" is no size: write a whole number and a unit, such as "4KiB""#),
        ("-1KiB", #""-1KiB" is no size: write a whole number and a unit, such as "4KiB""#),
        ("4096", #""4096" has no unit: write one of GiB, MiB, KiB, GB, MB, kB, B behind the number"#),
        ("4kib", #""kib" is no unit of a size; did you mean "KiB"?"#),
        ("4mb", #""mb" is no unit of a size; did you mean "MB"?"#),
        ("4.5MiB", #"".5MiB" is no unit of a size; use one of GiB, MiB, KiB, GB, MB, kB, B"#),
        ("99999999999999999999B", #""99999999999999999999B" is too large"#),
        ("9999999999GiB", #""9999999999GiB" is too large"#),
        ("٤KiB", #""٤KiB" is no size: write a whole number and a unit, such as "4KiB""#),
    ]

    @Test("says what is wrong with a size", arguments: wrongSizes)
    func badSizes(text: String, message: String) {
        #expect(throws: ConfigurationValueError(message)) { try ByteSize.parse(text) }
    }

    private static let goodDurations: [(String, Duration)] = [
        ("0s", Duration.zero), ("500ms", .milliseconds(500)), ("5s", .seconds(5)), ("1m", .seconds(60)),
        ("10min", .seconds(600)), ("1h", .seconds(3600)), ("7d", .seconds(604_800)), ("60 s", .seconds(60)),
    ]

    @Test("reads durations", arguments: goodDurations)
    func durations(text: String, duration: Duration) throws {
        #expect(try DurationText.parse(text) == duration)
    }

    private static let wrongDurations: [(String, String)] = [
        ("60", #""60" has no unit: write one of d, h, min, ms, m, s behind the number"#),
        ("60sec", #""sec" is no unit of a duration; use one of d, h, min, ms, m, s"#),
        ("1H", #""H" is no unit of a duration; did you mean "h"?"#),
        ("soon", #""soon" is no duration: write a whole number and a unit, such as "60s""#),
        ("999999999999999d", #""999999999999999d" is too large"#),
    ]

    @Test("says what is wrong with a duration", arguments: wrongDurations)
    func badDurations(text: String, message: String) {
        #expect(throws: ConfigurationValueError(message)) { try DurationText.parse(text) }
    }

    @Test(
        "describes values as they would be written",
        arguments: [(4096, "4KiB"), (1 << 30, "1GiB"), (1000, "1000B"), (0, "0B"), (3 << 20, "3MiB")]
    )
    func describesSizes(bytes: Int, text: String) {
        #expect(ByteSize.describe(bytes) == text)
    }

    private static let describedDurations: [(Duration, String)] = [
        (Duration.seconds(60), "1min"), (.seconds(65_535), "65535s"), (.milliseconds(1500), "1500ms"), (.zero, "0s"),
        (.seconds(604_800), "7d"),
    ]

    @Test("describes durations as they would be written", arguments: describedDurations)
    func describesDurations(duration: Duration, text: String) {
        #expect(DurationText.describe(duration) == text)
    }
}
