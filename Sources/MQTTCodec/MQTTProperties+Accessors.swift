public import NIOCore

extension MQTTProperties {
    /// Whether the payload is text (PUBLISH and will, §3.3.2.3.2).
    public var payloadFormat: PayloadFormat? {
        get { self.values?.payloadFormat }
        set { self.change(absent: newValue == nil) { $0.payloadFormat = newValue } }
    }

    /// Seconds after which the message is worth nothing (PUBLISH and will, §3.3.2.3.3).
    public var messageExpiryInterval: UInt32? {
        get { self.values?.messageExpiryInterval }
        set { self.change(absent: newValue == nil) { $0.messageExpiryInterval = newValue } }
    }

    /// What the payload is, as its publisher says (PUBLISH and will, §3.3.2.3.9).
    public var contentType: MQTTString? {
        get { self.values?.contentType }
        set { self.change(absent: newValue == nil) { $0.contentType = newValue } }
    }

    /// Where an answer is wanted; never a wildcard `[MQTT-3.3.2-14]` (PUBLISH and will, §3.3.2.3.5).
    public var responseTopic: TopicName? {
        get { self.values?.responseTopic }
        set { self.change(absent: newValue == nil) { $0.responseTopic = newValue } }
    }

    /// What an answer has to repeat, up to 65,535 bytes (PUBLISH and will, §3.3.2.3.6).
    public var correlationData: ByteBuffer? {
        get { self.values?.correlationData?.buffer }
        set { self.change(absent: newValue == nil) { $0.correlationData = newValue.map(Bytes.init) } }
    }

    /// Seconds that the session outlives the connection; `UInt32.max`: without end (CONNECT, CONNACK, DISCONNECT of a client,
    /// §3.1.2.11.2).
    public var sessionExpiryInterval: UInt32? {
        get { self.values?.sessionExpiryInterval }
        set { self.change(absent: newValue == nil) { $0.sessionExpiryInterval = newValue } }
    }

    /// The identifier that a client without one got (CONNACK, §3.2.2.3.7).
    public var assignedClientIdentifier: MQTTString? {
        get { self.values?.assignedClientIdentifier }
        set { self.change(absent: newValue == nil) { $0.assignedClientIdentifier = newValue } }
    }

    /// Seconds, in place of the client's own Keep Alive (CONNACK, §3.2.2.3.14).
    public var serverKeepAlive: UInt16? {
        get { self.values?.serverKeepAlive }
        set { self.change(absent: newValue == nil) { $0.serverKeepAlive = newValue } }
    }

    /// Name of an extended authentication (CONNECT, CONNACK, AUTH, §3.1.2.11.9).
    public var authenticationMethod: MQTTString? {
        get { self.values?.authenticationMethod }
        set { self.change(absent: newValue == nil) { $0.authenticationMethod = newValue } }
    }

    /// What that method says (CONNECT, CONNACK, AUTH, §3.1.2.11.10).
    public var authenticationData: Password? {
        get { self.values?.authenticationData }
        set { self.change(absent: newValue == nil) { $0.authenticationData = newValue } }
    }

    /// Whether reason strings and user properties may be sent to the client on failures (CONNECT, §3.1.2.11.7).
    public var requestProblemInformation: Bool? {
        get { self.values?.requestProblemInformation }
        set { self.change(absent: newValue == nil) { $0.requestProblemInformation = newValue } }
    }

    /// Seconds between the loss of the connection and the will (will, §3.1.3.2.2).
    public var willDelayInterval: UInt32? {
        get { self.values?.willDelayInterval }
        set { self.change(absent: newValue == nil) { $0.willDelayInterval = newValue } }
    }

    /// Whether the client asks for Response Information (CONNECT, §3.1.2.11.6).
    public var requestResponseInformation: Bool? {
        get { self.values?.requestResponseInformation }
        set { self.change(absent: newValue == nil) { $0.requestResponseInformation = newValue } }
    }

    /// Basis for response topics (CONNACK, §3.2.2.3.15).
    public var responseInformation: MQTTString? {
        get { self.values?.responseInformation }
        set { self.change(absent: newValue == nil) { $0.responseInformation = newValue } }
    }

