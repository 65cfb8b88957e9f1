import CoAPCodec
import NIOCore
import TestSupport
import Testing

@Suite("Lists of options")
struct OptionsTests {
    @Test("options added in any order stand in the order of their numbers, equal ones in the order of adding")
    func order() throws {
        var generator = SeededGenerator(seed: 7)
        for round in 0..<300 {
            var added: [(UInt16, UInt8)] = []
            var options = CoAPOptions()
            for index in 0..<UInt8(round % 12) {
                let number = UInt16.random(in: 0...UInt16([5, 30, 300, 65_535][round % 4]), using: &generator)
                added.append((number, index))
                let length = [0, 1, 12, 13, 268, 269][Int(index) % 6]
                options.append(CoAPOptionNumber(rawValue: number), ByteBuffer(repeating: index, count: length))
            }
            let sorted = added.enumerated().sorted { ($0.element.0, $0.offset) < ($1.element.0, $1.offset) }.map(
                \.element
            )
            #expect(options.map(\.number.rawValue) == sorted.map(\.0))
            #expect(options.map { $0.value.readableBytes } == sorted.map { [0, 1, 12, 13, 268, 269][Int($0.1) % 6] })
            #expect(options.count == added.count)
            // And they are read as they were written.
            let message = CoAPMessage(type: .confirmable, code: .get, messageID: 1, options: options)
            #expect(try CoAPMessage(decoding: message.encoded()) == message)
        }
    }

    @Test("numbers are written in as few bytes as do")
    func numbers() {
        let cases: [(UInt32, String)] = [
            (0, ""), (1, "01"), (255, "ff"), (256, "0100"), (65_535, "ffff"), (65_536, "010000"), (.max, "ffffffff"),
        ]
        for (value, bytes) in cases {
            var options = CoAPOptions()
            options.append(.maxAge, uint: value)
            #expect(options.first(.maxAge).map(hex) == bytes)
            #expect(options.map(\.uint) == [UInt64(value)])
        }
        #expect(CoAPOption(.maxAge, wire("0000000000000000")).uint == 0)
        #expect(CoAPOption(.maxAge, wire("000000000000000000")).uint == nil)
    }

    @Test("options are found and taken away by number")
    func removal() {
        var list = options((.uriPath, "'a'"), (.uriPath, "'b'"), (.uriQuery, "'q'"), (.block1, "0E"))
        #expect(list.values(.uriPath).map { String(buffer: $0) } == ["a", "b"])
        #expect(list.first(.uriQuery).map { String(buffer: $0) } == "q")
        #expect(list.first(.accept) == nil)
        list.remove(.uriPath)
        #expect(list == options((.uriQuery, "'q'"), (.block1, "0E")))
        list.remove(.accept)
        #expect(list.count == 2)
        #expect(list.filtered { $0.number == .block1 } == options((.block1, "0E")))
        #expect(list.compacted() == list)
    }
}
