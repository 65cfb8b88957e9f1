import MQTTCodec
import NIOCore
import Testing

@Suite("Topic names and filters")
struct TopicTests {
    @Test(
        "takes good names",
        arguments: [
            "a", "/", "//", "a/b", "/finance", "$SYS/x", " ", "a b/c", "Accounts payable", "é", "sport/€/𝄞",
            "\u{FEFF}a",
            "a\u{FFFE}\u{FFFF}", "$", "a$b", "\u{1}\u{7F}",
        ]
    )
    func names(text: String) throws {
        let name = try TopicName(text)
        #expect(name.description == text)
        #expect(Array(name.buffer.readableBytesView) == Array(text.utf8))
        #expect(name.startsWithDollar == text.hasPrefix("$"))
        let filter = try TopicFilter(text)
        #expect(!filter.hasWildcards && filter.matches(name) && filter.covers(filter))
    }

    @Test(
        "refuses what is no name",  // [MQTT-4.7.0-1], [MQTT-4.7.3-1]
        arguments: [
            ("", TopicError.empty), ("+", .misplacedWildcard), ("a/#", .misplacedWildcard), ("a+b", .misplacedWildcard),
            ("#", .misplacedWildcard), ("12345678+", .misplacedWildcard), ("1234567#", .misplacedWildcard),
            ("é/#", .misplacedWildcard), ("\0", .nullCharacter), ("a/\0", .nullCharacter),
            ("1234567\0", .nullCharacter),
            ("12345678\0", .nullCharacter), ("é\0", .nullCharacter),
        ]
    )
    func refusedNames(text: String, error: TopicError) {
        #expect(throws: error) { try TopicName(text) }
    }

    @Test(
        "takes good filters, and tells which have wildcards",
        arguments: [
            ("#", true), ("+", true), ("+/+", true), ("/+", true), ("+/", true), ("a/+/b", true), ("a/#", true),
            ("/#", true), ("+/#", true), ("sport/tennis/player1/#", true), ("+/tennis/#", true), ("é/+", true),
            ("a/b", false), ("$SYS/#", true), ("$SYS/monitor/+", true), ("abcdefgh/+", true), ("abcdefg/+", true),
        ]
    )
    func filters(text: String, hasWildcards: Bool) throws {
        let filter = try TopicFilter(text)
        #expect(filter.hasWildcards == hasWildcards)
        #expect(filter.description == text)
        #expect(filter.compacted() == filter && filter.compacted().hasWildcards == hasWildcards)
    }

    @Test(
        // [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1]
        "refuses what is no filter (the standard's examples among them)",
        arguments: [
            ("", TopicError.empty), ("sport/tennis#", .misplacedWildcard),
            ("sport/tennis/#/ranking", .misplacedWildcard), ("sport+", .misplacedWildcard), ("##", .misplacedWildcard),
            ("++", .misplacedWildcard), ("#/", .misplacedWildcard), ("+a", .misplacedWildcard),
            ("a/+b/c", .misplacedWildcard), ("#/#", .misplacedWildcard), ("a#", .misplacedWildcard),
            ("é+", .misplacedWildcard), ("a/+\0", .nullCharacter),
        ]
    )
    func refusedFilters(text: String, error: TopicError) {
        #expect(throws: error) { try TopicFilter(text) }
    }

