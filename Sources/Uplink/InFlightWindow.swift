internal import DequeModule
internal import MQTTCodec
internal import NIOCore

/// The QoS 1 messages that were sent and not yet acknowledged, in the order in which they were sent.
///
/// Packet identifiers are given out in a ring from 1 to ``lastPacketID``, and an entry leaves only from the front. So the
/// entries always have consecutive identifiers, and the place of one is a subtraction: no table, and an identifier can't
/// be used twice `[MQTT-2.3.1-2 of 3.1.1]`. An acknowledgement that comes out of order marks its entry,
/// which leaves when those before it have.
struct InFlightWindow {
    /// Identifiers above this one are left to SUBSCRIBE, which shares the number space with PUBLISH.
    static let lastPacketID: UInt16 = 0xFFFE

    struct Entry {
        /// The owner's number of the message.
        let sequence: Int64
        let topic: TopicName
        let payload: ByteBuffer
        let retain: Bool
        var isAcknowledged = false

        var size: Int { self.topic.buffer.readableBytes + self.payload.readableBytes }
    }

    /// Most entries, 1 to 65,534.
    let limit: Int
    /// Most bytes of topics and payloads together; a single message may be larger, and is then alone in the window.
    let maxBytes: Int

    private var entries: Deque<Entry>
    /// Identifier of the first entry, or of the next message if there is none.
    private var firstID: UInt16
    private(set) var bytes = 0

    init(limit: Int, maxBytes: Int, firstID: UInt16 = 1) {
        precondition((1...Int(Self.lastPacketID)).contains(limit), "in-flight limit \(limit) is not 1 to 65,534")
        precondition((1...Self.lastPacketID).contains(firstID), "packet identifier \(firstID) is not 1 to 65,534")
        self.limit = limit
        self.maxBytes = maxBytes
        self.firstID = firstID
        self.entries = Deque(minimumCapacity: min(limit, 1024))
    }

    var count: Int { self.entries.count }
    var isEmpty: Bool { self.entries.isEmpty }
    /// Messages that still fit, as far as the count decides.
    var freeSlots: Int { self.limit - self.entries.count }
    /// Number of the oldest message that is not acknowledged.
    var firstSequence: Int64? { self.entries.first?.sequence }

    /// Takes a message into the window and gives its packet identifier; `nil` if there is no room.
    @inline(__always)
    mutating func append(_ entry: Entry) -> UInt16? {
        guard self.entries.count < self.limit else { return nil }
        guard self.entries.isEmpty || self.bytes + entry.size <= self.maxBytes else { return nil }
        let packetID = self.packetID(at: self.entries.count)
        self.bytes += entry.size
        self.entries.append(entry)
        return packetID
    }

    /// Marks the message as acknowledged and gives its number; `nil` if no message with this identifier waits for one.
    @inline(__always)
    mutating func acknowledge(_ packetID: UInt16) -> Int64? {
        guard packetID != 0, packetID <= Self.lastPacketID else { return nil }
        var place = Int(packetID) - Int(self.firstID)
        if place < 0 { place += Int(Self.lastPacketID) }
        guard place < self.entries.count, !self.entries[place].isAcknowledged else { return nil }
        let sequence = self.entries[place].sequence
        guard place == 0 else {
            self.entries[place].isAcknowledged = true
            return sequence
        }
        repeat {
            self.bytes -= self.entries.removeFirst().size
            self.firstID = Self.successor(of: self.firstID)
        } while self.entries.first?.isAcknowledged == true
        return sequence
    }

    /// Calls `body` with each message that is not acknowledged, oldest first.
    func forEachUnacknowledged(_ body: (UInt16, Entry) -> Void) {
        for (place, entry) in self.entries.enumerated() where !entry.isAcknowledged {
            body(self.packetID(at: place), entry)
        }
    }

    private func packetID(at place: Int) -> UInt16 {
        UInt16((Int(self.firstID) - 1 + place) % Int(Self.lastPacketID) + 1)
    }

    private static func successor(of packetID: UInt16) -> UInt16 {
        packetID == Self.lastPacketID ? 1 : packetID + 1
    }
}
