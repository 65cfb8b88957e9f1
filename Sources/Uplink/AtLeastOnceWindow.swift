internal import DequeModule
internal import NIOCore

/// The QoS 1 messages that were sent and not yet acknowledged.
///
/// Packet identifiers are given out in a ring from 1 to ``lastPacketID``, and an entry leaves only from the front. So the
/// entries always have consecutive identifiers, and the place of one is a subtraction: no table, and an identifier can't
/// be used twice `[MQTT-2.3.1-2 of 3.1.1]`, `[MQTT-2.2.1-3]`. An entry that is done out of order is marked, and leaves when those
/// before it have.
struct AtLeastOnceWindow {
    /// Identifiers above this one are those of QoS 2, and of SUBSCRIBE.
    static let lastPacketID: UInt16 = 0x7FFF

    private struct Entry {
        var message: InFlightMessage
        var isDone = false
    }

    private var entries: Deque<Entry>
    /// Identifier of the first entry, or of the next message if there is none.
    private var firstID: UInt16 = 1

    /// - Parameter capacity: What is reserved for.
    init(capacity: Int) {
        self.entries = Deque(minimumCapacity: min(capacity, 1024))
    }

    /// Entries, those among them that are done and wait for their predecessors.
    var count: Int { self.entries.count }
    var isEmpty: Bool { self.entries.isEmpty }
    /// The oldest message; the first entry is never one that is done.
    var first: InFlightMessage? { self.entries.first?.message }

    /// Takes a message into the window and gives its packet identifier. The owner has seen to it that there are no more than
    /// ``lastPacketID``.
    @inline(__always)
    mutating func append(_ message: InFlightMessage) -> UInt16 {
        let packetID = self.packetID(at: self.entries.count)
        self.entries.append(Entry(message: message))
        return packetID
    }

    /// Takes the message that has this identifier out; `nil` if none has that was written on this connection.
    @inline(__always)
    mutating func acknowledge(_ packetID: UInt16) -> InFlightMessage? {
        guard let place = self.place(of: packetID), self.entries[place].message.isWritten else { return nil }
        return self.remove(at: place)
    }

    /// Takes the message out, whether it was written or not.
    mutating func remove(_ packetID: UInt16) -> InFlightMessage? {
        self.place(of: packetID).map { self.remove(at: $0) }
    }

    /// The message with this identifier.
    subscript(_ packetID: UInt16) -> InFlightMessage? {
        self.place(of: packetID).map { self.entries[$0].message }
    }

    /// Marks it as written on this connection, or not.
    mutating func setWritten(_ packetID: UInt16, _ isWritten: Bool) {
        guard let place = self.place(of: packetID) else { return }
        self.entries[place].message.isWritten = isWritten
    }

    /// Calls `body` with each message, in the order of the identifiers.
    func forEach(_ body: (UInt16, InFlightMessage) -> Void) {
        for (place, entry) in self.entries.enumerated() where !entry.isDone {
            body(self.packetID(at: place), entry.message)
        }
    }

    /// `nil` if the identifier is not in use.
    @inline(__always)
    private func place(of packetID: UInt16) -> Int? {
        guard packetID != 0, packetID <= Self.lastPacketID else { return nil }
        var place = Int(packetID) - Int(self.firstID)
        if place < 0 { place += Int(Self.lastPacketID) }
        return place < self.entries.count && !self.entries[place].isDone ? place : nil
    }

    @inline(__always)
    private mutating func remove(at place: Int) -> InFlightMessage {
        guard place == 0 else {
            let message = self.entries[place].message
            self.entries[place].isDone = true
            self.entries[place].message.dropContents()
            return message
        }
        let message = self.entries.removeFirst().message
        self.firstID = Self.successor(of: self.firstID)
        while self.entries.first?.isDone == true {
            self.entries.removeFirst()
            self.firstID = Self.successor(of: self.firstID)
        }
        return message
    }

    private func packetID(at place: Int) -> UInt16 {
        UInt16((Int(self.firstID) - 1 + place) % Int(Self.lastPacketID) + 1)
    }

    private static func successor(of packetID: UInt16) -> UInt16 {
        packetID == Self.lastPacketID ? 1 : packetID + 1
    }
}
