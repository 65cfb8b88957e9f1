package import NIOCore

/// One thing that a session's machine wants written down, so that the session outlives a restart (MQTT 5.0 §4.1.1).
///
/// Changes of one batch are applied in order, in one transaction with the messages of the batch. Sessions that end with
/// their connection have none.
package enum SessionChange: Sendable, Equatable {
    /// A new session; its number was never used before.
    case open(SessionRecord)
    /// How long the session outlives its connection, and since when its client is away (milliseconds since 1970; nil: it is
    /// here).
    case update(session: Int64, expiryInterval: UInt32, leftAt: Int64?)
    /// The session and everything that belongs to it is gone.
    case end(session: Int64)
    /// Adds or replaces the subscription to its filter.
    case subscribe(session: Int64, SubscriptionRecord)
    /// By the filter's bytes, `$share/…` included.
    case unsubscribe(session: Int64, filter: ByteBuffer)
    /// A message for the client. Its ``StoredMessage`` is in this batch or an earlier one.
    case enqueue(QueuedMessageRecord)
    /// The message was given a packet identifier: it is about to be sent.
    case sent(session: Int64, order: Int64, packetID: UInt16)
    /// PUBREC came for it: from now on PUBREL is repeated `[MQTT-4.3.3-5]`, not the message `[MQTT-4.3.3-6]`.
    case received(session: Int64, order: Int64)
    /// The client has the message, or it was given up. A message that no session waits for any more goes with it.
    case dequeue(session: Int64, order: Int64, message: Int64)
    /// A QoS 2 message of the client was taken under this identifier, which is in use until PUBREL `[MQTT-4.3.3-10]`.
    case hold(session: Int64, packetID: UInt16)
    /// PUBREL came for it `[MQTT-4.3.3-12]`.
    case free(session: Int64, packetID: UInt16)
    /// What is to be published if the client does not come back; nil takes it away.
    case will(session: Int64, WillRecord?)
}

/// A session that outlives its connection.
package struct SessionRecord: Sendable, Equatable {
    /// Given by the loop, never used twice.
    package var number: Int64
    package var clientID: ByteBuffer
    package var owner: SessionOwner
    /// Seconds; `UInt32.max`: without end.
    package var expiryInterval: UInt32
    /// Since when the client is away, in milliseconds since 1970; nil: it was here when the gateway ended, or the clock was
    /// not set.
    package var leftAt: Int64?

    package init(number: Int64, clientID: ByteBuffer, owner: SessionOwner, expiryInterval: UInt32, leftAt: Int64?) {
        self.number = number
        self.clientID = clientID
        self.owner = owner
        self.expiryInterval = expiryInterval
        self.leftAt = leftAt
    }
}

/// One subscription of a session, with its options (MQTT 5.0 §3.8.3.1).
package struct SubscriptionRecord: Sendable, Equatable {
    /// As the client named it, `$share/…` included.
    package var filter: ByteBuffer
    package var qos: UInt8
    package var noLocal: Bool
    package var retainAsPublished: Bool
    /// 0: none.
    package var identifier: UInt32

    package init(filter: ByteBuffer, qos: UInt8, noLocal: Bool, retainAsPublished: Bool, identifier: UInt32) {
        self.filter = filter
        self.qos = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.identifier = identifier
    }
}

/// A message that sessions wait for; written once however many they are.
package struct StoredMessage: Sendable, Equatable {
    /// Given by the loop, never used twice.
    package var number: Int64
    package var topic: ByteBuffer
    package var payload: ByteBuffer
    /// As it was published.
    package var qos: UInt8
    /// Those of a PUBLISH, as `MQTTProperties.serialized` gives them; empty: none.
    package var properties: ByteBuffer
    /// Milliseconds since 1970; nil: never.
    package var expiresAt: Int64?
    /// See ``Message/publisher``.
    package var publisher: String?

    package init(
        number: Int64,
        topic: ByteBuffer,
        payload: ByteBuffer,
        qos: UInt8,
        properties: ByteBuffer,
        expiresAt: Int64?,
        publisher: String?
    ) {
        self.number = number
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.properties = properties
        self.expiresAt = expiresAt
        self.publisher = publisher
    }
}

/// One message on its way to one session.
package struct QueuedMessageRecord: Sendable, Equatable {
    package var session: Int64
    /// The place in the session's queue; grows.
    package var order: Int64
    /// ``StoredMessage/number``.
    package var message: Int64
    /// Of the delivery: 1 or 2.
    package var qos: UInt8
    /// The RETAIN flag of the delivery.
    package var retain: Bool
    /// 0: not sent yet.
    package var packetID: UInt16
    /// Whether PUBREC came.
    package var isReceived: Bool
    /// Of the subscriptions that it is sent for.
    package var subscriptionIdentifiers: [UInt32]

    package init(
        session: Int64,
        order: Int64,
        message: Int64,
        qos: UInt8,
        retain: Bool,
        packetID: UInt16 = 0,
        isReceived: Bool = false,
        subscriptionIdentifiers: [UInt32] = []
    ) {
        self.session = session
        self.order = order
        self.message = message
        self.qos = qos
        self.retain = retain
        self.packetID = packetID
        self.isReceived = isReceived
        self.subscriptionIdentifiers = subscriptionIdentifiers
    }
}

/// A will that may have to be published after a restart (MQTT 5.0 §3.1.2.5).
package struct WillRecord: Sendable, Equatable {
    package var topic: ByteBuffer
    package var payload: ByteBuffer
    package var qos: UInt8
    package var retain: Bool
    /// As `MQTTProperties.serialized` gives them, without the delay; empty: none.
    package var properties: ByteBuffer
    /// Will Delay Interval in seconds.
    package var delay: UInt32

    package init(
        topic: ByteBuffer,
        payload: ByteBuffer,
        qos: UInt8,
        retain: Bool,
        properties: ByteBuffer,
        delay: UInt32
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
        self.delay = delay
    }
}

/// A session as the store has it, for the start.
package struct StoredSession: Sendable, Equatable {
    package var record: SessionRecord
    package var subscriptions: [SubscriptionRecord]
    /// In their order.
    package var queue: [QueuedMessageRecord]
    /// Identifiers of QoS 2 messages of the client between PUBLISH and PUBREL.
    package var held: [UInt16]
    package var will: WillRecord?

    package init(
        record: SessionRecord,
        subscriptions: [SubscriptionRecord] = [],
        queue: [QueuedMessageRecord] = [],
        held: [UInt16] = [],
        will: WillRecord? = nil
    ) {
        self.record = record
        self.subscriptions = subscriptions
        self.queue = queue
        self.held = held
        self.will = will
    }
}

extension SessionOwner {
    /// As it is written down.
    package var text: String {
        switch self {
        case .device(let id): "device:" + id
        case .guest: "guest"
        case .unproven: "unproven"
        }
    }

    /// What ``text`` gave; nil for anything else.
    package init?(text: String) {
        switch text {
        case "guest": self = .guest
        case "unproven": self = .unproven
        case _ where text.hasPrefix("device:"): self = .device(String(text.dropFirst(7)))
        default: return nil
        }
    }
}
