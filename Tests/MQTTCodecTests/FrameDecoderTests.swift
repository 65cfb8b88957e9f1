import MQTTCodec
import NIOCore
import NIOTestUtils
import Testing

@Suite("Frames")
struct FrameDecoderTests {
    private func frames(_ bytes: ByteBuffer, maxPacketSize: Int = 1000) throws -> [MQTTFrame] {
        let decoder = MQTTFrameDecoder(maxPacketSize: maxPacketSize)
        var rest = bytes
        var frames: [MQTTFrame] = []
        while let frame = try decoder.nextFrame(&rest) { frames.append(frame) }
        return frames
    }

    @Test("drip-fed and coalesced streams give the same frames")
    func verifier() throws {
        let pairs = try PacketVector.all.map { vector in
            (wire(vector.bytes), try self.frames(wire(vector.bytes)))
        }
        #expect(pairs.allSatisfy { $0.1.count == 1 })
        var all = ByteBuffer()
        for (bytes, _) in pairs { all.writeImmutableBuffer(bytes) }
        try ByteToMessageDecoderVerifier.verifyDecoder(
            inputOutputPairs: pairs + [(all, pairs.flatMap(\.1))],
            decoderFactory: { MQTTFrameDecoder(maxPacketSize: 1000) }
        )
    }

    @Test("the longest Remaining Length is taken, a fifth byte is not, even before it comes")
    func remainingLength() throws {
        var longest = wire("30 FF FF FF 7F")
        let limit = 268_435_455 + 5
        #expect(try MQTTFrameDecoder.nextFrame(&longest, maxPacketSize: limit) == nil)
        for bytes in ["30 80 80 80 80", "30 FF FF FF FF 01", "30 80 80 80 80 00"] {
            var buffer = wire(bytes)
            #expect(throws: MQTTDecodeError(kind: .varIntTooLong, field: "Remaining Length", offset: 1)) {
                try MQTTFrameDecoder.nextFrame(&buffer, maxPacketSize: limit)
            }
        }
        for bytes in ["", "30", "30 80", "30 80 80", "30 80 80 80"] {
            var buffer = wire(bytes)
            #expect(try MQTTFrameDecoder.nextFrame(&buffer, maxPacketSize: limit) == nil)
        }
    }

    @Test("a packet over the limit is refused from its header")
    func limits() throws {
        var decoder = MQTTFrameDecoder(maxPacketSize: 130)
        var fits = wire("30 7F")
        #expect(try decoder.nextFrame(&fits) == nil)
        var over = wire("30 81 01")
        let kind = MQTTDecodeError.Kind.packetTooLarge(size: 132, limit: 130)
        let error = MQTTDecodeError(kind: kind, field: "Remaining Length", offset: 1)
        #expect(throws: error) { try decoder.nextFrame(&over) }
        #expect(error.reasonCode == .packetTooLarge)
        decoder.maxPacketSize = 132
        #expect(try decoder.nextFrame(&over) == nil)
        var exact = wire("30 02 0000")
        decoder.maxPacketSize = 3
        #expect(throws: MQTTDecodeError.self) { try decoder.nextFrame(&exact) }
        decoder.maxPacketSize = 4
        #expect(try decoder.nextFrame(&exact)?.body == wire("0000"))
        #expect(exact.readableBytes == 0)
    }

    @Test("before CONNECT anything else is refused from its first byte")  // [MQTT-3.1.0-1]
    func expectsConnect() throws {
        var decoder = MQTTFrameDecoder(maxPacketSize: 1000, expectsConnect: true)
        var request = ByteBuffer(string: "G")
        let error = MQTTDecodeError(kind: .expectedConnect, field: "MQTT Control Packet type", offset: 0)
        #expect(throws: error) { try decoder.nextFrame(&request) }
        var connect = wire("10 02 0000 C0 00")
        #expect(try decoder.nextFrame(&connect)?.type == .connect)
        decoder.expectsConnect = false
        #expect(try decoder.nextFrame(&connect)?.type == .pingreq)
    }

    @Test("works inside NIO's processor, and stops at an error")
    func processor() throws {
        let processor = NIOSingleStepByteToMessageProcessor(MQTTFrameDecoder(maxPacketSize: 1000))
        var types: [MQTTPacketType?] = []
        try processor.process(buffer: wire("C0")) { types.append($0.type) }
        try processor.process(buffer: wire("00 D0 00 E0")) { types.append($0.type) }
        #expect(types == [.pingreq, .pingresp])
        #expect(throws: MQTTDecodeError.self) {
            try processor.process(buffer: wire("FF FF FF FF")) { types.append($0.type) }
        }
        #expect(types.count == 2)
    }

    @Test("a frame knows its type")
    func types() {
        for type in MQTTPacketType.allCases {
            #expect(MQTTFrame(firstByte: type.rawValue << 4 | 5, body: ByteBuffer()).type == type)
        }
        #expect(MQTTFrame(firstByte: 0x0F, body: ByteBuffer()).type == nil)
    }
}
