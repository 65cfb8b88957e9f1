public import NIOCore

/// A message that the server publishes when the client is lost (MQTT 5.0 §3.1.2.5).
public struct Will: Equatable, Sendable {
    /// Whether the client may publish there has still to be decided.
    public var topic: TopicName
    /// Up to 65,535 bytes.
    public var payload: ByteBuffer
    /// Quality of service of the message.
    public var qos: QoS
    /// Whether it is published as a retained message.
    public var retain: Bool
    /// MQTT 5.0 only.
    public var properties: MQTTProperties

    /// A message for the day when the client is gone.
    public init(
        topic: TopicName,
        payload: ByteBuffer,
        qos: QoS = .atMostOnce,
        retain: Bool = false,
        properties: MQTTProperties = MQTTProperties()
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
    }

    /// The same in every field, payloads by their bytes.
    public static func == (left: Will, right: Will) -> Bool {
        left.topic == right.topic && left.qos == right.qos && left.retain == right.retain
            && RawBytes.equal(left.payload, right.payload) && left.properties == right.properties
    }
}

/// CONNECT (MQTT 5.0 §3.1).
public struct Connect: Equatable, Sendable {
    /// As protocol name and level say.
    public var version: MQTTVersion
    /// Bit 7 of the level, by which brokers of MQTT 3.x tell each other that a bridge connects. Not of the standard.
    public var isBridge: Bool
    /// Begin a new session; "Clean Session" in MQTT 3.x.
    public var cleanStart: Bool
    /// Seconds; 0 turns it off.
    public var keepAlive: UInt16
    /// Any text, of whatever length `[MQTT-3.1.3-5]`. May be empty: whether that is accepted, the broker decides
    /// `[MQTT-3.1.3-6]`, `[MQTT-3.1.3-8 of 3.1.1]`.
    public var clientID: MQTTString
    /// Nil without the Will Flag.
    public var will: Will?
    /// Nil if there is none, which is not the same as an empty one.
    public var userName: MQTTString?
    /// Nil if there is none. Never without a user name in MQTT 3.x.
    public var password: Password?
    /// MQTT 5.0 only; the will has its own.
    public var properties: MQTTProperties

    /// A request to connect.
    public init(
        version: MQTTVersion,
        clientID: MQTTString,
        cleanStart: Bool = true,
        keepAlive: UInt16 = 0,
        will: Will? = nil,
        userName: MQTTString? = nil,
        password: Password? = nil,
        isBridge: Bool = false,
        properties: MQTTProperties = MQTTProperties()
    ) {
        self.version = version
        self.isBridge = isBridge
        self.cleanStart = cleanStart
        self.keepAlive = keepAlive
        self.clientID = clientID
        self.will = will
        self.userName = userName
        self.password = password
        self.properties = properties
    }
}
