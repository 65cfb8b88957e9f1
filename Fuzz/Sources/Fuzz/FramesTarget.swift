import MQTTCodec
import NIOCore

/// Any bytes cut anywhere: frames and refusal are the same as for the whole, and the same as a plain reading of the standard
/// gives.
enum FramesTarget {
    /// What a stream is cut into.
    private struct Outcome: Equatable {
        var frames: [MQTTFrame] = []
        var error: MQTTDecodeError?
    }

    static func check(_ input: FuzzInput) {
        var input = input
        let flags = input.byte()
        var decoder = MQTTFrameDecoder(maxPacketSize: Int(input.uint16()), expectsConnect: flags & 1 != 0)
        if flags & 2 != 0 { decoder.maxPacketSize *= 4096 }
        let chunkSeed = input.byte()
        let stream = input.remaining()

        var whole = ByteBuffer(bytes: stream)
        var outcome = Outcome()
        Self.cut(&whole, decoder, into: &outcome)
        let plain = Self.plain(stream, decoder)
        expect(outcome == plain, "\(outcome), but a plain reading gives \(plain)")
        Tally.count(outcome.error == nil ? "streams taken" : "streams refused")

        // As a connection does it: what remains of one read stands before the next.
        var chunks = chunkSeed
        var position = 0
        var partial = ByteBuffer()
        var dripped = Outcome()
        while position < stream.count, dripped.error == nil {
            chunks = chunks &* 37 &+ 11
            let length = min(Int(chunks >> 4) + 1, stream.count - position)
            partial.writeBytes(stream[position..<(position + length)])
            position += length
            Self.cut(&partial, decoder, into: &dripped)
            if chunks & 1 != 0 { partial.discardReadBytes() }
        }
        expect(dripped == outcome, "frames depend on how the stream is cut")

        self.checkProcessor(stream, decoder, outcome, chunkSeed: Int(chunkSeed))
    }

    private static func cut(_ buffer: inout ByteBuffer, _ decoder: MQTTFrameDecoder, into outcome: inout Outcome) {
        do throws(MQTTDecodeError) {
            while true {
                let before = buffer
                guard let frame = try decoder.nextFrame(&buffer) else {
                    expect(buffer.readerIndex == before.readerIndex, "bytes taken without a frame")
                    return
                }
                let size = Int(frame.headerSize) + frame.body.readableBytes
                expect(buffer.readerIndex == before.readerIndex + size, "frame of another size than was taken")
                outcome.frames.append(frame)
            }
        } catch {
            outcome.error = error
        }
    }

    /// Through NIO's own driver of such decoders.
    private static func checkProcessor(
        _ stream: [UInt8],
        _ decoder: MQTTFrameDecoder,
        _ expected: Outcome,
        chunkSeed: Int
    ) {
        let processor = NIOSingleStepByteToMessageProcessor(decoder)
        var outcome = Outcome()
        let middle = stream.isEmpty ? 0 : chunkSeed % stream.count
        do {
            try processor.process(buffer: ByteBuffer(bytes: stream[..<middle])) { outcome.frames.append($0) }
            try processor.process(buffer: ByteBuffer(bytes: stream[middle...])) { outcome.frames.append($0) }
            try processor.finishProcessing(seenEOF: true) { outcome.frames.append($0) }
        } catch {
            outcome.error = error as? MQTTDecodeError
        }
        expect(outcome == expected, "frames depend on the driver")
    }

    /// MQTT 5.0 §2.1, with what the decoder promises besides, over an array.
    private static func plain(_ stream: [UInt8], _ decoder: MQTTFrameDecoder) -> Outcome {
        var outcome = Outcome()
        var position = 0
        while position < stream.count {
            if decoder.expectsConnect, stream[position] >> 4 != 1 {
                outcome.error = MQTTDecodeError(kind: .expectedConnect, field: "MQTT Control Packet type", offset: 0)
                return outcome
            }
            var length = 0
            var digits = 0
            while true {
                guard digits < 4 else {
                    outcome.error = MQTTDecodeError(kind: .varIntTooLong, field: "Remaining Length", offset: 1)
                    return outcome
                }
                guard position + 1 + digits < stream.count else { return outcome }
                let digit = Int(stream[position + 1 + digits])
                length += (digit % 128) << (7 * digits)
                digits += 1
                if digit < 128 { break }
            }
            let size = 1 + digits + length
            if size > decoder.maxPacketSize {
                let kind = MQTTDecodeError.Kind.packetTooLarge(size: size, limit: decoder.maxPacketSize)
                outcome.error = MQTTDecodeError(kind: kind, field: "Remaining Length", offset: 1)
                return outcome
            }
            guard position + size <= stream.count else { return outcome }
            let body = ByteBuffer(bytes: stream[(position + 1 + digits)..<(position + size)])
            var frame = MQTTFrame(firstByte: stream[position], body: body)
            frame.headerSize = UInt8(1 + digits)
            outcome.frames.append(frame)
            position += size
        }
        return outcome
    }
}
