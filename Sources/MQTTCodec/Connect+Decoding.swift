import NIOCore

extension Connect {
    /// The bits of the Connect Flags (MQTT 5.0 §3.1.2.3).
    enum Flags {
        static let reserved: UInt8 = 0b0000_0001
        static let cleanStart: UInt8 = 0b0000_0010
        static let will: UInt8 = 0b0000_0100
        static let willRetain: UInt8 = 0b0010_0000
        static let password: UInt8 = 0b0100_0000
        static let userName: UInt8 = 0b1000_0000
        static let willQoSShift: UInt8 = 3
    }

    /// The version in whose form the sender of this CONNECT expects an answer, even if the packet is refused: one of 5.0 for
    /// every level from 5 up, of 3.1.1 otherwise. Nil if the frame does not even begin like a CONNECT.
    public static func versionForAnswer(to frame: MQTTFrame) -> MQTTVersion? {
        guard frame.type == .connect else { return nil }
        var body = frame.body
        guard let length = body.readInteger(as: UInt16.self), body.readSlice(length: Int(length)) != nil,
            let level = body.readInteger(as: UInt8.self)
        else { return nil }
        return level & ~Self.bridgeBit >= MQTTVersion.v5.rawValue ? .v5 : .v311
    }

    private static let bridgeBit: UInt8 = 0x80

    /// Reads the fields in the one order that there is `[MQTT-3.1.3-1]`; what no flag promises would be left at the end
    /// `[MQTT-3.1.2-16]`, `[MQTT-3.1.2-18]`.
    init(reading reader: inout PacketReader, hasPaddedLength: Bool) throws(MQTTDecodeError) {
        let (version, isBridge) = try Self.readProtocol(&reader)
        reader.version = version
        if version == .v5, hasPaddedLength { throw MQTTPacket.paddedLength }
        let flagsOffset = reader.offset
        let flags = try reader.readByte("Connect Flags")
        try Self.check(flags, reader, offset: flagsOffset)
        let keepAlive = try reader.readUInt16("Keep Alive")
        var properties = MQTTProperties()
        if version == .v5 {
            properties = try MQTTProperties(reading: &reader, in: .connect)
            if properties.authenticationData != nil, properties.authenticationMethod == nil {
                throw reader.error(.missingAuthenticationMethod, "Authentication Method")  // §3.1.2.11.10
            }
        }
        let clientID = try reader.readString("Client Identifier")  // [MQTT-3.1.3-3], [MQTT-3.1.3-4]
        var will: Will?
        if flags & Flags.will != 0 { will = try Self.readWill(&reader, flags: flags) }  // [MQTT-3.1.2-9]
        // MQTT 3.1 wants a server to bear a User Name or Password flag with nothing behind it.
        let mayEndEarly = version == .v31
        var userName: MQTTString?
        if flags & Flags.userName != 0, !(mayEndEarly && reader.remaining == 0) {
            userName = try reader.readString("User Name")  // [MQTT-3.1.2-17], [MQTT-3.1.3-12]
        }
        var password: Password?
        if flags & Flags.password != 0, !(mayEndEarly && reader.remaining == 0) {
            password = Password(try reader.readBinary("Password"))  // [MQTT-3.1.2-19]
        }
        self.init(
            version: version,
            clientID: clientID,
            cleanStart: flags & Flags.cleanStart != 0,
            keepAlive: keepAlive,
            will: will,
            userName: userName,
            password: password,
            isBridge: isBridge,
            properties: properties
        )
    }

    /// Protocol Name and Protocol Level `[MQTT-3.1.2-1]`, `[MQTT-3.1.2-2]`.
    private static func readProtocol(
        _ reader: inout PacketReader
    ) throws(MQTTDecodeError) -> (version: MQTTVersion, isBridge: Bool) {
        let nameOffset = reader.offset
        let name = try reader.readBinary("Protocol Name")
        let isOld = name.readableBytesView.elementsEqual("MQIsdp".utf8)
        guard isOld || name.readableBytesView.elementsEqual("MQTT".utf8) else {
            throw reader.error(.unsupportedProtocolName, "Protocol Name", at: nameOffset)
        }
        let levelOffset = reader.offset
        let level = try reader.readByte("Protocol Level")
        switch (isOld, level) {
        case (true, 3): return (.v31, false)
        case (true, 3 | Self.bridgeBit): return (.v31, true)
        case (false, 4): return (.v311, false)
        case (false, 4 | Self.bridgeBit): return (.v311, true)
        case (false, 5): return (.v5, false)
        default: throw reader.error(.unsupportedProtocolLevel(level), "Protocol Level", at: levelOffset)
        }
    }

    /// What must hold among the Connect Flags themselves.
    private static func check(_ flags: UInt8, _ reader: PacketReader, offset: Int) throws(MQTTDecodeError) {
        // MQTT 3.1 leaves bit 0 unused and says nothing about its value.
        if flags & Flags.reserved != 0, reader.version != .v31 {
            throw reader.error(.reservedBits(flags & Flags.reserved), "Connect Flags", at: offset)  // [MQTT-3.1.2-3]
        }
        let willQoS = flags >> Flags.willQoSShift & 0b11
        if willQoS == 3 { throw reader.error(.invalidQoS(3), "Will QoS", at: offset) }  // [MQTT-3.1.2-12]
        if flags & Flags.will == 0, willQoS != 0 || flags & Flags.willRetain != 0 {
            throw reader.error(.willFlagsWithoutWill, "Connect Flags", at: offset)  // [MQTT-3.1.2-11], [MQTT-3.1.2-13]
        }
        // [MQTT-3.1.2-22 of 3.1.1]; MQTT 5.0 allows a password alone.
        if flags & Flags.password != 0, flags & Flags.userName == 0, reader.version != .v5 {
            throw reader.error(.passwordWithoutUserName, "Connect Flags", at: offset)
        }
    }

    private static func readWill(_ reader: inout PacketReader, flags: UInt8) throws(MQTTDecodeError) -> Will {
        var properties = MQTTProperties()
        if reader.version == .v5 { properties = try MQTTProperties(reading: &reader, in: .will) }
        let topic = try reader.readTopicName("Will Topic")  // [MQTT-3.1.3-11]
        let payload = try reader.readBinary("Will Payload")
        return Will(
            topic: topic,
            payload: payload,
            qos: QoS(rawValue: flags >> Flags.willQoSShift & 0b11) ?? .atMostOnce,  // 3 was refused with the flags.
            retain: flags & Flags.willRetain != 0,
            properties: properties
        )
    }
}
