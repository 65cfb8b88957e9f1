/// Reason codes of MQTT 5.0 (§2.4). Values of 0x80 and above are failures.
///
/// The enum also serves MQTT 3.x: SUBACK's 0x00 to 0x02 and 0x80 are the same numbers, and CONNACK's return codes map to
/// it through ``ConnectReturnCode``.
public enum ReasonCode: UInt8, Sendable, Hashable, CaseIterable {
    /// Also "Normal disconnection" in DISCONNECT and "Granted QoS 0" in SUBACK.
    case success = 0x00
    case grantedQoS1 = 0x01
    case grantedQoS2 = 0x02
    case disconnectWithWill = 0x04
    case noMatchingSubscribers = 0x10
    case noSubscriptionExisted = 0x11
    case continueAuthentication = 0x18
    case reauthenticate = 0x19
    case unspecifiedError = 0x80
    case malformedPacket = 0x81
    case protocolError = 0x82
    case implementationSpecificError = 0x83
    case unsupportedProtocolVersion = 0x84
    case clientIdentifierNotValid = 0x85
    case badUserNameOrPassword = 0x86
    case notAuthorized = 0x87
    case serverUnavailable = 0x88
    case serverBusy = 0x89
    case banned = 0x8A
    case serverShuttingDown = 0x8B
    case badAuthenticationMethod = 0x8C
    case keepAliveTimeout = 0x8D
    case sessionTakenOver = 0x8E
    case topicFilterInvalid = 0x8F
    case topicNameInvalid = 0x90
    case packetIdentifierInUse = 0x91
    case packetIdentifierNotFound = 0x92
    case receiveMaximumExceeded = 0x93
    case topicAliasInvalid = 0x94
    case packetTooLarge = 0x95
    case messageRateTooHigh = 0x96
    case quotaExceeded = 0x97
    case administrativeAction = 0x98
    case payloadFormatInvalid = 0x99
    case retainNotSupported = 0x9A
    case qosNotSupported = 0x9B
    case useAnotherServer = 0x9C
    case serverMoved = 0x9D
    case sharedSubscriptionsNotSupported = 0x9E
    case connectionRateExceeded = 0x9F
    case maximumConnectTime = 0xA0
    case subscriptionIdentifiersNotSupported = 0xA1
    case wildcardSubscriptionsNotSupported = 0xA2

    /// DISCONNECT's name for 0x00.
    public static let normalDisconnection = ReasonCode.success
    /// SUBACK's name for 0x00.
    public static let grantedQoS0 = ReasonCode.success

    /// What a SUBACK says to a granted subscription.
    public static func granted(_ qos: QoS) -> ReasonCode {
        switch qos {
        case .atMostOnce: .grantedQoS0
        case .atLeastOnce: .grantedQoS1
        case .exactlyOnce: .grantedQoS2
        }
    }

    /// 0x80 and above.
    public var isFailure: Bool { self.rawValue >= 0x80 }

    /// Whether a packet of `type` may carry this code (the table of §2.4).
    package func isAllowed(in type: MQTTPacketType) -> Bool {
        switch type {
        case .connack: Self.connackCodes.contains(self)
        case .puback, .pubrec: Self.pubackCodes.contains(self)
        case .pubrel, .pubcomp: self == .success || self == .packetIdentifierNotFound
        case .suback: Self.subackCodes.contains(self)
        case .unsuback: Self.unsubackCodes.contains(self)
        case .disconnect: Self.disconnectCodes.contains(self)
        case .auth: self == .success || self == .continueAuthentication || self == .reauthenticate
        case .connect, .publish, .subscribe, .unsubscribe, .pingreq, .pingresp: false
        }
    }

    private static let connackCodes: Set<ReasonCode> = [
        .success, .unspecifiedError, .malformedPacket, .protocolError, .implementationSpecificError,
        .unsupportedProtocolVersion, .clientIdentifierNotValid, .badUserNameOrPassword, .notAuthorized,
        .serverUnavailable, .serverBusy, .banned, .badAuthenticationMethod, .topicNameInvalid, .packetTooLarge,
        .quotaExceeded, .payloadFormatInvalid, .retainNotSupported, .qosNotSupported, .useAnotherServer, .serverMoved,
        .connectionRateExceeded,
    ]

    private static let pubackCodes: Set<ReasonCode> = [
        .success, .noMatchingSubscribers, .unspecifiedError, .implementationSpecificError, .notAuthorized,
        .topicNameInvalid, .packetIdentifierInUse, .quotaExceeded, .payloadFormatInvalid,
    ]

    private static let subackCodes: Set<ReasonCode> = [
        .grantedQoS0, .grantedQoS1, .grantedQoS2, .unspecifiedError, .implementationSpecificError, .notAuthorized,
        .topicFilterInvalid, .packetIdentifierInUse, .quotaExceeded, .sharedSubscriptionsNotSupported,
        .subscriptionIdentifiersNotSupported, .wildcardSubscriptionsNotSupported,
    ]

    private static let unsubackCodes: Set<ReasonCode> = [
        .success, .noSubscriptionExisted, .unspecifiedError, .implementationSpecificError, .notAuthorized,
        .topicFilterInvalid, .packetIdentifierInUse,
    ]

    private static let disconnectCodes: Set<ReasonCode> = [
        .normalDisconnection, .disconnectWithWill, .unspecifiedError, .malformedPacket, .protocolError,
        .implementationSpecificError, .notAuthorized, .serverBusy, .serverShuttingDown, .badAuthenticationMethod,
        .keepAliveTimeout, .sessionTakenOver, .topicFilterInvalid, .topicNameInvalid, .receiveMaximumExceeded,
        .topicAliasInvalid, .packetTooLarge, .messageRateTooHigh, .quotaExceeded, .administrativeAction,
        .payloadFormatInvalid, .retainNotSupported, .qosNotSupported, .useAnotherServer, .serverMoved,
        .sharedSubscriptionsNotSupported, .connectionRateExceeded, .maximumConnectTime,
        .subscriptionIdentifiersNotSupported, .wildcardSubscriptionsNotSupported,
    ]
}
