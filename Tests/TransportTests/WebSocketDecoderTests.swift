import NIOCore
import Testing

@testable import Transport

@Suite struct WebSocketDecoderTests {
    private typealias Frames = WebSocketFrames

    /// Reads `bytes` in parts of `size`, keeping what is left as the handler does.
    private func decode(_ bytes: [UInt8], by size: Int, max: Int = 1 << 20) throws -> [WebSocketDecoder.Piece] {
        var decoder = WebSocketDecoder(maxFrameBytes: max)
        var partial = PartialFrame()
        var pieces: [WebSocketDecoder.Piece] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            var buffer = partial.join(ByteBuffer(bytes: bytes[start..<min(start + size, bytes.count)]))
            while let piece = try decoder.next(&buffer) { pieces.append(piece) }
            partial.keep(buffer)
            #expect(partial.count < 139)
        }
        return pieces
    }

    /// All bytes of data, and the rest in order.
    private func summary(_ pieces: [WebSocketDecoder.Piece]) -> (data: [UInt8], control: [WebSocketDecoder.Piece]) {
        var data: [UInt8] = []
        var control: [WebSocketDecoder.Piece] = []
        for piece in pieces {
            if case .data(let bytes) = piece { data += Array(bytes.readableBytesView) } else { control.append(piece) }
        }
        return (data, control)
    }

    private static let packet: [UInt8] = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    /// The same 70,000 bytes, cut into frames in different ways.
    private static let cuts: [(String, [UInt8])] = {
        let packet = Self.packet
        func fragments(_ sizes: [Int], between: [UInt8] = []) -> [UInt8] {
            var (bytes, start): ([UInt8], Int) = ([], 0)
            for (index, size) in (sizes + [packet.count - sizes.reduce(0, +)]).enumerated() {
                let first: UInt8 = (index == sizes.count ? 0x80 : 0) | (index == 0 ? 2 : 0)
                bytes += Frames.frame(first, Array(packet[start..<start + size])) + between
                start += size
            }
            return bytes
        }
        return [
            ("one frame", Frames.frame(0x82, packet)),
            (
                "a frame for each thousand",
                stride(from: 0, to: 70_000, by: 1000).flatMap {
                    Frames.frame(0x82, Array(packet[$0..<$0 + 1000]))
                }
            ),
            ("five fragments", fragments([1, 125, 126, 65_536])),
            ("five fragments, a ping after each", fragments([1, 2, 3, 4], between: Frames.frame(0x89, [1, 2]))),
            ("empty frames and fragments", Frames.frame(0x82) + fragments([0, 0, 0]) + Frames.frame(0x82)),
        ]
    }()

    @Test("gives the same bytes however they are cut", arguments: cuts.indices, [1, 2, 3, 7, 1000, 16_384, 1 << 20])
    func cutting(index: Int, size: Int) throws {
        let (name, bytes) = Self.cuts[index]
        let (data, control) = self.summary(try self.decode(bytes, by: size))
        #expect(data == Self.packet, "\(name)")
        #expect(control.allSatisfy { $0 == .ping(ByteBuffer(bytes: [1, 2])) })
        #expect(control.count == (name.contains("ping") ? 5 : 0))
    }

    @Test("passes a frame's payload on as it arrives")
    func streaming() throws {
        var decoder = WebSocketDecoder(maxFrameBytes: 1000)
        let frame = Frames.frame(0x82, Array(repeating: 9, count: 1000))
        var buffer = ByteBuffer(bytes: frame[..<28])
        guard case .data(let bytes)? = try decoder.next(&buffer) else { throw Missing() }
        #expect(bytes == ByteBuffer(repeating: 9, count: 20))
        #expect(try decoder.next(&buffer) == nil && buffer.readableBytes == 0)
    }

    private struct Missing: Error {}

    @Test("a Close frame has its code, or none", arguments: [1000, 1001, 1003, 1007, 1011, 3000, 4999])
    func close(code: Int) throws {
        let payload = [UInt8(code >> 8), UInt8(code & 0xFF)]
        for size in [1, 100] {
            #expect(try self.decode(Frames.frame(0x88, payload), by: size) == [.close(UInt16(code))])
            #expect(try self.decode(Frames.frame(0x88, payload + Array("é".utf8)), by: size) == [.close(UInt16(code))])
            #expect(try self.decode(Frames.frame(0x88), by: size) == [.close(nil)])
        }
    }

    // MARK: Hostile frames

    /// What is sent, and the code it is answered with.
    private static let hostile: [(String, [UInt8], UInt16)] = [
        ("not masked", Frames.frame(0x82, [1], isMasked: false), 1002),
        ("an empty one, not masked", Frames.frame(0x82, isMasked: false), 1002),
        ("text", Frames.frame(0x81, Array("MQTT".utf8)), 1003),
        ("the start of a text", Frames.frame(0x01, [0x4D]), 1003),
        ("RSV1, as of a compressed message", Frames.frame(0xC2, [1]), 1002),
        ("RSV2", Frames.frame(0xA2, [1]), 1002),
        ("RSV3 on a ping", Frames.frame(0x99, [1]), 1002),
        ("opcode 3", Frames.frame(0x83, [1]), 1002),
        ("opcode 7", Frames.frame(0x87, [1]), 1002),
        ("opcode 11", Frames.frame(0x8B), 1002),
        ("opcode 15", Frames.frame(0x8F), 1002),
        ("a continuation of nothing", Frames.frame(0x80, [1]), 1002),
        ("a continuation after a whole message", Frames.frame(0x82, [1]) + Frames.frame(0x80, [2]), 1002),
        ("a message within a message", Frames.frame(0x02, [1]) + Frames.frame(0x82, [2]), 1002),
        ("text within a message", Frames.frame(0x02, [1]) + Frames.frame(0x81, [2]), 1003),
        ("a ping in fragments", Frames.frame(0x09, [1]), 1002),
        ("a close in fragments", Frames.frame(0x08), 1002),
        ("a ping of 126 bytes", Frames.frame(0x89, Array(repeating: 1, count: 126)), 1002),
        ("a ping with a length of 64 bits", Frames.header(0x89, 5, lengthBytes: 8), 1002),
        ("a length of 125 in 16 bits", Frames.frame(0x82, Array(repeating: 1, count: 125), lengthBytes: 2), 1002),
        ("a length of 0 in 16 bits", Frames.frame(0x82, lengthBytes: 2), 1002),
        ("a length of 65535 in 64 bits", Frames.header(0x82, 65_535, lengthBytes: 8), 1002),
        ("one byte too long", Frames.header(0x82, 1001), 1009),
        ("4 GiB", Frames.header(0x82, 1 << 32), 1009),
        ("the largest length", [0x82, 0xFF] + Array(repeating: 0xFF, count: 8), 1009),
        ("the largest signed length", [0x82, 0xFF, 0x7F] + Array(repeating: 0xFF, count: 7), 1009),
        ("a close with half a code", Frames.frame(0x88, [3]), 1002),
        ("a close with code 0", Frames.frame(0x88, [0, 0]), 1002),
        ("a close with code 999", Frames.frame(0x88, [3, 0xE7]), 1002),
        ("a close with 1005, which is never sent", Frames.frame(0x88, [3, 0xED]), 1002),
        ("a close with 1006, which is never sent", Frames.frame(0x88, [3, 0xEE]), 1002),
        ("a close with 1015, which is never sent", Frames.frame(0x88, [3, 0xF7]), 1002),
        ("a close with 2999", Frames.frame(0x88, [0x0B, 0xB7]), 1002),
        ("a close with 5000", Frames.frame(0x88, [0x13, 0x88]), 1002),
        ("a close with a reason that is not UTF-8", Frames.frame(0x88, [3, 0xE8, 0xC3]), 1007),
    ]

    @Test(
        "a frame against the rules fails with its code, at once or byte by byte",
        arguments: hostile.indices,
        [1, 1000]
    )
    func refused(index: Int, size: Int) {
        let (name, bytes, code) = Self.hostile[index]
        let error = #expect(throws: WebSocketError.self, "\(name)") {
            _ = try self.decode(bytes, by: size, max: 1000)
        }
        #expect(error?.answer == .close(code), "\(name)")
    }

    @Test("a header alone is enough to refuse a frame that is too long: its masking key is not waited for")
    func early() {
        #expect(throws: WebSocketError.self) { try self.decode([0x82, 0xFE, 0xFF, 0xFF], by: 4, max: 1000) }
        #expect(throws: WebSocketError.self) { try self.decode([0xF2], by: 1) }
    }

    @Test("waits for the rest of a frame that is shorter than it says, and reads nothing behind its end")
    func short() throws {
        for length in 0..<12 {
            let bytes = Array(Frames.frame(0x89, [1, 2, 3, 4, 5, 6]).prefix(length))
            #expect(try self.decode(bytes, by: 100).isEmpty)
            #expect(try self.decode(bytes, by: 1).isEmpty)
        }
    }

    @Test("ten thousand streams of noise end in pieces or a refusal, and hold nothing long")
    func noise() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<10_000 {
            let bytes = (0..<Int.random(in: 1...64, using: &generator)).map { _ in UInt8.random(in: 0...255) }
            _ = try? self.decode([0x82] + bytes, by: Int.random(in: 1...64, using: &generator))
        }
    }
}
