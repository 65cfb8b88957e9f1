import MQTTCodec
import NIOCore
import Testing

@Suite("Packets")
struct PacketTests {
    @Test("decodes to the value", arguments: PacketVector.all)
    func decodes(vector: PacketVector) throws {
        #expect(try decode(wire(vector.bytes), vector.version) == vector.packet)
        #expect(vector.packet.type.rawValue == wire(vector.bytes).getInteger(at: 0, as: UInt8.self).map { $0 >> 4 })
    }

    @Test("encodes to the bytes, behind what is in the buffer", arguments: PacketVector.all)
    func encodes(vector: PacketVector) {
        #expect(hex(encode(vector.packet, vector.version)) == hex(wire(vector.bytes)))
        #expect(vector.packet.encodedSize(version: vector.version) == wire(vector.bytes).readableBytes)
        var buffer = ByteBuffer(string: "before")
        vector.packet.encode(into: &buffer, version: vector.version)
        #expect(buffer.readString(length: 6) == "before")
        #expect(hex(buffer) == hex(wire(vector.bytes)))
    }

    @Test("decodes from the middle of a buffer as well", arguments: PacketVector.all)
    func decodesSlices(vector: PacketVector) throws {
        var buffer = ByteBuffer(string: "before")
        var bytes = wire(vector.bytes)
        buffer.writeBuffer(&bytes)
        buffer.moveReaderIndex(forwardBy: 6)
        buffer.writeString("after")
        let frame = try #require(try MQTTFrameDecoder.nextFrame(&buffer, maxPacketSize: 1000))
        #expect(try MQTTPacket(frame: frame, version: vector.version) == vector.packet)
        #expect(String(buffer: buffer) == "after")
        // Whatever window of a buffer the body is: offsets in errors count from the packet.
        var padded = MQTTFrame(firstByte: frame.firstByte, body: ByteBuffer(string: "xx"))
        var body = frame.body
        padded.body.writeBuffer(&body)
        padded.body.moveReaderIndex(forwardBy: 2)
        padded.headerSize = frame.headerSize
        #expect(try MQTTPacket(frame: padded, version: vector.version) == vector.packet)
    }

