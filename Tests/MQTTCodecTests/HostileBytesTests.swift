import MQTTCodec
import NIOCore
import Testing

/// Every vector cut and changed in every place: nothing traps, and what is accepted is a packet that can be written.
@Suite("Hostile bytes")
struct HostileBytesTests {
    @Test("the beginning of a packet is no packet", arguments: PacketVector.all)
    func beginnings(vector: PacketVector) throws {
        let bytes = wire(vector.bytes)
        for length in 0..<bytes.readableBytes {
            var start = bytes.getSlice(at: 0, length: length) ?? ByteBuffer()
            #expect(try MQTTFrameDecoder.nextFrame(&start, maxPacketSize: 1000) == nil)
            #expect(start.readableBytes == length)
        }
    }

    @Test("a packet whose body is cut short is refused, or is another good packet", arguments: PacketVector.all)
    func cutBodies(vector: PacketVector) throws {
        var bytes = wire(vector.bytes)
        let frame = try #require(try MQTTFrameDecoder.nextFrame(&bytes, maxPacketSize: 1000))
        for length in 0..<frame.body.readableBytes {
            let body = try #require(frame.body.getSlice(at: 0, length: length))
            let cut = MQTTFrame(firstByte: frame.firstByte, body: body)
            let packet = try? MQTTPacket(frame: cut, version: vector.version)
            if let packet { self.checkRewrite(of: packet, vector.version) }
            // Only these have something at the end that may be missing.
            let mayEndEarly: Set<MQTTPacketType> = [
                .publish, .subscribe, .unsubscribe, .suback, .unsuback, .puback, .pubrec, .pubrel, .pubcomp,
                .disconnect, .auth,
            ]
            #expect(packet == nil || mayEndEarly.contains(vector.packet.type))
        }
    }

    @Test("changing any byte to any value never traps", arguments: PacketVector.all)
    func mutations(vector: PacketVector) throws {
        let bytes = wire(vector.bytes)
        for index in 0..<bytes.readableBytes {
            for value in UInt8.min...UInt8.max {
                var changed = bytes
                changed.setInteger(value, at: index)
                guard let frame = try? MQTTFrameDecoder.nextFrame(&changed, maxPacketSize: 1000) else { continue }
                guard let packet = try? MQTTPacket(frame: frame, version: vector.version) else { continue }
                self.checkRewrite(of: packet, vector.version)
            }
        }
    }

    @Test("nor does changing any bit, read as a packet of another version", arguments: PacketVector.all)
    func bits(vector: PacketVector) throws {
        let bytes = wire(vector.bytes)
        for bit in 0..<(bytes.readableBytes * 8) {
            var changed = bytes
            changed.setInteger((bytes.getInteger(at: bit / 8, as: UInt8.self) ?? 0) ^ 1 << (bit % 8), at: bit / 8)
            guard let frame = try? MQTTFrameDecoder.nextFrame(&changed, maxPacketSize: 1000) else { continue }
            for version in MQTTVersion.allCases {
                guard let packet = try? MQTTPacket(frame: frame, version: version) else { continue }
                self.checkRewrite(of: packet, version)
            }
        }
    }

    @Test("a byte put in or taken out never traps", arguments: PacketVector.all)
    func insertionsAndDeletions(vector: PacketVector) throws {
        var bytes = wire(vector.bytes)
        let frame = try #require(try MQTTFrameDecoder.nextFrame(&bytes, maxPacketSize: 1000))
        let body = Array(frame.body.readableBytesView)
        for index in 0...body.count {
            var changes = [0x00, 0x01, 0x7F, 0x80, 0xFF].map { (value: UInt8) in
                body[..<index] + [value] + body[index...]
            }
            if index < body.count { changes.append(body[..<index] + body[(index + 1)...]) }
            for change in changes {
                let changed = MQTTFrame(firstByte: frame.firstByte, body: ByteBuffer(bytes: change))
                guard let packet = try? MQTTPacket(frame: changed, version: vector.version) else { continue }
                self.checkRewrite(of: packet, vector.version)
            }
        }
    }

    @Test("random bytes never trap")
    func noise() {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
        for _ in 0..<20_000 {
            let count = Int(next() % 40)
            let body = ByteBuffer(bytes: (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 16) & 0x7F })
            let frame = MQTTFrame(firstByte: UInt8(truncatingIfNeeded: next()), body: body)
            for version in MQTTVersion.allCases {
                guard let packet = try? MQTTPacket(frame: frame, version: version) else { continue }
                self.checkRewrite(of: packet, version)
            }
        }
    }

    @Test("65,535 slashes are refused, 128 levels taken")
    func slashes() {
        #expect(throws: TopicError.tooDeep) { try TopicName(String(repeating: "/", count: 65_535)) }
        #expect(throws: TopicError.tooDeep) { try TopicFilter(String(repeating: "/", count: 128)) }
        #expect((try? TopicFilter(String(repeating: "/", count: 127))) != nil)
    }

    @Test("tens of thousands of user properties are refused at the bound (CVE-2021-41039)")
    func userProperties() throws {
        func publish(_ count: Int) -> ByteBuffer {
            let properties = PacketVector.properties {
                $0.userProperties = Array(repeating: UserProperty(name: "k", value: "v"), count: count)
            }
            let packet = Publish(topic: PacketVector.topic("a"), payload: ByteBuffer(), properties: properties)
            return encode(.publish(packet), .v5)
        }
        #expect(try decode(publish(64), .v5) != nil)
        for count in [65, 50_000] {
            let error = #expect(throws: MQTTDecodeError.self) { try decode(publish(count), .v5) }
            #expect(error?.kind == .tooManyUserProperties(limit: 64))
            #expect(error?.field == "User Property")
        }
        var bytes = publish(3)
        let frame = try #require(try MQTTFrameDecoder.nextFrame(&bytes, maxPacketSize: 1000))
        #expect(throws: MQTTDecodeError.self) { try MQTTPacket(frame: frame, version: .v5, maxUserProperties: 2) }
        #expect(throws: Never.self) { try MQTTPacket(frame: frame, version: .v5, maxUserProperties: 3) }
    }

    /// What was accepted can be written, is as long as it says, and is read as the same.
    private func checkRewrite(of packet: MQTTPacket, _ version: MQTTVersion) {
        var version = version
        if case .connect(let connect) = packet { version = connect.version }
        let bytes = encode(packet, version)
        // Not an #expect each: there are hundreds of thousands.
        if bytes.readableBytes != packet.encodedSize(version: version) { Issue.record("size of \(hex(bytes))") }
        if (try? decode(bytes, version)) != packet { Issue.record("\(hex(bytes)) is another packet") }
    }
}
