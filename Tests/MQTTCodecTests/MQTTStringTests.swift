import MQTTCodec
import NIOCore
import Testing

@Suite("Strings")
struct MQTTStringTests {
    // [MQTT-1.5.4-3]
    @Test("takes well-formed text as it is", arguments: ["", "a", "\u{FEFF}", "\u{FFFF}", "café", "𝄞", "\u{1}"])
    func good(text: String) throws {
        let string = try MQTTString(text)
        #expect(Array(string.buffer.readableBytesView) == Array(text.utf8))
        #expect(string.description == text)
        #expect(string.utf8Count == text.utf8.count && string.isEmpty == text.isEmpty)
        #expect(string.compacted() == string)
    }

    @Test("refuses what is no text")  // [MQTT-1.5.4-1], [MQTT-1.5.4-2]
    func bad() {
        typealias Failure = MQTTString.ValidationError
        let withNull = "a\0"
        #expect(throws: Failure.nullCharacter) { try MQTTString(withNull) }
        #expect(throws: Failure.illFormedUTF8) { try MQTTString(validating: ByteBuffer(bytes: [0xED, 0xA0, 0x80])) }
        #expect(throws: Failure.illFormedUTF8) { try MQTTString(validating: ByteBuffer(bytes: [0xC0, 0x80])) }
        #expect(throws: Failure.tooLong) { try MQTTString(String(repeating: "a", count: 65_536)) }
        #expect(throws: Never.self) { try MQTTString(String(repeating: "a", count: 65_535)) }
    }

    @Test("agrees with the standard library about every sequence of three bytes that matters")  // [MQTT-1.5.4-1]
    func exhaustive() {
        let interesting: [UInt8] = [
            0x01, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
            0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ]
        var wrong: [[UInt8]] = []
        for first in interesting {
            for second in interesting {
                for third in interesting {
                    for tail: [UInt8] in [[], [0x80], [0xBF], [0x41]] {
                        let bytes = [first, second, third] + tail
                        let accepted = (try? MQTTString(validating: ByteBuffer(bytes: bytes))) != nil
                        if accepted != (String(validating: bytes, as: UTF8.self) != nil) { wrong.append(bytes) }
                    }
                }
            }
        }
        #expect(wrong.isEmpty)
    }

    @Test("is compared by bytes")
    func equality() {
        let composed: MQTTString = "caf\u{E9}"
        let decomposed: MQTTString = "cafe\u{301}"
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed, "caf\u{E9}"]).count == 2)
        #expect(MQTTString("") == .empty)
    }
}
