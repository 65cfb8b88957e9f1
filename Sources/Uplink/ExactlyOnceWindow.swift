/// The QoS 2 messages whose PUBLISH was sent and not yet answered with PUBREC, by their packet identifiers.
struct ExactlyOnceWindow {
    /// The identifiers are `0x8000...0xFFFD`: below are those of QoS 1, above that of SUBSCRIBE.
    static let firstPacketID: UInt16 = 0x8000
    static let packetIDs: Int64 = 0x7FFE

    private var messages: [UInt16: InFlightMessage] = [:]

    /// The identifier that the message with this number always has, also after a restart.
    static func packetID(of sequence: Int64) -> UInt16 {
        Self.firstPacketID + UInt16(truncatingIfNeeded: UInt64(bitPattern: sequence) % UInt64(Self.packetIDs))
    }

    var count: Int { self.messages.count }
    var isEmpty: Bool { self.messages.isEmpty }
    /// The message that was sent first of those here. Looks at all of them.
    var first: InFlightMessage? { self.messages.values.min { $0.order < $1.order } }

    /// The message with this identifier.
    subscript(_ packetID: UInt16) -> InFlightMessage? { self.messages[packetID] }

    /// Takes a message whose identifier is free.
    mutating func insert(_ message: InFlightMessage) -> UInt16 {
        let packetID = Self.packetID(of: message.message.sequence)
        assert(self.messages[packetID] == nil, "packet identifier \(packetID) is in use")
        self.messages[packetID] = message
        return packetID
    }

    /// Takes the message out.
    mutating func remove(_ packetID: UInt16) -> InFlightMessage? {
        self.messages.removeValue(forKey: packetID)
    }

    /// Marks it as written on this connection, or not.
    mutating func setWritten(_ packetID: UInt16, _ isWritten: Bool) {
        self.messages[packetID]?.isWritten = isWritten
    }

    /// Calls `body` with each message, in no order.
    func forEach(_ body: (UInt16, InFlightMessage) -> Void) {
        for (packetID, message) in self.messages { body(packetID, message) }
    }
}
