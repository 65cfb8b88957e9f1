/// The QoS 2 messages whose PUBLISH was sent and not yet answered with PUBREC, by their packet identifiers.
struct ExactlyOnceWindow {
    /// The identifiers are `0x8000...0xFFFD`: below are those of QoS 1, above that of SUBSCRIBE.
    static let firstPacketID: UInt16 = 0x8000
    static let packetIDs: UInt64 = 0x7FFE

    private struct Entry {
        let message: UplinkMessage
        let size: Int
        let order: UInt64
        var isWritten: Bool
    }

    private var entries: [UInt16: Entry] = [:]

    /// The identifier that the message with this number always has, also after a restart.
    static func packetID(of sequence: Int64) -> UInt16 {
        Self.firstPacketID + UInt16(UInt64(bitPattern: sequence) % Self.packetIDs)
    }

    var count: Int { self.entries.count }
    var isEmpty: Bool { self.entries.isEmpty }

    /// Takes a message whose identifier is free.
    mutating func insert(_ message: consuming UplinkMessage, size: Int, order: UInt64, isWritten: Bool) {
        let packetID = Self.packetID(of: message.sequence)
        assert(self.entries[packetID] == nil, "packet identifier \(packetID) is in use")
        self.entries[packetID] = Entry(message: message, size: size, order: order, isWritten: isWritten)
    }

    /// Takes the message that has this identifier out, and gives its number and size; `nil` if none has that was written on
    /// this connection.
    mutating func acknowledge(_ packetID: UInt16) -> (sequence: Int64, size: Int)? {
        self.entries[packetID]?.isWritten == true ? self.remove(packetID) : nil
    }

    /// Takes the message out, whether it was written or not.
    mutating func remove(_ packetID: UInt16) -> (sequence: Int64, size: Int)? {
        self.entries.removeValue(forKey: packetID).map { ($0.message.sequence, $0.size) }
    }

    /// Whether a message has this identifier.
    func contains(_ packetID: UInt16) -> Bool { self.entries[packetID] != nil }

    /// The message with this identifier.
    subscript(_ packetID: UInt16) -> UplinkMessage? { self.entries[packetID]?.message }

    /// Marks it as written on this connection, or not.
    mutating func setWritten(_ packetID: UInt16, _ isWritten: Bool) {
        self.entries[packetID]?.isWritten = isWritten
    }

    /// Identifier, number and order of each message, in no order.
    var all: [(packetID: UInt16, sequence: Int64, order: UInt64)] {
        self.entries.map { ($0, $1.message.sequence, $1.order) }
    }
}
