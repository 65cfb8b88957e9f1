import MQTTCodec
import NIOCore
import Testing

@Suite("Refused packets")
struct RefusalTests {
    @Test("refuses what is wrong and takes what is nearly the same", arguments: RefusalVector.all)
    func refuses(vector: RefusalVector) throws {
        #expect(try decode(wire(vector.accepted), vector.version, from: vector.sender) != nil)
        #expect(throws: vector.error) { try decode(wire(vector.refused), vector.version, from: vector.sender) }
    }

    @Test("PUBLISH is refused alike by either way in", arguments: RefusalVector.all)
    func refusesAlike(vector: RefusalVector) throws {
        var bytes = wire(vector.refused)
        guard let frame = try MQTTFrameDecoder.nextFrame(&bytes, maxPacketSize: 1000), frame.type == .publish else {
            return
        }
        #expect(throws: vector.error) { try Publish(frame: frame, version: vector.version, from: vector.sender) }
    }

    @Test("packets against the direction are refused (CVE-2021-28166)")
    func directions() throws {
        let fromClientOnly: Set<MQTTPacketType> = [.connect, .subscribe, .unsubscribe, .pingreq]
        let fromServerOnly: Set<MQTTPacketType> = [.connack, .suback, .unsuback, .pingresp]
        for vector in PacketVector.all {
            let type = vector.packet.type
            let field = "MQTT Control Packet type"
            if fromClientOnly.contains(type) || (type == .disconnect && vector.version != .v5) {
                #expect(!type.mayCome(from: .server, version: vector.version))
                #expect(throws: MQTTDecodeError(kind: .notAllowed(from: .server), field: field, offset: 0)) {
                    try decode(wire(vector.bytes), vector.version, from: .server)
                }
                #expect(try decode(wire(vector.bytes), vector.version, from: .client) == vector.packet)
            } else if fromServerOnly.contains(type) {
                #expect(!type.mayCome(from: .client, version: vector.version))
                #expect(throws: MQTTDecodeError(kind: .notAllowed(from: .client), field: field, offset: 0)) {
                    try decode(wire(vector.bytes), vector.version, from: .client)
                }
                #expect(try decode(wire(vector.bytes), vector.version, from: .server) == vector.packet)
            } else {
                #expect(type.mayCome(from: .client, version: vector.version))
                #expect(type.mayCome(from: .server, version: vector.version))
            }
        }
    }

    @Test("the peer is told the reason code that the standard gives")
    func reasonCodes() {
        let codes: [(MQTTDecodeError.Kind, ReasonCode)] = [
            (.truncated, .malformedPacket), (.trailingBytes(1), .malformedPacket), (.varIntTooLong, .malformedPacket),
            (.invalidQoS(3), .malformedPacket), (.unknownProperty(4), .malformedPacket),
            (.misplacedProperty, .malformedPacket), (.illFormedUTF8, .malformedPacket),
            (.nullCharacter, .malformedPacket), (.varIntNotMinimal, .malformedPacket),
            (.reservedPacketType(0), .malformedPacket), (.reservedBits(1), .malformedPacket),
            (.duplicateFlagWithQoS0, .malformedPacket), (.willFlagsWithoutWill, .malformedPacket),
            (.passwordWithoutUserName, .malformedPacket), (.invalidReasonCode(3), .malformedPacket),
            (.noLocalOnSharedSubscription, .protocolError), (.missingTopic, .protocolError),
            (.missingAuthenticationMethod, .protocolError), (.sessionPresentWithFailure, .protocolError),
            (.topicName(.empty), .topicNameInvalid), (.topicName(.tooDeep), .topicNameInvalid),
            (.topicFilter(.empty), .topicFilterInvalid), (.topicFilter(.misplacedWildcard), .topicFilterInvalid),
            (.sharedSubscription(.missingFilter), .topicFilterInvalid),
            (.unsupportedProtocolName, .unsupportedProtocolVersion),
            (.topicName(.nullCharacter), .malformedPacket), (.topicFilter(.illFormedUTF8), .malformedPacket),
            (.duplicateProperty, .protocolError), (.invalidValue(0), .protocolError), (.emptyList, .protocolError),
            (.notAllowed(from: .client), .protocolError), (.expectedConnect, .protocolError),
            (.packetIdentifierZero, .protocolError),
            (.packetTooLarge(size: 2, limit: 1), .packetTooLarge), (.topicAliasZero, .topicAliasInvalid),
            (.topicName(.misplacedWildcard), .topicNameInvalid), (.topicFilter(.tooDeep), .topicFilterInvalid),
            (.sharedSubscription(.emptyGroup), .topicFilterInvalid),
            (.tooManyUserProperties(limit: 64), .quotaExceeded),
            (.unsupportedProtocolLevel(6), .unsupportedProtocolVersion),
        ]
        for (kind, code) in codes {
            let error = MQTTDecodeError(kind: kind, field: "Field", offset: 7)
            #expect(error.reasonCode == code)
            #expect(error.description.hasPrefix("Field at byte 7: "))
            let isVersion = code == .unsupportedProtocolVersion
            #expect(error.connectReturnCode == (isVersion ? .unacceptableProtocolVersion : nil))
        }
    }

    @Test("a refused CONNECT tells in which version to answer")
    func versionForAnswer() {
        let frames: [(String, MQTTVersion?)] = [
            ("0004'MQTT' 06", .v5), ("0004'MQTT' 05", .v5), ("0004'MQTT' 04", .v311), ("0004'MQTT' 00", .v311),
            ("0004'MQTT' 85", .v5), ("0004'MQTT' 84", .v311), ("0006'MQIsdp' 03", .v311), ("0004'HTTP' 05", .v5),
            ("0004'MQTT'", nil), ("0005'MQTT'", nil), ("", nil),
        ]
        for (body, version) in frames {
            #expect(Connect.versionForAnswer(to: MQTTFrame(firstByte: 0x10, body: wire(body))) == version)
        }
        #expect(Connect.versionForAnswer(to: MQTTFrame(firstByte: 0x30, body: wire("0004'MQTT' 05"))) == nil)
    }
}
