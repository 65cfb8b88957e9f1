import NIOCore

extension MQTTProperties {
    /// Reads Property Length and properties.
    ///
    /// Refuses what table 2-4 does not allow in `place`, or not from this sender; what is there more than once; unknown
    /// identifiers; values out of range; and more user properties than the reader accepts. Linear in the bytes.
    init(reading packet: inout PacketReader, in place: PropertyPlaces) throws(MQTTDecodeError) {
        let length = try packet.readVariableByteInteger("Property Length")
        guard length > 0 else {
            self.init()
            return
        }
        var reader = try packet.readSection(length: length, "Properties")
        try self.init(section: &reader, in: place)
    }

    /// Reads properties to the end of the section.
    init(section reader: inout PacketReader, in place: PropertyPlaces) throws(MQTTDecodeError) {
        var values = Values()
        var seen: UInt64 = 0  // One bit for each identifier; the highest is 0x2A.
        while reader.remaining > 0 {
            let offset = reader.offset
            let number = try reader.readVariableByteInteger("Property Identifier")
            guard let identifier = UInt8(exactly: number).flatMap(PropertyIdentifier.init(rawValue:)) else {
                throw reader.error(.unknownProperty(UInt32(number)), "Property Identifier", at: offset)
            }
            guard identifier.places.contains(place) else {
                throw reader.error(.misplacedProperty, identifier.name, at: offset)
            }
            if let sender = reader.sender, let sole = identifier.soleSender(in: place), sole != sender {
                throw reader.error(.notAllowed(from: sender), identifier.name, at: offset)
            }
            let bit: UInt64 = 1 << UInt64(identifier.rawValue)
            guard seen & bit == 0 || identifier.isRepeatable(in: place) else {
                throw reader.error(.duplicateProperty, identifier.name, at: offset)
            }
            seen |= bit
            try values.read(identifier, from: &reader)
        }
        self.init(values)
    }
}

extension MQTTProperties.Values {
    /// Reads one value.
    fileprivate mutating func read(
        _ identifier: PropertyIdentifier,
        from reader: inout PacketReader
    ) throws(MQTTDecodeError) {
        let name = identifier.name
        switch identifier {
        case .payloadFormatIndicator: self.payloadFormat = try reader.readPayloadFormat()
        case .messageExpiryInterval: self.messageExpiryInterval = try reader.readUInt32(name)
        case .contentType: self.contentType = try reader.readString(name)  // [MQTT-3.3.2-19]
        // [MQTT-3.3.2-13], [MQTT-3.3.2-14]
        case .responseTopic: self.responseTopic = try reader.readTopicName(name)
        case .correlationData: self.correlationData = MQTTProperties.Bytes(buffer: try reader.readBinary(name))
        case .subscriptionIdentifier: self.subscriptionIdentifiers.append(try reader.readSubscriptionIdentifier())
        case .sessionExpiryInterval: self.sessionExpiryInterval = try reader.readUInt32(name)
        case .assignedClientIdentifier: self.assignedClientIdentifier = try reader.readString(name)
        case .serverKeepAlive: self.serverKeepAlive = try reader.readUInt16(name)
        case .authenticationMethod: self.authenticationMethod = try reader.readString(name)
        case .authenticationData: self.authenticationData = Password(try reader.readBinary(name))
        case .requestProblemInformation: self.requestProblemInformation = try reader.readBool(name)
        case .willDelayInterval: self.willDelayInterval = try reader.readUInt32(name)
        case .requestResponseInformation: self.requestResponseInformation = try reader.readBool(name)
        case .responseInformation: self.responseInformation = try reader.readString(name)
        case .serverReference: self.serverReference = try reader.readString(name)
        case .reasonString: self.reasonString = try reader.readString(name)
        case .receiveMaximum: self.receiveMaximum = try reader.readNonZero16(name)
        case .topicAliasMaximum: self.topicAliasMaximum = try reader.readUInt16(name)
        case .topicAlias: self.topicAlias = try reader.readTopicAlias()
        case .maximumQoS: self.maximumQoS = try reader.readMaximumQoS()
        case .retainAvailable: self.retainAvailable = try reader.readBool(name)
        case .userProperty:
            guard self.userProperties.count < reader.maxUserProperties else {
                throw reader.error(.tooManyUserProperties(limit: reader.maxUserProperties), name)
            }
            let key = try reader.readString(name)  // [MQTT-1.5.7-1]
            self.userProperties.append(UserProperty(name: key, value: try reader.readString(name)))
        case .maximumPacketSize: self.maximumPacketSize = try reader.readNonZero32(name)
        case .wildcardSubscriptionAvailable: self.wildcardSubscriptionAvailable = try reader.readBool(name)
        case .subscriptionIdentifierAvailable: self.subscriptionIdentifierAvailable = try reader.readBool(name)
        case .sharedSubscriptionAvailable: self.sharedSubscriptionAvailable = try reader.readBool(name)
        }
    }
}

extension PacketReader {
    /// One byte, 0 or 1.
    fileprivate mutating func readBool(_ field: String) throws(MQTTDecodeError) -> Bool {
        let offset = self.offset
        let value = try self.readByte(field)
        guard value <= 1 else { throw self.error(.invalidValue(UInt32(value)), field, at: offset) }
        return value == 1
    }

    fileprivate mutating func readPayloadFormat() throws(MQTTDecodeError) -> PayloadFormat {
        try self.readBool(PropertyIdentifier.payloadFormatIndicator.name) ? .utf8 : .unspecified
    }

    /// QoS 0 or 1 (§3.2.2.3.4).
    fileprivate mutating func readMaximumQoS() throws(MQTTDecodeError) -> QoS {
        let offset = self.offset
        let field = PropertyIdentifier.maximumQoS.name
        let value = try self.readByte(field)
        guard value <= 1, let qos = QoS(rawValue: value) else {
            throw self.error(.invalidValue(UInt32(value)), field, at: offset)
        }
        return qos
    }

    /// Not zero `[MQTT-3.3.2-8]`. Whether it is within the limit, the session knows.
    fileprivate mutating func readTopicAlias() throws(MQTTDecodeError) -> UInt16 {
        let offset = self.offset
        let field = PropertyIdentifier.topicAlias.name
        let value = try self.readUInt16(field)
        guard value != 0 else { throw self.error(.topicAliasZero, field, at: offset) }
        return value
    }

    fileprivate mutating func readSubscriptionIdentifier() throws(MQTTDecodeError) -> UInt32 {
        let offset = self.offset
        let field = PropertyIdentifier.subscriptionIdentifier.name
        let value = try self.readVariableByteInteger(field)
        guard value != 0 else { throw self.error(.invalidValue(0), field, at: offset) }
        return UInt32(value)
    }

    fileprivate mutating func readNonZero16(_ field: String) throws(MQTTDecodeError) -> UInt16 {
        let offset = self.offset
        let value = try self.readUInt16(field)
        guard value != 0 else { throw self.error(.invalidValue(0), field, at: offset) }
        return value
    }

    fileprivate mutating func readNonZero32(_ field: String) throws(MQTTDecodeError) -> UInt32 {
        let offset = self.offset
        let value = try self.readUInt32(field)
        guard value != 0 else { throw self.error(.invalidValue(0), field, at: offset) }
        return value
    }
}
