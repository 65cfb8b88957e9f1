import NIOCore

extension MQTTProperties {
    /// A property's value in the form in which it is written.
    enum WireValue {
        case byte(UInt8)
        case twoBytes(UInt16)
        case fourBytes(UInt32)
        case variable(UInt32)
        case binary(ByteBuffer)
        case pair(ByteBuffer, ByteBuffer)

        /// Bytes, without the identifier.
        var size: Int {
            switch self {
            case .byte: 1
            case .twoBytes: 2
            case .fourBytes: 4
            case .variable(let value): VariableByteInteger.size(of: Int(value))
            case .binary(let bytes): 2 + bytes.readableBytes
            case .pair(let name, let value): 4 + name.readableBytes + value.readableBytes
            }
        }
    }

    /// Bytes of all properties, without the Property Length in front.
    var length: Int {
        var length = 0
        self.values?.forEach { length += 1 + $1.size }
        return length
    }

    /// Bytes of Property Length and properties together.
    var encodedSize: Int {
        let length = self.length
        return VariableByteInteger.size(of: length) + length
    }

    /// Writes Property Length, also if it is zero `[MQTT-2.2.2-1]`, and properties, by ascending identifier.
    func write(into buffer: inout ByteBuffer) {
        buffer.writeVariableByteInteger(self.length)
        self.writeValues(into: &buffer)
    }

    /// Writes the properties without the Property Length, by ascending identifier.
    func writeValues(into buffer: inout ByteBuffer) {
        self.values?.forEach { identifier, value in
            buffer.writeInteger(identifier.rawValue)
            switch value {
            case .byte(let value): buffer.writeInteger(value)
            case .twoBytes(let value): buffer.writeInteger(value)
            case .fourBytes(let value): buffer.writeInteger(value)
            case .variable(let value): buffer.writeVariableByteInteger(Int(value))
            case .binary(let bytes): buffer.writeBinary(bytes)
            case .pair(let name, let value):
                buffer.writeBinary(name)
                buffer.writeBinary(value)
            }
        }
    }
}

extension MQTTProperties.Values {
    /// Every property that is there, once for each time it is written.
    func forEach(_ body: (PropertyIdentifier, MQTTProperties.WireValue) -> Void) {
        func bool(_ identifier: PropertyIdentifier, _ value: Bool?) {
            if let value { body(identifier, .byte(value ? 1 : 0)) }
        }
        func byte(_ identifier: PropertyIdentifier, _ value: UInt8?) {
            if let value { body(identifier, .byte(value)) }
        }
        func twoBytes(_ identifier: PropertyIdentifier, _ value: UInt16?) {
            if let value { body(identifier, .twoBytes(value)) }
        }
        func fourBytes(_ identifier: PropertyIdentifier, _ value: UInt32?) {
            if let value { body(identifier, .fourBytes(value)) }
        }
        func binary(_ identifier: PropertyIdentifier, _ value: ByteBuffer?) {
            if let value { body(identifier, .binary(value)) }
        }
        byte(.payloadFormatIndicator, self.payloadFormat?.rawValue)
        fourBytes(.messageExpiryInterval, self.messageExpiryInterval)
        binary(.contentType, self.contentType?.buffer)
        binary(.responseTopic, self.responseTopic?.buffer)
        binary(.correlationData, self.correlationData?.buffer)
        for value in self.subscriptionIdentifiers { body(.subscriptionIdentifier, .variable(value)) }
        fourBytes(.sessionExpiryInterval, self.sessionExpiryInterval)
        binary(.assignedClientIdentifier, self.assignedClientIdentifier?.buffer)
        twoBytes(.serverKeepAlive, self.serverKeepAlive)
        binary(.authenticationMethod, self.authenticationMethod?.buffer)
        binary(.authenticationData, self.authenticationData?.buffer)
        bool(.requestProblemInformation, self.requestProblemInformation)
        fourBytes(.willDelayInterval, self.willDelayInterval)
        bool(.requestResponseInformation, self.requestResponseInformation)
        binary(.responseInformation, self.responseInformation?.buffer)
        binary(.serverReference, self.serverReference?.buffer)
        binary(.reasonString, self.reasonString?.buffer)
        twoBytes(.receiveMaximum, self.receiveMaximum)
        twoBytes(.topicAliasMaximum, self.topicAliasMaximum)
        twoBytes(.topicAlias, self.topicAlias)
        byte(.maximumQoS, self.maximumQoS?.rawValue)
        bool(.retainAvailable, self.retainAvailable)
        for property in self.userProperties {
            body(.userProperty, .pair(property.name.buffer, property.value.buffer))
        }
        fourBytes(.maximumPacketSize, self.maximumPacketSize)
        bool(.wildcardSubscriptionAvailable, self.wildcardSubscriptionAvailable)
        bool(.subscriptionIdentifierAvailable, self.subscriptionIdentifierAvailable)
        bool(.sharedSubscriptionAvailable, self.sharedSubscriptionAvailable)
    }
}