    @Test("refuses ill-formed UTF-8 wherever it stands in the word that is looked at", arguments: 0..<20)
    func illFormed(position: Int) {
        for sequence: [UInt8] in [
            [0x80], [0xC0, 0xAF], [0xC1, 0x80], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
            [0xF0, 0x80, 0x80, 0xAF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xC3], [0xE2, 0x82],
            [0xF0, 0x9D, 0x84],
        ] {
            let bytes = Array(repeating: UInt8(ascii: "a"), count: position) + sequence
            #expect(throws: TopicError.illFormedUTF8) { try TopicName(validating: ByteBuffer(bytes: bytes)) }
            #expect(throws: TopicError.illFormedUTF8) {
                try TopicName(validating: ByteBuffer(bytes: bytes + Array("bcdefghijk".utf8)))
            }
            #expect(throws: TopicError.illFormedUTF8) { try TopicFilter(validating: ByteBuffer(bytes: bytes)) }
        }
        for text in ["é", "€", "𝄞", "\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFF}\u{10000}\u{10FFFF}"] {
            let name = String(repeating: "a", count: position) + text + "/"
            #expect((try? TopicName(name))?.description == name)
        }
    }

    @Test("65,535 bytes are a name, one more is not")  // [MQTT-4.7.3-3]
    func length() throws {
        let longest = String(repeating: "a", count: 65_535)
        #expect(try TopicName(longest).buffer.readableBytes == 65_535)
        #expect(throws: TopicError.tooLong(bytes: 65_536)) { try TopicName(longest + "a") }
        #expect(throws: TopicError.tooLong(bytes: 65_536)) { try TopicFilter(longest + "a") }
        #expect(try TopicFilter("#").matches(TopicName(longest)))
        #expect(try TopicFilter(longest).matches(TopicName(longest)))
        #expect(try !TopicFilter(longest).matches(TopicName(String(longest.dropLast() + "b"))))
    }

    @Test("128 levels are taken, 129 are not, whatever their length")
    func levels() throws {
        for level in ["", "a", "abcdefgh", "é"] {
            let deepest = Array(repeating: level, count: 128).joined(separator: "/")
            #expect(throws: Never.self) { try TopicName(deepest) }
            #expect(throws: TopicError.tooDeep) { try TopicName(deepest + "/") }
            #expect(throws: TopicError.tooDeep) { try TopicFilter(deepest + "/#") }
        }
        let pluses = try TopicFilter(Array(repeating: "+", count: 128).joined(separator: "/"))
        #expect(try pluses.matches(TopicName(String(repeating: "/", count: 127))))
        #expect(try !pluses.matches(TopicName(String(repeating: "/", count: 126))))
    }

    @Test("topics are bytes: the composed and the decomposed é differ")  // [MQTT-4.7.3-4]
    func canonicalEquivalence() throws {
        let composed = "caf\u{E9}"
        let decomposed = "cafe\u{301}"
        #expect(composed == decomposed)
        #expect(try TopicName(composed) != TopicName(decomposed))
        #expect(try TopicFilter(composed) != TopicFilter(decomposed))
        #expect(try !TopicFilter(composed).matches(TopicName(decomposed)))
        #expect(try !TopicFilter(composed + "/#").covers(TopicFilter(decomposed + "/#")))
        #expect(try Set([TopicName(composed), TopicName(decomposed)]).count == 2)
        #expect(try TopicName("\u{FEFF}a") != TopicName("a"))
    }

    @Test("two windows of one buffer are not taken for equal")
    func windows() throws {
        let both = ByteBuffer(string: "aabb")
        var first = both
        first.moveWriterIndex(to: 2)
        var second = both
        second.moveReaderIndex(to: 2)
        #expect(!first.hasSameBytes(as: second))
        #expect(try TopicName(validating: first) != TopicName(validating: second))
        #expect(try TopicFilter(validating: first) != TopicFilter(validating: second))
        #expect(try !TopicFilter(validating: first).matches(TopicName(validating: second)))
        #expect(try MQTTString(validating: first) != MQTTString(validating: second))
        #expect(Password(first) != Password(second))
        let topic = try TopicName("t")
        #expect(Publish(topic: topic, payload: first) != Publish(topic: topic, payload: second))
        #expect(Will(topic: topic, payload: first) != Will(topic: topic, payload: second))
        #expect(MQTTFrame(firstByte: 0x30, body: first) != MQTTFrame(firstByte: 0x30, body: second))
        #expect(
            PacketVector.properties { $0.correlationData = first }
                != PacketVector.properties { $0.correlationData = second }
        )
        #expect(try TopicName(validating: first) == TopicName("aa"))
        #expect(try TopicName(validating: first).hashValue == TopicName("aa").hashValue)
    }
}
