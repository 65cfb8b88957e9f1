import NIOCore

extension MQTTProperties {
    /// Binary data that is compared by its bytes.
    struct Bytes: Equatable, Sendable {
        let buffer: ByteBuffer

        static func == (left: Bytes, right: Bytes) -> Bool { RawBytes.equal(left.buffer, right.buffer) }
    }

    /// All properties, those of one packet set. Kept behind a reference.
    struct Values: Equatable, Sendable {
        var payloadFormat: PayloadFormat?
        var messageExpiryInterval: UInt32?
        var contentType: MQTTString?
        var responseTopic: TopicName?
        var correlationData: Bytes?
        var sessionExpiryInterval: UInt32?
        var assignedClientIdentifier: MQTTString?
        var serverKeepAlive: UInt16?
        var authenticationMethod: MQTTString?
        var authenticationData: Password?
        var requestProblemInformation: Bool?
        var willDelayInterval: UInt32?
        var requestResponseInformation: Bool?
        var responseInformation: MQTTString?
        var serverReference: MQTTString?
        var reasonString: MQTTString?
        var receiveMaximum: UInt16?
        var topicAliasMaximum: UInt16?
        var topicAlias: UInt16?
        var maximumQoS: QoS?
        var retainAvailable: Bool?
        var maximumPacketSize: UInt32?
        var wildcardSubscriptionAvailable: Bool?
        var subscriptionIdentifierAvailable: Bool?
        var sharedSubscriptionAvailable: Bool?
        var subscriptionIdentifiers: [UInt32] = []
        var userProperties: [UserProperty] = []
    }
}
