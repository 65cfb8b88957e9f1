import DequeModule
import MQTTCodec
import NIOCore

/// What waits to be published at an attached broker: session IDs, which go first, and messages in their order.
///
/// Bounded: of each session topic the newest IDs are kept, as many as are valid at once; whether a message still has room is
/// for the owner to ask, who knows what else can be done with it.
struct AttachedOutbox {
    /// A message on its way there.
    struct Item: Equatable {
        let topic: TopicName
        let payload: ByteBuffer
        let retain: Bool
        /// Of a message, counted from 1; nil for a session ID.
        let number: Int64?
        var isCommand = false
    }

    /// What is counted for a message besides its bytes.
    private static let overhead = 128

    private let maxCommands: Int
    private let maxBytes: Int
    private var sessionIDs: [TopicName: Deque<ByteBuffer>] = [:]
    /// Session topics with something to send.
    private var topics: Deque<TopicName> = []
    private var messages: Deque<Item> = []
    private var bytes = 0
    private var commands = 0
    private var sent: Deque<(sequence: Int64, number: Int64)> = []
    /// Number of the newest message.
    private(set) var lastNumber: Int64 = 0

    init(maxCommands: Int, maxBytes: Int) {
        self.maxCommands = maxCommands
        self.maxBytes = maxBytes
    }

    /// Nothing waits to be sent.
    var isEmpty: Bool { self.topics.isEmpty && self.messages.isEmpty }

    /// Whether one more message may wait.
    var hasRoom: Bool { self.bytes < self.maxBytes }
    /// Whether one more command may wait.
    var hasRoomForCommand: Bool { self.hasRoom && self.commands < self.maxCommands }

    /// Whether every message up to this number was acknowledged by the broker.
    func isDone(_ number: Int64) -> Bool {
        number < self.sent.first?.number ?? self.messages.first?.number ?? .max
    }

    // MARK: In

    /// - Parameter limit: IDs of this topic that are valid at once.
    mutating func append(sessionID: ByteBuffer, topic: TopicName, limit: Int) {
        if self.sessionIDs[topic] == nil { self.topics.append(topic) }
        self.sessionIDs[topic, default: []].append(sessionID)
        while self.sessionIDs[topic]?.count ?? 0 > max(limit, 1) { self.sessionIDs[topic]?.removeFirst() }
    }

    mutating func append(topic: TopicName, payload: ByteBuffer, isCommand: Bool = false) {
        self.lastNumber += 1
        let item = Item(
            topic: topic,
            payload: payload.compacted(),  // It may wait for long, and not with all that was read with it.
            retain: false,
            number: self.lastNumber,
            isCommand: isCommand
        )
        self.messages.append(item)
        self.bytes += Self.size(item)
        if isCommand { self.commands += 1 }
    }

    /// The connection is gone: session IDs are told anew on the next one.
    mutating func forgetSessionIDs() {
        self.sessionIDs.removeAll()
        self.topics.removeAll()
    }

    // MARK: Out

    /// What is to be sent next.
    var first: Item? {
        guard let topic = self.topics.first, let payload = self.sessionIDs[topic]?.first else {
            return self.messages.first
        }
        return Item(topic: topic, payload: payload, retain: true, number: nil)
    }

    /// ``first`` was sent under this sequence.
    mutating func sentFirst(sequence: Int64) {
        if let topic = self.topics.first {
            self.sessionIDs[topic]?.removeFirst()
            if self.sessionIDs[topic]?.isEmpty ?? true {
                self.sessionIDs[topic] = nil
                self.topics.removeFirst()
            }
        } else if let item = self.messages.popFirst() {
            self.bytes -= Self.size(item)
            if item.isCommand { self.commands -= 1 }
            if let number = item.number { self.sent.append((sequence, number)) }
        }
    }

    /// The broker has the message that was sent under this sequence.
    mutating func acknowledged(_ sequence: Int64) {
        // In order, nearly always.
        guard let place = self.sent.firstIndex(where: { $0.sequence == sequence }) else { return }
        self.sent.remove(at: place)
    }

    private static func size(_ item: Item) -> Int {
        item.topic.buffer.readableBytes + item.payload.readableBytes + Self.overhead
    }
}
