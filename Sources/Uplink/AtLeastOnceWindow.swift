internal import MQTTCodec
internal import NIOCore

/// The QoS 1 messages that were sent and not yet acknowledged.
///
/// Packet identifiers are given out in a ring from 1 to ``lastPacketID``, and a place is given up only at the front. So the
/// places always have consecutive identifiers, and finding one is a subtraction: no table, and an identifier can't be used
/// twice `[MQTT-2.3.1-2 of 3.1.1]`, `[MQTT-2.2.1-3]`. A message that is done out of order leaves its place marked, to be given up
/// with those before it.
struct AtLeastOnceWindow {
    /// Identifiers above this one are those of QoS 2, and of SUBSCRIBE.
    static let lastPacketID: UInt16 = 0x7FFF

    private struct Slot {
        var sequence: Int64 = 0
        var size = 0
        var order: UInt64 = 0
        var isWritten = false
        /// `nil` if it is done.
        var message: UplinkMessage?
    }

    /// A ring, as large as the window can be. Not a `Deque`, which copies an element to append it or to look at it.
    private var slots: [Slot]
    /// Where the first place is.
    private var head = 0
    /// Places in use, those of messages that are done among them.
    private(set) var count = 0
    /// Identifier of the first place, or of the next message if there is none.
    private var firstID: UInt16 = 1

    /// - Parameter capacity: Most places.
    init(capacity: Int) {
        var size = 1
        while size < capacity { size *= 2 }
        self.slots = Array(repeating: Slot(), count: size)
    }

    var isEmpty: Bool { self.count == 0 }

    /// The identifier that the next message gets.
    @inline(__always)
    var nextPacketID: UInt16 { self.packetID(at: self.count) }

    /// Takes a message into the window, under ``nextPacketID``. The owner has seen to it that there is a place.
    @inline(__always)
    mutating func append(_ message: consuming UplinkMessage, size: Int, order: UInt64, isWritten: Bool) {
        assert(self.count < self.slots.count, "no place in the window")
        let sequence = message.sequence
        self.slots[self.slot(at: self.count)] = Slot(
            sequence: sequence,
            size: size,
            order: order,
            isWritten: isWritten,
            message: message
        )
        self.count += 1
    }

    /// Takes the message that has this identifier out, and gives its number and size; `nil` if none has that was written on
    /// this connection.
    @inline(__always)
    mutating func acknowledge(_ packetID: UInt16) -> (sequence: Int64, size: Int)? {
        guard let place = self.place(of: packetID), self.slots[self.slot(at: place)].isWritten else { return nil }
        return self.remove(at: place)
    }

    /// Takes the message out, whether it was written or not.
    mutating func remove(_ packetID: UInt16) -> (sequence: Int64, size: Int)? {
        self.place(of: packetID).map { self.remove(at: $0) }
    }

    /// Whether a message has this identifier.
    func contains(_ packetID: UInt16) -> Bool { self.place(of: packetID) != nil }

    /// The message with this identifier.
    subscript(_ packetID: UInt16) -> UplinkMessage? {
        self.place(of: packetID).flatMap { self.slots[self.slot(at: $0)].message }
    }

    /// Marks it as written on this connection, or not.
    mutating func setWritten(_ packetID: UInt16, _ isWritten: Bool) {
        guard let place = self.place(of: packetID) else { return }
        self.slots[self.slot(at: place)].isWritten = isWritten
    }

    /// Identifier, number and order of each message.
    var all: [(packetID: UInt16, sequence: Int64, order: UInt64)] {
        (0..<self.count).compactMap { place in
            let slot = self.slots[self.slot(at: place)]
            return slot.message == nil ? nil : (self.packetID(at: place), slot.sequence, slot.order)
        }
    }

    /// `nil` if the identifier is not in use.
    @inline(__always)
    private func place(of packetID: UInt16) -> Int? {
        guard packetID != 0, packetID <= Self.lastPacketID else { return nil }
        var place = Int(packetID) - Int(self.firstID)
        if place < 0 { place += Int(Self.lastPacketID) }
        return place < self.count && self.slots[self.slot(at: place)].message != nil ? place : nil
    }

    @inline(__always)
    private mutating func remove(at place: Int) -> (sequence: Int64, size: Int) {
        let slot = self.slot(at: place)
        let removed = (self.slots[slot].sequence, self.slots[slot].size)
        self.slots[slot].message = nil
        while self.count > 0, self.slots[self.head].message == nil {
            self.head = self.slot(at: 1)
            self.count -= 1
            self.firstID = self.firstID == Self.lastPacketID ? 1 : self.firstID + 1
        }
        return removed
    }

    @inline(__always)
    private func slot(at place: Int) -> Int { (self.head &+ place) & (self.slots.count &- 1) }

    @inline(__always)
    private func packetID(at place: Int) -> UInt16 {
        let packetID = Int(self.firstID) + place
        return UInt16(packetID <= Int(Self.lastPacketID) ? packetID : packetID - Int(Self.lastPacketID))
    }
}