    @Test("forms that are accepted but not written")
    func otherForms() throws {
        let forms: [(String, MQTTVersion, MQTTPacket)] = [
            ("40 03 0001 00", .v5, .puback(PubAck(packetID: 1))),
            ("40 04 0001 00 00", .v5, .puback(PubAck(packetID: 1))),
            ("40 04 0001 10 00", .v5, .puback(PubAck(packetID: 1, reasonCode: .noMatchingSubscribers))),
            ("E0 01 00", .v5, .disconnect(Disconnect())),
            ("E0 02 00 00", .v5, .disconnect(Disconnect())),
            // Only MQTT 5.0 forbids a padded length.
            ("C0 80 00", .v311, .pingreq),
            // MQTT 3.1 repeats these with DUP, and has bits without a meaning.
            (
                "8A 08 0001 0003'a/b' 00", .v31,
                .subscribe(
                    Subscribe(
                        packetID: 1,
                        subscriptions: [Subscription(filter: PacketVector.filter("a/b"), qos: .atMostOnce)]
                    )
                )
            ),
            ("6A 02 0001", .v31, .pubrel(PubAck(packetID: 1))),
            ("20 02 77 00", .v31, .connack(ConnAck())),
            // And its flags may promise a user name and a password that are not there.
            ("10 0F 0006'MQIsdp' 03 C2 0000 0001'n'", .v31, .connect(Connect(version: .v31, clientID: "n"))),
            (
                "10 12 0006'MQIsdp' 03 C3 0000 0001'n' 0001'u'", .v31,
                .connect(Connect(version: .v31, clientID: "n", userName: "u"))
            ),
        ]
        for (bytes, version, packet) in forms { #expect(try decode(wire(bytes), version) == packet, "\(bytes)") }
    }

    @Test("PUBLISH of every length of header", arguments: [0, 1, 121, 122, 123, 16_376, 16_377, 16_378, 300_000])
    func lengths(payload: Int) throws {
        let topic = try TopicName("a/b")
        for version in MQTTVersion.allCases {
            for qos in QoS.allCases {
                let publish = Publish(
                    topic: topic,
                    payload: ByteBuffer(repeating: 7, count: payload),
                    qos: qos,
                    packetID: qos == .atMostOnce ? 0 : 513
                )
                var buffer = ByteBuffer()
                publish.encode(into: &buffer, version: version)
                #expect(buffer.readableBytes == publish.encodedSize(version: version))
                let size = Publish.encodedSize(topicBytes: 3, payloadBytes: payload, qos: qos, version: version)
                #expect(buffer.readableBytes == size)
                let frame = try #require(try MQTTFrameDecoder.nextFrame(&buffer, maxPacketSize: size))
                #expect(try Publish(frame: frame, version: version) == publish)
                #expect(try MQTTPacket(frame: frame, version: version) == .publish(publish))
            }
        }
    }

    @Test("the short acknowledgements are written alike in all versions")
    func acknowledgements() {
        for type: MQTTPacketType in [.puback, .pubrec, .pubrel, .pubcomp] {
            var buffer = ByteBuffer()
            PubAck.write(type, packetID: 0x1234, into: &buffer)
            #expect(hex(buffer) == hex(wire("\(type == .pubrel ? "62" : "\(type.rawValue)0") 02 1234")))
        }
        var buffer = ByteBuffer()
        PubAck.write(packetID: 1, into: &buffer)
        #expect(hex(buffer) == "40020001")
    }

    @Test("what MQTT 3.x has no word for is left out or told in its words")
    func downgrades() throws {
        let properties = PacketVector.properties { $0.reasonString = "why" }
        let packets: [(MQTTPacket, String)] = [
            (.puback(PubAck(packetID: 1, reasonCode: .notAuthorized, properties: properties)), "40 02 0001"),
            (.suback(SubAck(packetID: 1, reasonCodes: [.grantedQoS1, .notAuthorized])), "90 04 0001 01 80"),
            (.unsuback(UnsubAck(packetID: 1, reasonCodes: [.success])), "B0 02 0001"),
            (.disconnect(Disconnect(reasonCode: .serverBusy, properties: properties)), "E0 00"),
            (.connack(ConnAck(reasonCode: .serverBusy, properties: properties)), "20 02 00 03"),
            (.connack(ConnAck(sessionPresent: true, reasonCode: .banned)), "20 02 00 05"),
        ]
        for (packet, bytes) in packets { #expect(hex(encode(packet, .v311)) == hex(wire(bytes)), "\(bytes)") }
    }

    @Test("secrets and payloads are in no description")
    func secrets() {
        let connect = Connect(
            version: .v5,
            clientID: "node",
            userName: "bob",
            password: Password(ByteBuffer(string: "hunter2")),
            properties: PacketVector.properties {
                $0.authenticationData = Password(ByteBuffer(string: "hunter2"))
            }
        )
        let publish = Publish(topic: PacketVector.topic("a"), payload: ByteBuffer(string: "hunter2"))
        let secret = ByteBuffer(string: "hunter2").hexDump(format: .compact)
        for value: Any in [connect, MQTTPacket.connect(connect), publish, MQTTPacket.publish(publish)] {
            var dumped = ""
            dump(value, to: &dumped)
            for text in [String(describing: value), String(reflecting: value), dumped] {
                #expect(!text.contains("hunter2") && !text.contains(secret))
            }
        }
        #expect(publish.description == "PUBLISH a qos 0 payload 7 bytes")
    }

    @Test("a packet is no larger than a PUBLISH needs, and empty properties are one reference")
    func sizes() {
        #expect(MemoryLayout<MQTTPacket>.stride <= 64)
        #expect(MemoryLayout<Publish>.stride <= 64)
        #expect(MemoryLayout<MQTTProperties>.size == MemoryLayout<Int>.size)
    }
}
