import Broker
import MQTTCodec
import NIOCore
import Testing

/// The network side of a client, without a network.
final class FakeConnection: SessionConnection {
    struct Sent: Equatable {
        var payload: String
        var delivery: Delivery
    }

    var hasRoom = true
    /// Larger payloads are refused, as over the client's Maximum Packet Size.
    var maxPayload = Int.max
    var sent: [Sent] = []
    var released: [UInt16] = []

    var payloads: [String] { self.sent.map(\.payload) }
    var packetIDs: [UInt16] { self.sent.map(\.delivery.packetID) }

    func send(_ message: Message, as delivery: Delivery) -> Bool {
        guard message.payload.readableBytes <= self.maxPayload else { return false }
        self.sent.append(Sent(payload: String(buffer: message.payload), delivery: delivery))
        return true
    }

    func release(_ packetID: UInt16) { self.released.append(packetID) }
}

/// A journal whose commits happen when the test says so.
final class FakeJournal: SessionJournal {
    private(set) var changes: [SessionChange] = []
    private(set) var messages: [Int64: Message] = [:]
    private var woken: [Session] = []
    private var last: Int64 = 0
    private var batch: UInt64 = 1
    private var safe: UInt64 = 0

    func nextNumber() -> Int64 {
        self.last += 1
        return self.last
    }

    func append(_ change: SessionChange) -> UInt64 {
        self.changes.append(change)
        return self.batch
    }

    func keep(_ message: Message) -> Int64 {
        let number = self.nextNumber()
        self.messages[number] = message
        return number
    }

    func isSafe(_ batch: UInt64) -> Bool { batch <= self.safe }

    func wake(_ session: Session) { self.woken.append(session) }

    /// Everything so far is on disk.
    func commit() {
        self.safe = self.batch
        self.batch += 1
        let woken = self.woken
        self.woken = []
        for session in woken { session.pump() }
    }

    /// What the store would have after these changes, by client identifier.
    func stored() -> [StoredSession] {
        var sessions: [Int64: StoredSession] = [:]
        for change in self.changes {
            switch change {
            case .open(let record): sessions[record.number] = StoredSession(record: record)
            case .update(let session, let interval, let leftAt):
                sessions[session]?.record.expiryInterval = interval
                sessions[session]?.record.leftAt = leftAt
            case .end(let session): sessions[session] = nil
            case .subscribe(let session, let record):
                sessions[session]?.subscriptions.removeAll { $0.filter.hasSameBytes(as: record.filter) }
                sessions[session]?.subscriptions.append(record)
            case .unsubscribe(let session, let filter):
                sessions[session]?.subscriptions.removeAll { $0.filter.hasSameBytes(as: filter) }
            case .enqueue(let record): sessions[record.session]?.queue.append(record)
            case .sent(let session, let order, let packetID):
                Self.change(&sessions, session, order) { $0.packetID = packetID }
            case .received(let session, let order):
                Self.change(&sessions, session, order) { $0.isReceived = true }
            case .dequeue(let session, let order, _): sessions[session]?.queue.removeAll { $0.order == order }
            case .hold(let session, let packetID): sessions[session]?.held.append(packetID)
            case .free(let session, let packetID): sessions[session]?.held.removeAll { $0 == packetID }
            case .will(let session, let will): sessions[session]?.will = will
            }
        }
        return sessions.values.sorted { $0.record.number < $1.record.number }
    }

    private static func change(
        _ sessions: inout [Int64: StoredSession],
        _ session: Int64,
        _ order: Int64,
        _ body: (inout QueuedMessageRecord) -> Void
    ) {
        guard let index = sessions[session]?.queue.firstIndex(where: { $0.order == order }) else { return }
        if var record = sessions[session]?.queue[index] {
            body(&record)
            sessions[session]?.queue[index] = record
        }
    }
}

/// A session and its connection.
struct Opened {
    let session: Session
    let isPresent: Bool
    let connection: FakeConnection
    let takenOver: (any SessionConnection)?
}

extension LocalBroker {
    /// Opens a session and connects it; nil if the broker is full.
    func connect(
        _ clientID: String,
        _ owner: SessionOwner = .unproven,
        cleanStart: Bool = false,
        expiry: UInt32 = .max,
        receiveMaximum: UInt16 = .max,
        now: NIODeadline = .now()
    ) throws -> Opened? {
        let opening = self.open(
            clientID: try MQTTString(clientID),
            owner: owner,
            cleanStart: cleanStart,
            expiryInterval: expiry,
            now: now
        )
        guard case .opened(let session, let isPresent, let takenOver, _) = opening else { return nil }
        let connection = FakeConnection()
        self.connected(session, to: connection, receiveMaximum: receiveMaximum)
        return Opened(
            session: session,
            isPresent: isPresent,
            connection: connection,
            takenOver: takenOver
        )
    }

    func leave(_ opened: Opened, now: NIODeadline = .now()) {
        self.disconnected(opened.session, connection: opened.connection, now: now)
    }

    func subscribe(_ session: Session, _ filter: String, _ options: SubscriptionOptions) throws -> SubscribeOutcome {
        self.subscribe(session, to: try TopicFilter(filter), options)
    }

    /// Publishes to whoever subscribed, as the gateway does.
    func publish(_ payload: String, on topic: String, qos: QoS = .atLeastOnce, from origin: Session? = nil) throws {
        var outgoing = OutgoingMessage(try message(payload, on: topic, qos: qos))
        self.forEachRecipient(of: try TopicName(topic), from: origin) { session, grant in
            let qos = min(qos, grant.qos)
            return session.deliver(&outgoing, qos: qos, retain: false, identifiers: grant.identifiers) != .dropped
        }
    }
}

extension Session {
    func deliver(_ payload: String, qos: QoS = .atLeastOnce, expiry: NIODeadline? = nil) throws -> Outcome {
        var message = try message(payload, on: "t", qos: qos)
        message.expiry = expiry
        var outgoing = OutgoingMessage(message)
        return self.deliver(&outgoing, qos: qos, retain: false)
    }
}

func message(_ payload: String, on topic: String, qos: QoS = .atLeastOnce) throws -> Message {
    Message(topic: try TopicName(topic), payload: ByteBuffer(string: payload), qos: qos, retain: false)
}