    /// Another server to use (CONNACK, DISCONNECT of a server, §3.2.2.3.16).
    public var serverReference: MQTTString? {
        get { self.values?.serverReference }
        set { self.change(absent: newValue == nil) { $0.serverReference = newValue } }
    }

    /// The reason in words, for people (answers, §3.4.2.2.2).
    public var reasonString: MQTTString? {
        get { self.values?.reasonString }
        set { self.change(absent: newValue == nil) { $0.reasonString = newValue } }
    }

    /// Most QoS 1 and 2 messages in flight towards the sender, never zero (CONNECT, CONNACK, §3.1.2.11.3).
    public var receiveMaximum: UInt16? {
        get { self.values?.receiveMaximum }
        set { self.change(absent: newValue == nil) { $0.receiveMaximum = newValue } }
    }

    /// Highest alias that the sender accepts; none if absent (CONNECT, CONNACK, §3.1.2.11.5).
    public var topicAliasMaximum: UInt16? {
        get { self.values?.topicAliasMaximum }
        set { self.change(absent: newValue == nil) { $0.topicAliasMaximum = newValue } }
    }

    /// Number in place of the topic, never zero `[MQTT-3.3.2-8]` (PUBLISH, §3.3.2.3.4).
    public var topicAlias: UInt16? {
        get { self.values?.topicAlias }
        set { self.change(absent: newValue == nil) { $0.topicAlias = newValue } }
    }

    /// Most that the server takes, QoS 0 or 1; QoS 2 if absent (CONNACK, §3.2.2.3.4).
    public var maximumQoS: QoS? {
        get { self.values?.maximumQoS }
        set { self.change(absent: newValue == nil) { $0.maximumQoS = newValue } }
    }

    /// Whether the server keeps retained messages; it does if absent (CONNACK, §3.2.2.3.5).
    public var retainAvailable: Bool? {
        get { self.values?.retainAvailable }
        set { self.change(absent: newValue == nil) { $0.retainAvailable = newValue } }
    }

    /// Largest packet in bytes that the sender accepts, never zero (CONNECT, CONNACK, §3.1.2.11.4).
    public var maximumPacketSize: UInt32? {
        get { self.values?.maximumPacketSize }
        set { self.change(absent: newValue == nil) { $0.maximumPacketSize = newValue } }
    }

    /// Whether filters may have wildcards; they may if absent (CONNACK, §3.2.2.3.11).
    public var wildcardSubscriptionAvailable: Bool? {
        get { self.values?.wildcardSubscriptionAvailable }
        set { self.change(absent: newValue == nil) { $0.wildcardSubscriptionAvailable = newValue } }
    }

    /// Whether subscriptions may have identifiers; they may if absent (CONNACK, §3.2.2.3.12).
    public var subscriptionIdentifierAvailable: Bool? {
        get { self.values?.subscriptionIdentifierAvailable }
        set { self.change(absent: newValue == nil) { $0.subscriptionIdentifierAvailable = newValue } }
    }

    /// Whether subscriptions may be shared; they may if absent (CONNACK, §3.2.2.3.13).
    public var sharedSubscriptionAvailable: Bool? {
        get { self.values?.sharedSubscriptionAvailable }
        set { self.change(absent: newValue == nil) { $0.sharedSubscriptionAvailable = newValue } }
    }

    /// Identifiers of the subscriptions that a message is sent for, 1 to 268,435,455 each; in SUBSCRIBE one at most
    /// (PUBLISH of a server, SUBSCRIBE, §3.3.2.3.8).
    public var subscriptionIdentifiers: [UInt32] {
        get { self.values?.subscriptionIdentifiers ?? [] }
        set { self.change(absent: newValue.isEmpty) { $0.subscriptionIdentifiers = newValue } }
    }

    /// In the order in which they came `[MQTT-3.3.2-18]`; all packets and the will.
    public var userProperties: [UserProperty] {
        get { self.values?.userProperties ?? [] }
        set { self.change(absent: newValue.isEmpty) { $0.userProperties = newValue } }
    }
}
