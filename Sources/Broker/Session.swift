import DequeModule
package import MQTTCodec
import NIOCore

/// The network side of a session while its client is connected. Called on the gateway's loop only.
package protocol SessionConnection: AnyObject {
    /// Whether the client reads what it is sent; when not, QoS 0 is dropped and QoS 1 waits.
    var hasRoom: Bool { get }

    /// Writes one PUBLISH, with what is left of the message's expiry interval `[MQTT-3.3.2-6]`.
    ///
    /// - Returns: False if the packet is larger than the client takes: nothing was written, and the message counts as
    ///   delivered `[MQTT-3.1.2-25]`.
    func send(_ message: Message, as delivery: Delivery) -> Bool

    /// Writes one PUBREL.
    func release(_ packetID: UInt16)
}

/// Whom a session belongs to; nobody else gets it by naming its client identifier.
package enum SessionOwner: Hashable, Sendable {
    /// A device that the transport proved.
    case device(String)
    /// Connections of a listener that lets everybody in under the profile `guest`.
    case guest
    /// Connections that proved nothing: their messages must prove themselves one by one.
    case unproven

    /// Whether the transport proved who it is.
    package var isProven: Bool {
        if case .device = self { true } else { false }
    }
}

/// The state that the broker holds for one client identifier (MQTT 3.1.1 §3.1.2.4): subscriptions and what is on its
/// way. Bound to the gateway's loop.
package final class Session {
    /// What became of one delivery.
    package enum Outcome: Equatable, Sendable {
        case sent
        case queued
        /// The client is slow or away and the message was QoS 0, or its queue is full.
        case dropped
    }

    /// One remembered decision; out of date when the policy's generation has moved on.
    package struct DeliveryCheck {
        package let topic: TopicName
        package let generation: Int
        package let isAllowed: Bool

        package init(topic: TopicName, generation: Int, isAllowed: Bool) {
            self.topic = topic
            self.generation = generation
            self.isAllowed = isAllowed
        }
    }

    package let clientID: MQTTString
    package let owner: SessionOwner
    /// Ends with its connection `[MQTT-3.1.2-6]`.
    package let isClean: Bool
    /// The granted subscriptions.
    package internal(set) var subscriptions: [TopicFilter: QoS] = [:]
    /// What the filters of ``subscriptions`` cost.
    var subscriptionBytes = 0
    /// What each level of a filter costs beside its bytes.
    package static let bytesPerLevel = 32
    /// The connection, while there is one. The broker's owner sets and clears it.
    package weak var connection: (any SessionConnection)?
    /// The owner's last answer to "may this session get messages of that topic?".
    package var lastCheck: DeliveryCheck?
    private var outbound: OutboundWindow
    private let queues: QueueBudget
    /// What ``queues`` counts for this session.
    private var queuedBytes = 0
    /// The broker has let go of it.
    private(set) var hasEnded = false
    /// Since when the client is away, and the session's place among those of other absent ones.
    var absence: AbsentSessions.Place?
    /// QoS 2 messages of the client between PUBLISH and PUBREL; true when PUBREC was sent (MQTT 3.1.1 §4.3.3).
    private var inboundQoS2: [UInt16: Bool] = [:]

    /// Set by ``LocalBroker`` while it looks for recipients: the best QoS of overlapping subscriptions.
    var matchedRound = 0
    var matchedQoS = QoS.atMostOnce

    init(
        clientID: MQTTString,
        owner: SessionOwner,
        isClean: Bool,
        limits: OutboundWindow.Limits,
        queues: QueueBudget
    ) {
        self.clientID = clientID
        self.owner = owner
        self.isClean = isClean
        self.outbound = OutboundWindow(limits: limits)
        self.queues = queues
    }

    /// Sends the message, queues it, or drops it, by QoS and room.
    ///
    /// - Parameter retain: Whether the RETAIN flag is set: only for what a new subscription gets `[MQTT-3.3.1-8]`,
    ///   `[MQTT-3.3.1-9]`.
    package func deliver(_ message: Message, qos: QoS, retain: Bool) -> Outcome {
        guard qos != .atMostOnce else {
            guard let connection = self.connection, connection.hasRoom else { return .dropped }
            return connection.send(message, as: Delivery(qos: .atMostOnce, retain: retain)) ? .sent : .dropped
        }
        guard !self.hasEnded else { return .dropped }
        var copy = message
        copy.retain = retain
        let connection = self.connection
        let mayQueue = self.queues.hasRoom(for: copy.size, isPresent: connection != nil)
        let offer = self.outbound.offer(copy, canSend: connection?.hasRoom ?? false, mayQueue: mayQueue)
        self.countQueue()
        switch offer {
        case .send(let packetID):
            _ = connection?.send(copy, as: Delivery(qos: .atLeastOnce, retain: retain, packetID: packetID))
            return .sent
        case .queued: return .queued
        case .dropped: return .dropped
        }
    }

    /// A PUBACK of the client; frees its place and sends what waits.
    package func acknowledged(_ packetID: UInt16) -> Bool {
        let isKnown = self.outbound.acknowledged(packetID)
        self.countQueue()
        self.pump()
        return isKnown
    }

    /// Sends waiting messages while the client has room: after a PUBACK, and when its socket takes bytes again.
    package func pump() {
        guard let connection = self.connection else { return }
        while connection.hasRoom, let entry = self.outbound.next() {
            self.send(entry, on: connection, isDuplicate: false)
        }
    }

    // MARK: QoS 2 from the client

    /// What a QoS 2 PUBLISH of the client means.
    package enum InboundQoS2: Equatable, Sendable {
        /// To be published, then ``recorded(_:)``.
        case new
        /// A repetition whose PUBREC was sent: send it again `[MQTT-4.3.3-2]`.
        case recorded
        /// A repetition of one that is not safe yet; its PUBREC will come.
        case underWay
        /// More without PUBREL than a client may have.
        case tooMany
    }

    /// Most QoS 2 messages of one client between PUBLISH and PUBREL.
    package static let maxInboundQoS2 = 100

    package func receivedQoS2(_ packetID: UInt16) -> InboundQoS2 {
        switch self.inboundQoS2[packetID] {
        case true?: return .recorded
        case false?: return .underWay
        case nil:
            guard self.inboundQoS2.count < Self.maxInboundQoS2 else { return .tooMany }
            self.inboundQoS2[packetID] = false
            return .new
        }
    }

    /// Whether an acknowledgement under this identifier is a PUBREC; it is owed now.
    package func recorded(_ packetID: UInt16) -> Bool {
        guard self.inboundQoS2[packetID] != nil else { return false }
        self.inboundQoS2[packetID] = true
        return true
    }

    /// PUBREL, or the message could not be kept: the identifier is free.
    package func released(_ packetID: UInt16) {
        self.inboundQoS2[packetID] = nil
    }

    /// The client is back: what was not acknowledged goes out again, in order, then what waited.
    package func resume(on connection: any SessionConnection) {
        self.connection = connection
        for entry in self.outbound.unacknowledged {
            self.send(entry, on: connection, isDuplicate: true)
        }
        self.pump()
    }

    /// The broker lets go of the session: what waits is given up.
    func end() {
        self.hasEnded = true
        self.subscriptions = [:]
        self.subscriptionBytes = 0
        self.outbound.removeAll()
        self.countQueue()
    }

    /// What a filter counts for, with the nodes of the tree that it may need.
    static func cost(of filter: TopicFilter) -> Int {
        let levels = filter.buffer.readableBytesView.reduce(1) { $1 == UInt8(ascii: "/") ? $0 + 1 : $0 }
        return filter.buffer.readableBytes + levels * Self.bytesPerLevel
    }

    private func countQueue() {
        let bytes = self.outbound.bytes + self.outbound.count * QueueBudget.bytesPerMessage
        self.queues.change(from: self.queuedBytes, to: bytes)
        self.queuedBytes = bytes
    }

    private func send(_ entry: OutboundWindow.Entry, on connection: any SessionConnection, isDuplicate: Bool) {
        _ = connection.send(
            entry.message,
            as: Delivery(
                qos: .atLeastOnce,
                retain: entry.message.retain,
                packetID: entry.packetID,
                isDuplicate: isDuplicate
            )
        )
    }
}
