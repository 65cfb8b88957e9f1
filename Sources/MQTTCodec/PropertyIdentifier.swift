/// The packets that can hold properties, and the will inside CONNECT, as a set.
struct PropertyPlaces: OptionSet {
    let rawValue: UInt16

    static let connect = PropertyPlaces(type: .connect)
    static let connack = PropertyPlaces(type: .connack)
    static let publish = PropertyPlaces(type: .publish)
    static let puback = PropertyPlaces(type: .puback)
    static let pubrec = PropertyPlaces(type: .pubrec)
    static let pubrel = PropertyPlaces(type: .pubrel)
    static let pubcomp = PropertyPlaces(type: .pubcomp)
    static let subscribe = PropertyPlaces(type: .subscribe)
    static let suback = PropertyPlaces(type: .suback)
    static let unsubscribe = PropertyPlaces(type: .unsubscribe)
    static let unsuback = PropertyPlaces(type: .unsuback)
    static let disconnect = PropertyPlaces(type: .disconnect)
    static let auth = PropertyPlaces(type: .auth)
    /// Bit 0, which no packet type uses.
    static let will = PropertyPlaces(rawValue: 1)

    /// The answers that can give a reason.
    static let answers: PropertyPlaces = [
        .connack, .puback, .pubrec, .pubrel, .pubcomp, .suback, .unsuback, .disconnect, .auth,
    ]

    init(rawValue: UInt16) { self.rawValue = rawValue }

    init(type: MQTTPacketType) { self.rawValue = 1 << UInt16(type.rawValue) }
}

/// Identifiers of the properties (MQTT 5.0 §2.2.2.2). Each is one byte on the wire.
enum PropertyIdentifier: UInt8, CaseIterable {
    case payloadFormatIndicator = 0x01
    case messageExpiryInterval = 0x02
    case contentType = 0x03
    case responseTopic = 0x08
    case correlationData = 0x09
    case subscriptionIdentifier = 0x0B
    case sessionExpiryInterval = 0x11
    case assignedClientIdentifier = 0x12
    case serverKeepAlive = 0x13
    case authenticationMethod = 0x15
    case authenticationData = 0x16
    case requestProblemInformation = 0x17
    case willDelayInterval = 0x18
    case requestResponseInformation = 0x19
    case responseInformation = 0x1A
    case serverReference = 0x1C
    case reasonString = 0x1F
    case receiveMaximum = 0x21
    case topicAliasMaximum = 0x22
    case topicAlias = 0x23
    case maximumQoS = 0x24
    case retainAvailable = 0x25
    case userProperty = 0x26
    case maximumPacketSize = 0x27
    case wildcardSubscriptionAvailable = 0x28
    case subscriptionIdentifierAvailable = 0x29
    case sharedSubscriptionAvailable = 0x2A

    /// Where the property may stand (table 2-4).
    var places: PropertyPlaces {
        switch self {
        case .payloadFormatIndicator, .messageExpiryInterval, .contentType, .responseTopic, .correlationData:
            [.publish, .will]
        case .subscriptionIdentifier: [.publish, .subscribe]
        case .sessionExpiryInterval: [.connect, .connack, .disconnect]
        case .authenticationMethod, .authenticationData: [.connect, .connack, .auth]
        case .requestProblemInformation, .requestResponseInformation: .connect
        case .willDelayInterval: .will
        case .serverReference: [.connack, .disconnect]
        case .reasonString: .answers
        case .receiveMaximum, .topicAliasMaximum, .maximumPacketSize: [.connect, .connack]
        case .topicAlias: .publish
        case .userProperty: [.connect, .will, .publish, .subscribe, .unsubscribe, .answers]
        case .assignedClientIdentifier, .serverKeepAlive, .responseInformation, .maximumQoS, .retainAvailable,
            .wildcardSubscriptionAvailable, .subscriptionIdentifierAvailable, .sharedSubscriptionAvailable:
            .connack
        }
    }

    /// The one peer that may send the property in that place; nil if both may.
    func soleSender(in place: PropertyPlaces) -> MQTTPeer? {
        switch (self, place) {
        case (.subscriptionIdentifier, .publish): .server  // [MQTT-3.3.4-6]
        case (.sessionExpiryInterval, .disconnect): .client  // [MQTT-3.14.2-2]
        case (.serverReference, .disconnect): .server  // MQTT 5.0 §3.14.2.2.5
        default: nil
        }
    }

    /// Whether a PUBLISH may name it several times, as a user property may be everywhere.
    func isRepeatable(in place: PropertyPlaces) -> Bool {
        self == .userProperty || (self == .subscriptionIdentifier && place == .publish)
    }

    /// The specification's name.
    var name: String {
        switch self {
        case .payloadFormatIndicator: "Payload Format Indicator"
        case .messageExpiryInterval: "Message Expiry Interval"
        case .contentType: "Content Type"
        case .responseTopic: "Response Topic"
        case .correlationData: "Correlation Data"
        case .subscriptionIdentifier: "Subscription Identifier"
        case .sessionExpiryInterval: "Session Expiry Interval"
        case .assignedClientIdentifier: "Assigned Client Identifier"
        case .serverKeepAlive: "Server Keep Alive"
        case .authenticationMethod: "Authentication Method"
        case .authenticationData: "Authentication Data"
        case .requestProblemInformation: "Request Problem Information"
        case .willDelayInterval: "Will Delay Interval"
        case .requestResponseInformation: "Request Response Information"
        case .responseInformation: "Response Information"
        case .serverReference: "Server Reference"
        case .reasonString: "Reason String"
        case .receiveMaximum: "Receive Maximum"
        case .topicAliasMaximum: "Topic Alias Maximum"
        case .topicAlias: "Topic Alias"
        case .maximumQoS: "Maximum QoS"
        case .retainAvailable: "Retain Available"
        case .userProperty: "User Property"
        case .maximumPacketSize: "Maximum Packet Size"
        case .wildcardSubscriptionAvailable: "Wildcard Subscription Available"
        case .subscriptionIdentifierAvailable: "Subscription Identifier Available"
        case .sharedSubscriptionAvailable: "Shared Subscription Available"
        }
    }
}
