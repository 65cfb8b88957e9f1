extension MQTTDecodeError.Kind: CustomStringConvertible {
    /// In words that follow the name of the field.
    public var description: String {
        switch self {
        case .varIntTooLong: "is a variable byte integer of more than four bytes"
        case .varIntNotMinimal: "is a variable byte integer in more bytes than it needs"
        case .packetTooLarge(let size, let limit): "makes a packet of \(size) bytes, over the limit of \(limit)"
        case .truncated: "ends beyond the packet"
        case .trailingBytes(let count): "is followed by \(count) bytes that belong to no field"
        case .reservedPacketType(let type): "names the reserved packet type \(type)"
        case .reservedBits(let value): "has reserved bits set wrongly (\(value))"
        case .notAllowed(from: .client): "may not come from a client"
        case .notAllowed(from: .server): "may not come from a server"
        case .expectedConnect: "is not CONNECT, which must come first"
        case .invalidQoS(let value): "is \(value), which is no QoS here"
        case .duplicateFlagWithQoS0: "is set in a message of QoS 0"
        case .packetIdentifierZero: "is zero"
        case .unsupportedProtocolName: "is neither MQTT nor MQIsdp"
        case .unsupportedProtocolLevel(let level): "is \(level), which is not spoken here"
        case .illFormedUTF8: "is not well-formed UTF-8"
        case .nullCharacter: "holds the null character"
        case .topicName(let error), .topicFilter(let error): error.description
        case .sharedSubscription(let error): error.description
        case .noLocalOnSharedSubscription: "sets No Local on a shared subscription"
        case .missingTopic: "is empty, and there is no Topic Alias"
        case .willFlagsWithoutWill: "are set without the Will Flag"
        case .passwordWithoutUserName: "is there without a user name"
        case .missingAuthenticationMethod: "is missing"
        case .sessionPresentWithFailure: "is set in a refusal"
        case .emptyList: "lists nothing"
        case .unknownProperty(let identifier): "is \(identifier), which no property has"
        case .misplacedProperty: "is a property that this packet may not have"
        case .duplicateProperty: "is there more than once"
        case .invalidValue(let value): "is \(value), which it may not be"
        case .topicAliasZero: "is zero"
        case .tooManyUserProperties(let limit): "is there more than \(limit) times"
        case .invalidReasonCode(let code): "is \(code), which this packet may not say"
        }
    }
}
