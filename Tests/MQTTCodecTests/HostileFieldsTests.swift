import MQTTCodec
import NIOCore
import Testing

/// Every field of every packet with what may not stand there.
@Suite("Hostile fields")
struct HostileFieldsTests {
    @Test("the packets of which fields are spoilt are good", arguments: PacketShape.all.indices)
    func shapes(index: Int) throws {
        let shape = PacketShape.all[index]
        let packet = try MQTTPacket(frame: shape.frame(), version: shape.version)
        var bytes = encode(packet, shape.version)
        let frame = try #require(try MQTTFrameDecoder.nextFrame(&bytes, maxPacketSize: 1000))
        #expect(frame == shape.frame(), "\(shape.name)")
    }

    @Test("refuses a field that is not there, cut, or not as the standard wants it", arguments: FieldCase.all)
    func refuses(vector: FieldCase) {
        self.check(vector)
    }

    @Test("refuses a property whose value it may not have", arguments: FieldCase.propertyValues)
    func refusesProperty(vector: FieldCase) {
        self.check(vector)
    }

    private func check(_ vector: FieldCase) {
        #expect(throws: vector.error) { try MQTTPacket(frame: vector.frame, version: vector.version) }
        // The peer is told, and not that all was well.
        #expect(vector.error.reasonCode.isFailure)
    }

    @Test("takes odd text as it is, U+FEFF and non-characters too", arguments: OddText.good.indices)
    func oddText(index: Int) throws {
        let odd = OddText.good[index]
        for shape in PacketShape.all {
            for (index, field) in shape.fields.enumerated() {
                var bytes: ByteBuffer
                switch field.kind {
                case .text, .topicName, .topicFilter: bytes = odd.field
                case .properties:
                    var properties = wire(field.value)
                    properties.writeInteger(UInt8(0x26))
                    properties.writeImmutableBuffer(odd.field)
                    properties.writeImmutableBuffer(odd.field)
                    bytes = ByteBuffer(bytes: [UInt8(properties.readableBytes)])
                    bytes.writeBuffer(&properties)
                case .number, .packetID, .binary, .payload: continue
                }
                let frame = shape.frame(replacing: index, with: bytes)
                let packet = try MQTTPacket(frame: frame, version: shape.version)
                var written = encode(packet, shape.version)
                let again = try MQTTFrameDecoder.nextFrame(&written, maxPacketSize: 1000)
                #expect(again == frame, "\(odd.name) in \(field.name) of \(shape.name)")
            }
        }
    }
}
