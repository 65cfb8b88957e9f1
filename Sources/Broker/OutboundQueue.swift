import DequeModule
package import MQTTCodec

/// QoS 1 and 2 messages on their way to one client: those at the client, and behind them those that wait.
///
/// One queue in the order in which the messages came `[MQTT-4.6.0-6]`, with a cursor: what is in front of it was sent on the
/// present connection. A new connection sets the cursor to the front, so that what was not acknowledged goes out again first,
/// in its order, under its packet identifiers `[MQTT-4.4.0-1]`, `[MQTT-4.6.0-1]`.
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
        /// PUBREC came: PUBREL goes out instead of the message `[MQTT-4.3.3-4]`.
        package var isReceived = false
        /// Its PUBREL has yet to be sent on this connection.
        package var owesRelease = false
        /// Sent before, on whatever connection.
        package var wasSent = false
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
    /// Entries in front of it were sent on this connection.
    private var cursor = 0
    private var sentBytes = 0
    /// Of all topics and payloads held.
    package private(set) var bytes = 0
    /// The client's Receive Maximum `[MQTT-3.3.4-9]`.
    private var receiveMaximum = Int(UInt16.max)
    private var lastPacketID: UInt16 = 0

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

    /// Whether a message that can't go out at once may wait.
    package func canQueue(size: Int) -> Bool {
        self.queuedCount < self.limits.queuedMessages
            && self.bytes - self.sentBytes + size <= self.limits.queuedBytes
    }

    package mutating func append(_ entry: Entry) {
        self.bytes += entry.size
        self.entries.append(entry)
    }

    /// The next message to go out, if the client may have one more.
    package var next: Entry? {
        guard self.cursor < self.entries.count, self.hasRoom(for: self.entries[self.cursor].size) else { return nil }
        return self.entries[self.cursor]
    }

    /// ``next`` has gone out.
    package mutating func advance() {
        self.entries[self.cursor].wasSent = true
        self.sentBytes += self.entries[self.cursor].size
        self.cursor += 1
    }

    /// Gives packet identifiers to what will go out next and has none, as far as the client's window reaches.
    ///
    /// - Parameter body: Is given each of them, and says in which batch it is.
    package mutating func assignPacketIDs(_ body: (Entry) -> UInt64) {
        let end = min(self.entries.count, min(self.limits.inFlight, self.receiveMaximum))
        for index in self.cursor..<max(end, self.cursor) where self.entries[index].packetID == 0 {
            self.entries[index].packetID = self.unusedPacketID()
            self.entries[index].batch = body(self.entries[index])
        }
    }

    /// A packet identifier that no message of the queue has `[MQTT-2.2.1-4]`.
    package mutating func unusedPacketID() -> UInt16 {
        repeat {
            self.lastPacketID = self.lastPacketID == .max ? 1 : self.lastPacketID + 1
        } while self.entries.contains { $0.packetID == self.lastPacketID }
        return self.lastPacketID
    }

    /// The message at the client under this identifier.
    package func index(of packetID: UInt16) -> Int? {
        // Clients acknowledge in order, so this is the first entry nearly always.
        for index in 0..<self.cursor where self.entries[index].packetID == packetID { return index }
        return nil
    }

    package func index(ofOrder order: Int64) -> Int? {
        self.entries.firstIndex { $0.order == order }
    }

    package subscript(index: Int) -> Entry {
        get { self.entries[index] }
        set { self.entries[index] = newValue }
    }

    package mutating func remove(at index: Int) {
        let entry = self.entries.remove(at: index)
        self.bytes -= entry.size
        if index < self.cursor {
            self.cursor -= 1
            self.sentBytes -= entry.size
        }
    }

    /// Takes out what was never sent and for which `condition` holds. What was sent before may be at the client, which will
    /// acknowledge it under its identifier.
    package mutating func removeUnsent(where condition: (Entry) -> Bool) -> [Entry] {
        var removed: [Entry] = []
        var kept: Deque<Entry> = []
        for (index, entry) in self.entries.enumerated() {
            if index >= self.cursor, !entry.wasSent, condition(entry) {
                removed.append(entry)
                self.bytes -= entry.size
            } else {
                kept.append(entry)
            }
        }
        if !removed.isEmpty { self.entries = kept }
        return removed
    }

    /// The indices of those at the client whose PUBREL has yet to be sent.
    package var owedReleases: [Int] {
        (0..<self.cursor).filter { self.entries[$0].owesRelease }
    }

    /// A connection begins, or is gone: nothing was sent on it.
    package mutating func rewind(receiveMaximum: UInt16 = .max) {
        self.cursor = 0
        self.sentBytes = 0
        self.receiveMaximum = Int(receiveMaximum)
    }

    /// Forgets all messages.
    package mutating func removeAll() {
        self.entries = []
        self.bytes = 0
        self.rewind()
    }

    private func hasRoom(for size: Int) -> Bool {
        guard self.cursor > 0 else { return true }
        return self.cursor < min(self.limits.inFlight, self.receiveMaximum)
            && self.sentBytes + size <= self.limits.inFlightBytes
    }
}
