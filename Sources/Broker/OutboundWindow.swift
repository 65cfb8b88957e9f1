package import DequeModule
import MQTTCodec

/// QoS 1 messages on their way to one client: those in flight and those that wait for a free packet identifier.
///
/// Order is kept: what waits is sent in the order it came, and after a reconnection what was in flight is sent again
/// first, in its order `[MQTT-4.6.0-1]`.
package struct OutboundWindow {
    package struct Limits: Sendable, Equatable {
        /// Most unacknowledged messages at the client.
        package var inFlight: Int
        /// Most bytes of topics and payloads at the client, unacknowledged; one message is sent whatever its size.
        package var inFlightBytes: Int
        /// Most messages that wait behind them.
        package var queuedMessages: Int
        /// Most bytes of topics and payloads that wait behind them.
        package var queuedBytes: Int

        package init(
            inFlight: Int = 20,
            inFlightBytes: Int = 1 << 20,
            queuedMessages: Int = 1000,
            queuedBytes: Int = 1 << 20
        ) {
            self.inFlight = inFlight
            self.inFlightBytes = inFlightBytes
            self.queuedMessages = queuedMessages
            self.queuedBytes = queuedBytes
        }
    }

    /// One message with the packet identifier it was given.
    package struct Entry: Sendable {
        package let packetID: UInt16
        package let message: Message
    }

    package enum Offer: Equatable, Sendable {
        /// To be sent now under this packet identifier.
        case send(packetID: UInt16)
        /// Kept until a packet identifier is free or the client is back.
        case queued
        /// A limit of the queue is reached.
        case dropped
    }

    private let limits: Limits
    /// In the order of sending.
    private var inFlight: Deque<Entry> = []
    private var inFlightBytes = 0
    private var waiting: Deque<Message> = []
    private var waitingBytes = 0
    private var lastPacketID: UInt16 = 0

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    package var isEmpty: Bool { self.inFlight.isEmpty && self.waiting.isEmpty }
    /// Messages that wait behind those in flight.
    package var queuedCount: Int { self.waiting.count }
    package var inFlightCount: Int { self.inFlight.count }
    /// Messages held, in flight and waiting.
    package var count: Int { self.inFlight.count + self.waiting.count }
    /// Bytes of their topics and payloads.
    package var bytes: Int { self.inFlightBytes + self.waitingBytes }

    /// Takes a message for the client.
    ///
    /// - Parameters:
    ///   - canSend: False while the client is away or does not read.
    ///   - mayQueue: False if what can't be sent now must be dropped, whatever room there is.
    package mutating func offer(_ message: Message, canSend: Bool, mayQueue: Bool = true) -> Offer {
        if canSend, self.waiting.isEmpty, self.hasRoomInFlight(for: message) {
            return .send(packetID: self.takePacketID(for: message))
        }
        guard mayQueue, self.waiting.count < self.limits.queuedMessages,
            self.waitingBytes + message.size <= self.limits.queuedBytes
        else { return .dropped }
        self.waiting.append(message.compacted())
        self.waitingBytes += message.size
        return .queued
    }

    /// A PUBACK of the client `[MQTT-4.3.2-1]`.
    ///
    /// - Returns: False if no message is in flight under this identifier.
    package mutating func acknowledged(_ packetID: UInt16) -> Bool {
        // Clients acknowledge in order, so this is the first entry nearly always.
        guard let index = self.inFlight.firstIndex(where: { $0.packetID == packetID }) else { return false }
        self.inFlightBytes -= self.inFlight.remove(at: index).message.size
        return true
    }

    /// The next waiting message, now in flight, if the window has room.
    package mutating func next() -> Entry? {
        guard let message = self.waiting.first, self.hasRoomInFlight(for: message) else { return nil }
        self.waiting.removeFirst()
        self.waitingBytes -= message.size
        return Entry(packetID: self.takePacketID(for: message), message: message)
    }

    /// What has to be sent again, with DUP, when the client is back `[MQTT-4.4.0-1]`.
    package var unacknowledged: Deque<Entry> { self.inFlight }

    /// Forgets all messages.
    package mutating func removeAll() {
        self.inFlight = []
        self.inFlightBytes = 0
        self.waiting = []
        self.waitingBytes = 0
    }

    private func hasRoomInFlight(for message: Message) -> Bool {
        guard !self.inFlight.isEmpty else { return true }
        return self.inFlight.count < self.limits.inFlight
            && self.inFlightBytes + message.size <= self.limits.inFlightBytes
    }

    private mutating func takePacketID(for message: Message) -> UInt16 {
        repeat {
            self.lastPacketID = self.lastPacketID == .max ? 1 : self.lastPacketID + 1
        } while self.inFlight.contains { $0.packetID == self.lastPacketID }  // [MQTT-2.3.1-2]
        self.inFlight.append(Entry(packetID: self.lastPacketID, message: message.compacted()))
        self.inFlightBytes += message.size
        return self.lastPacketID
    }
}
