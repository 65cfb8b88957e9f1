import MQTTCodec
import NIOCore

/// Any body behind the first byte of a packet: what is accepted can be written, is as long as it says, and is read as the same.
enum PacketTarget {
    static func check(_ input: FuzzInput, type: MQTTPacketType) {
        var input = input
        let selector = input.byte()
        let version = [MQTTVersion.v31, .v311, .v5, .v5][Int(selector & 0b11)]
        let sender = [nil, MQTTPeer.client, .server, nil][Int(selector >> 2 & 0b11)]
        let maxUserProperties = selector & 0x20 != 0 ? 1 : MQTTProperties.defaultMaxUserProperties
        let firstByte = type.rawValue << 4 | input.byte() & 0x0F
        let body = ByteBuffer(bytes: input.remaining())
        var frame = MQTTFrame(firstByte: firstByte, body: body)
        if selector & 0x10 != 0, frame.headerSize < 5 { frame.headerSize += 1 }

        let result = Self.decode(frame, version, from: sender, maxUserProperties: maxUserProperties)
        var moved = frame
        moved.body = body.moved(by: 5)
        expect(
            Self.decode(moved, version, from: sender, maxUserProperties: maxUserProperties) == result,
            "the result depends on where the body lies"
        )
        if type == .publish { Self.checkPublish(frame, version, sender, maxUserProperties, result) }
        switch result {
        case .success(let packet):
            Tally.count("taken")
            expect(packet.type == type, "another type of packet")
            expect(Self.decode(frame, version, from: nil) == result, "more is refused if the sender is not known")
            Self.checkRewrite(of: packet, version)
        case .failure(let error):
            Tally.count("refused")
            let size = Int(frame.headerSize) + body.readableBytes
            expect((0...size).contains(error.offset), "an error beyond the packet: \(error)")
            expect(error.reasonCode.rawValue >= 0x80, "told as a success: \(error)")
        }
        if type == .connect { _ = Connect.versionForAnswer(to: frame) }
    }

    private static func decode(
        _ frame: MQTTFrame,
        _ version: MQTTVersion,
        from sender: MQTTPeer?,
        maxUserProperties: Int = MQTTProperties.defaultMaxUserProperties
    ) -> Result<MQTTPacket, MQTTDecodeError> {
        Result { () throws(MQTTDecodeError) -> MQTTPacket in
            try MQTTPacket(frame: frame, version: version, from: sender, maxUserProperties: maxUserProperties)
        }
    }

    /// The way of the message path comes to the same.
    private static func checkPublish(
        _ frame: MQTTFrame,
        _ version: MQTTVersion,
        _ sender: MQTTPeer?,
        _ maxUserProperties: Int,
        _ expected: Result<MQTTPacket, MQTTDecodeError>
    ) {
        let result = Result { () throws(MQTTDecodeError) -> MQTTPacket in
            .publish(
                try Publish(frame: frame, version: version, from: sender, maxUserProperties: maxUserProperties)
            )
        }
        expect(result == expected, "PUBLISH differs by the way in")
    }

    private static func checkRewrite(of packet: MQTTPacket, _ version: MQTTVersion) {
        var version = version
        if case .connect(let connect) = packet { version = connect.version }
        let size = packet.encodedSize(version: version)
        var written = Self.encode(packet, version)
        expect(written.readableBytes == size, "\(size) bytes said, \(written.readableBytes) written")
        var short = written
        do throws(MQTTDecodeError) {
            guard let frame = try MQTTFrameDecoder.nextFrame(&written, maxPacketSize: size) else {
                fatalError("what was written is no whole frame")
            }
            expect(written.readableBytes == 0, "bytes behind what was written")
            expect(try MQTTPacket(frame: frame, version: version) == packet, "what was written is another packet")
        } catch {
            fatalError("what was written is refused: \(error)")
        }
        expect((try? MQTTFrameDecoder.nextFrame(&short, maxPacketSize: size - 1)) == nil, "larger than it said")

        // In the words of the other versions: as long as it says, too.
        for other in MQTTVersion.allCases where other != version && (packet.type != .auth || other == .v5) {
            if case .connect = packet { continue }
            let bytes = Self.encode(packet, other)
            expect(bytes.readableBytes == packet.encodedSize(version: other), "another size in MQTT \(other)")
        }
    }

    /// Behind something else, as in a buffer of several packets.
    private static func encode(_ packet: MQTTPacket, _ version: MQTTVersion) -> ByteBuffer {
        var buffer = ByteBuffer(repeating: 0xEE, count: 3)
        packet.encode(into: &buffer, version: version)
        buffer.moveReaderIndex(forwardBy: 3)
        return buffer
    }
}
