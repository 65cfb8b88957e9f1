import DequeModule
package import MQTTCodec
package import NIOCore

/// QoS 1 and 2 messages on their way to one client: those at the client, and behind them those that wait.
///
/// One queue in the order in which the messages came `[MQTT-4.6.0-5]`, `[MQTT-4.6.0-6]`, with a cursor: what is in front of
/// it was sent on the present connection. A new connection sets the cursor to the front, so that what was not acknowledged
/// goes out again first, in its order, under its packet identifiers `[MQTT-4.4.0-1]`, `[MQTT-4.6.0-1]`.
package struct OutboundQueue {
    package struct Limits: Sendable, Equatable {
        /// Most unacknowledged messages at the client; its Receive Maximum may be lower.
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

    /// One message on its way.
    package struct Entry {
        package let kept: KeptMessage
        /// The place in the session's queue, as the store knows it.
        package let order: Int64
        package let qos: QoS
        package let retain: Bool
        package let identifiers: [UInt32]
        /// 0: never sent.
        package var packetID: UInt16 = 0
        /// PUBREC came: PUBREL goes out instead of the message `[MQTT-4.3.3-6]`.
        package var isReceived = false
        /// Sent before, on whatever connection.
        package var wasSent = false
        /// The right to it was checked in this turn of the loop.
        package var isFresh = false
        /// It is worth nothing on another connection, and the store does not know of it.
        package var isPassing = false
        /// The batch that must be on disk before it goes out, at QoS 2.
        package var batch: UInt64 = 0

        package init(kept: KeptMessage, order: Int64, qos: QoS, retain: Bool, identifiers: [UInt32]) {
            self.kept = kept
            self.order = order
            self.qos = qos
            self.retain = retain
            self.identifiers = identifiers
        }

        var size: Int { self.kept.message.size }
    }

    private let limits: Limits
    private var entries: Deque<Entry> = []
    /// The packet identifiers of the entries in front that have one, in their order: looked through for each message, which
    /// the entries themselves are too wide for.
    private var packetIDs: Deque<UInt16> = []
    /// Entries in front of it were sent on this connection.
    private var cursor = 0
    private var sentBytes = 0
    /// Of all topics and payloads held.
    package private(set) var bytes = 0
    /// The client's Receive Maximum `[MQTT-3.3.4-9]`, `[MQTT-4.9.0-1]`.
    private var receiveMaximum = Int(UInt16.max)
    private var lastPacketID: UInt16 = 0
    /// No message expires before it.
    private var nextExpiry = NIODeadline.distantFuture
    /// Whose PUBREL has yet to be sent on this connection, in the order in which the PUBRECs came `[MQTT-4.6.0-4]`.
    package var owedReleases: [UInt16] = []

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    package var isEmpty: Bool { self.entries.isEmpty }
    /// Messages held, at the client and waiting.
    package var count: Int { self.entries.count }
    package var inFlightCount: Int { self.cursor }
    /// Messages that wait behind those at the client.
    package var queuedCount: Int { self.entries.count - self.cursor }

    /// Whether a message can go out at once: nothing waits before it and there is room at the client.
    package func canSend(size: Int) -> Bool {
        self.cursor == self.entries.count && self.hasRoom(for: size)
    }

    /// Whether a message that is added now has its place at the client already, though something may have to be written down
    /// before it goes out: then it gets its packet identifier at once.
    package var reachesClient: Bool {
        self.packetIDs.count == self.entries.count
            && self.entries.count < min(self.limits.inFlight, self.receiveMaximum)
    }

    /// Whether a message that can't go out at once may wait.
    package func canQueue(size: Int) -> Bool {
        self.queuedCount < self.limits.queuedMessages
            && self.bytes - self.sentBytes + size <= self.limits.queuedBytes
    }

    /// Adds the message behind all others. One with a packet identifier stands behind others with one: the store could say
    /// otherwise only if it was damaged, and then the message is taken for a new one.
    package mutating func append(_ entry: Entry) {
        var entry = entry
        if entry.packetID != 0 {
            if self.packetIDs.count == self.entries.count {
                self.packetIDs.append(entry.packetID)
            } else {
                entry.packetID = 0
                entry.isReceived = false
                entry.wasSent = false
            }
        }
        self.bytes += entry.size
        if let expiry = entry.kept.message.expiry { self.nextExpiry = min(self.nextExpiry, expiry) }
        self.entries.append(entry)
    }

    /// The indices of messages that were never sent and are worth nothing any more, the last first; none of them is there
    /// another time.
    package mutating func expired(now: NIODeadline) -> [Int] {
        guard now >= self.nextExpiry else { return [] }
        var found: [Int] = []
        var next = NIODeadline.distantFuture
        for index in self.entries.indices.reversed() where !self.entries[index].wasSent {
            guard let expiry = self.entries[index].kept.message.expiry else { continue }
            if expiry <= now { found.append(index) } else { next = min(next, expiry) }
        }
        self.nextExpiry = next
        return found
    }

    /// The indices of messages on `topic` that are not at the client and on no way there yet, the last first.
    package func waiting(on topic: TopicName) -> [Int] {
        (self.cursor..<self.entries.count).reversed().filter { index in
            let entry = self.entries[index]
            return !entry.wasSent && entry.packetID == 0 && entry.kept.message.topic == topic
        }
    }

    /// Forgets what is worth nothing on another connection.
    package mutating func removePassing() {
        for index in self.entries.indices.reversed() where self.entries[index].isPassing { self.remove(at: index) }
    }

    /// The next message to go out, if the client may have one more.
    package var next: Entry? {
        guard self.cursor < self.entries.count, self.hasRoom(for: self.entries[self.cursor].size) else { return nil }
        return self.entries[self.cursor]
    }

    /// ``next`` has gone out.
    package mutating func advance() {
        self.entries[self.cursor].wasSent = true
        self.entries[self.cursor].isFresh = false
        self.sentBytes += self.entries[self.cursor].size
        self.cursor += 1
    }

    /// Gives packet identifiers to what will go out next and has none, as far as the client's window reaches.
    ///
    /// - Parameter body: Is given each of them, and says in which batch it is.
    package mutating func assignPacketIDs(_ body: (Entry) -> UInt64) {
        let end = min(self.entries.count, min(self.limits.inFlight, self.receiveMaximum))
        for index in self.cursor..<max(end, self.cursor) where self.entries[index].packetID == 0 {
            let packetID = self.unusedPacketID()
            self.packetIDs.append(packetID)
            self.entries[index].packetID = packetID
            self.entries[index].batch = body(self.entries[index])
        }
    }

    /// A packet identifier that no message of the queue has `[MQTT-2.2.1-4]`.
    package mutating func unusedPacketID() -> UInt16 {
        repeat {
            self.lastPacketID = self.lastPacketID == .max ? 1 : self.lastPacketID + 1
        } while self.packetIDs.contains(self.lastPacketID)
        return self.lastPacketID
    }

    /// The message at the client under this identifier.
    package func index(of packetID: UInt16) -> Int? {
        // Clients acknowledge in order, so this is the first entry nearly always.
        if self.packetIDs.first == packetID { return self.cursor > 0 ? 0 : nil }
        guard let index = self.packetIDs.firstIndex(of: packetID), index < self.cursor else { return nil }
        return index
    }

    package func index(ofOrder order: Int64) -> Int? {
        self.entries.firstIndex { $0.order == order }
    }

    package subscript(index: Int) -> Entry { self.entries[index] }

    /// PUBREC came for the message at `index`: its PUBREL is owed, behind those owed already.
    ///
    /// - Parameter batch: In which that is written down.
    package mutating func receive(at index: Int, batch: UInt64?) {
        let packetID = self.entries[index].packetID
        if !self.owedReleases.contains(packetID) { self.owedReleases.append(packetID) }
        self.entries[index].isReceived = true
        if let batch { self.entries[index].batch = batch }
    }

    package mutating func remove(at index: Int) {
        // From the front nearly always, where nothing has to move.
        let entry = index == 0 ? self.entries.removeFirst() : self.entries.remove(at: index)
        if entry.packetID != 0 {
            if index == 0 { self.packetIDs.removeFirst() } else { self.packetIDs.remove(at: index) }
        }
        if !self.owedReleases.isEmpty { self.owedReleases.removeAll { $0 == entry.packetID } }
        self.bytes -= entry.size
        if index < self.cursor {
            self.cursor -= 1
            self.sentBytes -= entry.size
        }
    }

    /// A connection begins, or is gone: nothing was sent on it.
    package mutating func rewind(receiveMaximum: UInt16 = .max) {
        self.cursor = 0
        self.sentBytes = 0
        self.owedReleases = []
        self.receiveMaximum = Int(receiveMaximum)
    }

    /// Forgets all messages.
    package mutating func removeAll() {
        self.rewind()
        self.entries = []
        self.packetIDs = []
        self.bytes = 0
    }

    private func hasRoom(for size: Int) -> Bool {
        guard self.cursor > 0 else { return true }
        return self.cursor < min(self.limits.inFlight, self.receiveMaximum)  // [MQTT-4.9.0-2]
            && self.sentBytes + size <= self.limits.inFlightBytes
    }
}
