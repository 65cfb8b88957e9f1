import NIOCore
import Testing

@testable import MQTTCodec

@Suite("Serialized properties")
struct SerializedPropertiesTests {
    @Test("come back as they were, and take no bytes if there are none")
    func roundTrip() throws {
        #expect(MQTTProperties().serialized.readableBytes == 0)
        #expect(try MQTTProperties(serialized: ByteBuffer()).isEmpty)
        let topic = try TopicName(validating: wire("'answers/1'"))
        let properties = PacketVector.properties {
            $0.payloadFormat = .utf8
            $0.messageExpiryInterval = 60
            $0.contentType = "text/plain"
            $0.responseTopic = topic
            $0.correlationData = wire("00FF")
            $0.userProperties = (0..<200).map { UserProperty(name: "b", value: MQTTString(stringLiteral: "\($0)")) }
        }
        let bytes = properties.serialized
        #expect(try MQTTProperties(serialized: bytes) == properties)
        var emptied = PacketVector.properties { $0.contentType = "a" }
        emptied.contentType = nil
        #expect(emptied.serialized.readableBytes == 0)
    }

    @Test("are the bytes of a PUBLISH without their length, wherever the buffer starts")
    func bytes() throws {
        let properties = PacketVector.properties {
            $0.contentType = "t"
            $0.payloadFormat = .utf8
        }
        #expect(hex(properties.serialized) == hex(wire("01 01 03 0001't'")))
        var buffer = wire("FFFF 01 01 03 0001't'")
        buffer.moveReaderIndex(forwardBy: 2)
        #expect(try MQTTProperties(serialized: buffer) == properties)
    }

    @Test(
        "that are cut short, too long, repeated or of another packet are refused",
        arguments: [
            ("01", .truncated, 1), ("03 0002't'", .truncated, 1), ("01 01 00", .unknownProperty(0), 2),
            ("01 01 01 01", .duplicateProperty, 2), ("18 00000001", .misplacedProperty, 0),
            ("01 02", .invalidValue(2), 1), ("26 0001'k'", .truncated, 4), ("80", .truncated, 0),
        ] as [(String, MQTTDecodeError.Kind, Int)]
    )
    func refusals(notation: String, kind: MQTTDecodeError.Kind, offset: Int) {
        let error = #expect(throws: MQTTDecodeError.self) { try MQTTProperties(serialized: wire(notation)) }
        #expect(error?.kind == kind)
        #expect(error?.offset == offset)
    }
}
