import MQTTCodec
import NIOCore
import Testing

@Suite("Properties")
struct PropertiesTests {
    /// One value of each property as it is written.
    private static let samples: [(identifier: UInt8, bytes: String)] = [
        (0x01, "01"), (0x02, "00000001"), (0x03, "0001'c'"), (0x08, "0001'r'"), (0x09, "0001 FF"), (0x0B, "01"),
        (0x11, "00000001"), (0x12, "0001'i'"), (0x13, "0001"), (0x15, "0001'm'"), (0x16, "0001'd'"), (0x17, "01"),
        (0x18, "00000001"), (0x19, "01"), (0x1A, "0001'i'"), (0x1C, "0001's'"), (0x1F, "0001'r'"), (0x21, "0001"),
        (0x22, "0001"), (0x23, "0001"), (0x24, "01"), (0x25, "01"), (0x26, "0001'k'0001'v'"), (0x27, "00000001"),
        (0x28, "01"), (0x29, "01"), (0x2A, "01"),
    ]

    /// Table 2-4 by packet: what stands around the properties, and the identifiers that are allowed there.
    private static let places: [(name: String, type: UInt8, before: String, after: String, allowed: Set<UInt8>)] = [
        ("CONNECT", 0x10, "0004'MQTT' 05 02 0000", "0001'n'", [0x11, 0x15, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27]),
        (
            "will", 0x10, "0004'MQTT' 05 06 0000 00 0001'n'", "0001'w' 0000",
            [0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26]
        ),
        (
            "CONNACK", 0x20, "00 00", "",
            [
                0x11, 0x12, 0x13, 0x15, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A,
            ]
        ),
        ("PUBLISH", 0x30, "0001'a'", "", [0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26]),
        ("PUBACK", 0x40, "0001 00", "", [0x1F, 0x26]),
        ("PUBREC", 0x50, "0001 00", "", [0x1F, 0x26]),
        ("PUBREL", 0x62, "0001 00", "", [0x1F, 0x26]),
        ("PUBCOMP", 0x70, "0001 00", "", [0x1F, 0x26]),
        ("SUBSCRIBE", 0x82, "0001", "0001'a' 00", [0x0B, 0x26]),
        ("SUBACK", 0x90, "0001", "00", [0x1F, 0x26]),
        ("UNSUBSCRIBE", 0xA2, "0001", "0001'a'", [0x26]),
        ("UNSUBACK", 0xB0, "0001", "00", [0x1F, 0x26]),
        ("DISCONNECT", 0xE0, "80", "", [0x11, 0x1C, 0x1F, 0x26]),
        ("AUTH", 0xF0, "18", "", [0x15, 0x1F, 0x26]),
    ]

    @Test("every property is taken where the standard allows it, and nowhere else")
    func table() throws {
        for place in Self.places {
            for sample in Self.samples {
                // Authentication Data never comes without its method, AUTH never without.
                let needsMethod = place.name == "AUTH" && sample.identifier != 0x15
                let prefix = needsMethod ? "150001'm'" : ""
                var properties = wire("\(prefix)")
                properties.writeInteger(sample.identifier)
                properties.writeImmutableBuffer(wire(sample.bytes))
                var body = wire(place.before)
                body.writeInteger(UInt8(properties.readableBytes))
                body.writeBuffer(&properties)
                body.writeImmutableBuffer(wire(place.after))
                let frame = MQTTFrame(firstByte: place.type, body: body)
                let result = Result { try MQTTPacket(frame: frame, version: .v5) }
                let isData = sample.identifier == 0x16
                if place.allowed.contains(sample.identifier) || (isData && place.name == "AUTH") {
                    #expect(throws: Never.self, "\(place.name) \(sample.identifier)") { try result.get() }
                } else {
                    let error = #expect(throws: MQTTDecodeError.self) { try result.get() }
                    let mayLackMethod = isData && ["CONNECT", "CONNACK"].contains(place.name)
                    #expect(
                        error?.kind == (mayLackMethod ? .missingAuthenticationMethod : .misplacedProperty),
                        "\(place.name) \(sample.identifier)"
                    )
                }
            }
        }
    }

    @Test("every property but the user's is refused the second time")
    func duplicates() throws {
        for place in Self.places {
            for sample in Self.samples where place.allowed.contains(sample.identifier) {
                var property = ByteBuffer(bytes: [sample.identifier])
                property.writeImmutableBuffer(wire(sample.bytes))
                var body = wire(place.before)
                let method = wire(place.name == "AUTH" && sample.identifier != 0x15 ? "150001'm'" : "")
                body.writeInteger(UInt8(property.readableBytes * 2 + method.readableBytes))
                body.writeImmutableBuffer(method)
                body.writeImmutableBuffer(property)
                body.writeImmutableBuffer(property)
                body.writeImmutableBuffer(wire(place.after))
                let result = Result {
                    try MQTTPacket(frame: MQTTFrame(firstByte: place.type, body: body), version: .v5)
                }
                if sample.identifier == 0x26 || (sample.identifier == 0x0B && place.name == "PUBLISH") {
                    #expect(throws: Never.self) { try result.get() }
                } else {
                    let error = #expect(throws: MQTTDecodeError.self) { try result.get() }
                    #expect(error?.kind == .duplicateProperty && error?.reasonCode == .protocolError)
                }
            }
        }
    }

    @Test("empty ones stay empty when absence is set, and equal those whose values were taken away")
    func emptiness() {
        var properties = MQTTProperties()
        properties.topicAlias = nil
        properties.userProperties = []
        #expect(properties.isEmpty && properties == MQTTProperties())
        properties.topicAlias = 1
        #expect(!properties.isEmpty && properties != MQTTProperties())
        properties.topicAlias = nil
        #expect(properties.isEmpty && properties == MQTTProperties())
        #expect(MQTTProperties() == properties)
    }

    @Test("copies do not share changes")
    func copies() {
        var first = PacketVector.properties { $0.receiveMaximum = 1 }
        var second = first
        second.receiveMaximum = 2
        second.userProperties.append(UserProperty(name: "k", value: "v"))
        #expect(first.receiveMaximum == 1 && first.userProperties.isEmpty)
        first.receiveMaximum = 3
        #expect(second.receiveMaximum == 2 && second.userProperties.count == 1)
    }

    @Test("user properties keep their order and their repetitions")  // [MQTT-3.3.2-18]
    func order() throws {
        let bytes = wire("30 19 0001'a' 15 260001'b'0001'1' 260001'a'0001'2' 260001'b'0001'1'")
        guard case .publish(let publish) = try decode(bytes, .v5) else {
            Issue.record("no PUBLISH")
            return
        }
        let pairs = publish.properties.userProperties.map { "\($0.name)=\($0.value)" }
        #expect(pairs == ["b=1", "a=2", "b=1"])
    }

    @Test("a topic alias stands for an absent topic")
    func alias() throws {
        guard case .publish(let publish) = try decode(wire("30 06 0000 03 230005"), .v5) else {
            Issue.record("no PUBLISH")
            return
        }
        #expect(publish.namesTopicByAliasOnly && publish.properties.topicAlias == 5)
        #expect(hex(encode(.publish(publish), .v5)) == hex(wire("30 06 0000 03 230005")))
    }
}
