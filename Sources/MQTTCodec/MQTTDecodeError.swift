/// Why bytes of a peer are not a packet: what is wrong, in which field, and where. Holds numbers only, never the bytes.
public struct MQTTDecodeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public enum Kind: Equatable, Sendable {
        /// A fifth byte in a Variable Byte Integer (§1.5.5).
        case varIntTooLong
        /// A Variable Byte Integer in more bytes than needed, in MQTT 5.0 `[MQTT-1.5.5-1]`.
        case varIntNotMinimal
        /// Larger than is accepted, told from the header alone. Bytes, fixed header included.
        case packetTooLarge(size: Int, limit: Int)
        /// The field ends beyond the packet, or beyond the properties it is part of.
        case truncated
        /// Bytes are left after the last field.
        case trailingBytes(Int)
        /// Type 0, or 15 before MQTT 5.0.
        case reservedPacketType(UInt8)
        /// Bits that must have another value `[MQTT-2.1.3-1]`.
        case reservedBits(UInt8)
        /// This peer may not send that packet or property.
        case notAllowed(from: MQTTPeer)
        /// Some other packet before CONNECT `[MQTT-3.1.0-1]`.
        case expectedConnect
        /// QoS 3 in PUBLISH or of a will (`[MQTT-3.3.1-4]`, `[MQTT-3.1.2-12]`).
        case invalidQoS(UInt8)
        /// DUP set in a PUBLISH of QoS 0 `[MQTT-3.3.1-2]`.
        case duplicateFlagWithQoS0
        /// `[MQTT-2.2.1-3]`
        case packetIdentifierZero
        /// Neither `MQTT` nor `MQIsdp`.
        case unsupportedProtocolName
        /// A level that is not spoken, as it arrived. The client is told so `[MQTT-3.1.2-2]`.
        case unsupportedProtocolLevel(UInt8)
        /// `[MQTT-1.5.4-1]`
        case illFormedUTF8
        /// `[MQTT-1.5.4-2]`
        case nullCharacter
        /// No topic name.
        case topicName(TopicError)
        /// No topic filter.
        case topicFilter(TopicError)
        /// `$share/` without a proper group and filter `[MQTT-4.8.2-1]`, `[MQTT-4.8.2-2]`.
        case sharedSubscription(SharedSubscription.SyntaxError)
        /// No Local on a shared subscription `[MQTT-3.8.3-4]`.
        case noLocalOnSharedSubscription
        /// Neither a Topic Name nor a Topic Alias (MQTT 5.0 §3.3.2.1).
        case missingTopic
        /// Will QoS or Will Retain without the Will Flag.
        case willFlagsWithoutWill
        /// `[MQTT-3.1.2-22 of 3.1.1]`
        case passwordWithoutUserName
        /// Authentication Data, or AUTH, without an Authentication Method (MQTT 5.0 §3.1.2.11.10).
        case missingAuthenticationMethod
        /// Session Present with a refusal `[MQTT-3.2.2-6]`.
        case sessionPresentWithFailure
        /// SUBSCRIBE, UNSUBSCRIBE or an answer to one that lists nothing.
        case emptyList
        /// No property has this identifier.
        case unknownProperty(UInt32)
        /// A property that this packet may not have (§2.2.2.2).
        case misplacedProperty
        /// More than once what may be there once.
        case duplicateProperty
        /// A value that the field may not have.
        case invalidValue(UInt32)
        /// Topic Alias 0 `[MQTT-3.3.2-8]`.
        case topicAliasZero
        /// More user properties than are accepted.
        case tooManyUserProperties(limit: Int)
        /// No code, or none of this packet's.
        case invalidReasonCode(UInt8)
    }

    /// What is wrong, to match on.
    public var kind: Kind
    /// Field being read, in the specification's own words ("Remaining Length").
    public var field: String
    /// Byte offset of `field` from the first byte of the packet.
    public var offset: Int

    /// - Parameter offset: from the first byte of the packet.
    public init(kind: Kind, field: String, offset: Int) {
        self.kind = kind
        self.field = field
        self.offset = offset
    }

    /// What a peer of MQTT 5.0 is told, in CONNACK or DISCONNECT, before the connection closes (§4.13).
    public var reasonCode: ReasonCode {
        switch self.kind {
        case .varIntTooLong, .varIntNotMinimal, .truncated, .trailingBytes, .reservedPacketType, .reservedBits,
            .invalidQoS, .duplicateFlagWithQoS0, .illFormedUTF8, .nullCharacter, .willFlagsWithoutWill,
            .passwordWithoutUserName, .unknownProperty, .misplacedProperty, .invalidReasonCode:
            .malformedPacket
        case .notAllowed, .expectedConnect, .packetIdentifierZero, .noLocalOnSharedSubscription, .missingTopic,
            .missingAuthenticationMethod, .sessionPresentWithFailure, .emptyList, .duplicateProperty, .invalidValue:
            .protocolError
        case .packetTooLarge: .packetTooLarge
        case .unsupportedProtocolName, .unsupportedProtocolLevel: .unsupportedProtocolVersion
        case .topicName(.illFormedUTF8), .topicName(.nullCharacter): .malformedPacket
        case .topicFilter(.illFormedUTF8), .topicFilter(.nullCharacter): .malformedPacket
        case .topicName: .topicNameInvalid
        case .topicFilter, .sharedSubscription: .topicFilterInvalid
        case .topicAliasZero: .topicAliasInvalid
        case .tooManyUserProperties: .quotaExceeded
        }
    }

    /// What a peer of MQTT 3.x is told in CONNACK; nil: the connection closes without a word (MQTT 3.1.1 §4.8).
    public var connectReturnCode: ConnectReturnCode? {
        switch self.kind {
        case .unsupportedProtocolName, .unsupportedProtocolLevel: .unacceptableProtocolVersion
        default: nil
        }
    }

    /// For the operator, such as `Topic Name at byte 2: is not well-formed UTF-8`.
    public var description: String { "\(self.field) at byte \(self.offset): \(self.kind)" }
}
