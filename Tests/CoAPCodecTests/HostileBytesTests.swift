import CoAPCodec
import NIOCore
import TestSupport
import Testing

/// Every vector cut and changed in every place: nothing traps, and what is accepted is a message that can be written.
@Suite("Hostile bytes")
struct HostileBytesTests {
    @Test("every beginning of a message is refused, or is another good message", arguments: MessageVector.all)
    func beginnings(vector: MessageVector) throws {
        let bytes = wire(vector.bytes)
        for length in 0..<bytes.readableBytes {
            Self.check(try #require(bytes.getSlice(at: 0, length: length)))
        }
    }

    @Test("changing any byte to any value never traps", arguments: MessageVector.all)
    func mutations(vector: MessageVector) {
        let bytes = wire(vector.bytes)
        // What lies further behind in the longest is the inside of a value.
        for index in 0..<min(bytes.readableBytes, 48) {
            for value in UInt8.min...UInt8.max {
                var changed = bytes
                changed.setInteger(value, at: index)
                Self.check(changed)
            }
        }
    }

    @Test("a byte put in or taken out never traps", arguments: MessageVector.all)
    func insertionsAndDeletions(vector: MessageVector) {
        let bytes = Array(wire(vector.bytes).readableBytesView)
        for index in 0...bytes.count {
            for value: UInt8 in [0x00, 0x01, 0x0D, 0x0E, 0xD0, 0xE0, 0xF0, 0xFF] {
                Self.check(ByteBuffer(bytes: bytes[..<index] + [value] + bytes[index...]))
            }
            if index < bytes.count { Self.check(ByteBuffer(bytes: bytes[..<index] + bytes[(index + 1)...])) }
        }
    }

    @Test("random bytes never trap")
    func noise() {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...60, using: &generator)
            var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            if count > 0 { bytes[0] = bytes[0] & 0x38 | 0x40 }
            Self.check(ByteBuffer(bytes: bytes))
        }
    }

    /// What was accepted can be written and is then the same bytes: a message has one form only.
    private static func check(_ bytes: ByteBuffer) {
        // Not an #expect each: there are hundreds of thousands.
        guard let message = try? CoAPMessage(decoding: bytes) else { return }
        if message.encoded() != bytes { Issue.record("\(hex(bytes)) is written as other bytes") }
        if message.options.reduce(0, { count, _ in count + 1 }) != message.options.count {
            Issue.record("\(hex(bytes)) has another number of options")
        }
        _ = CoAPRequestOptions(message.options)
        _ = try? CoAPPath.topic(of: message.options)
        _ = CoRELinkFilter(message.options).matches(LinkTests.links[0])
    }
}
