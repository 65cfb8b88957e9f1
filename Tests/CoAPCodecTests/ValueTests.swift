import CoAPCodec
import NIOCore
import Testing

@Suite("Values of options")
struct ValueTests {
    @Test("blocks (RFC 7959 §2.2)")
    func blocks() throws {
        let cases: [(UInt32, UInt32, Bool, Int, Int)] = [
            (0x00, 0, false, 16, 0), (0x06, 0, false, 1024, 0), (0x0E, 0, true, 1024, 0), (0x1A, 1, true, 64, 64),
            (0x22, 2, false, 64, 128), (0xFFFFF6, 0xFFFFF, false, 1024, 0xFFFFF * 1024),
        ]
        for (value, number, hasMore, size, offset) in cases {
            let block = try #require(CoAPBlock(value: value))
            #expect(block.number == number && block.hasMore == hasMore && block.size == size)
            #expect(block.offset == offset)
            #expect(block.value == value)
        }
        for value: UInt32 in [7, 0x0F, 0xFF_FFFF, 0x100_0000, .max] { #expect(CoAPBlock(value: value) == nil) }
        for (bytes, exponent) in [(15, nil), (16, 0), (31, 0), (32, 1), (1023, 5), (1024, 6), (9999, 6)]
            as [(Int, UInt8?)]
        {
            #expect(CoAPBlock.sizeExponent(fitting: bytes) == exponent)
        }
    }

    @Test("which notification is newer (RFC 7641 §3.4)")
    func freshness() {
        let soon = TimeAmount.seconds(1)
        let cases: [(UInt32, UInt32, TimeAmount, Bool)] = [
            (2, 1, soon, true), (1, 2, soon, false), (1, 1, soon, false), (0, 0xFF_FFFF, soon, true),
            (0xFF_FFFF, 0, soon, false), (1 << 23, 0, soon, false), ((1 << 23) - 1, 0, soon, true),
            (0, (1 << 23) + 1, soon, true), (0, 1 << 23, soon, false), (1, 2, .seconds(128), false),
            (1, 2, .nanoseconds(128_000_000_001), true),
        ]
        for (sequence, newest, elapsed, isFresh) in cases {
            #expect(CoAPObserve.isFresh(sequence, after: newest, elapsed: elapsed) == isFresh, "\(sequence) \(newest)")
        }
    }

    @Test("content formats by number and by media type")
    func contentFormats() {
        #expect(CoAPContentFormat.json.mediaType == "application/json")
        #expect(CoAPContentFormat(mediaType: "Application/SenML+CBOR") == .senMLCBOR)
        #expect(CoAPContentFormat(mediaType: "text/plain; charset=utf-8") == .textPlain)
        #expect(CoAPContentFormat(mediaType: "text/plain") == .textPlain)
        #expect(CoAPContentFormat(mediaType: "text/html") == nil)
        #expect(CoAPContentFormat(rawValue: 65_000).mediaType == nil)
        #expect(CoAPContentFormat(rawValue: 65_000).description == "65000")
    }
}
