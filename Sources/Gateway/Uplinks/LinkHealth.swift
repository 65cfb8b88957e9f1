import NIOCore

/// Whether an outside broker that accepted the connection also does its work: "connected" is said only while acknowledgements
/// come in. Pure; bound to the gateway's loop.
struct LinkHealth {
    enum Condition: Equatable {
        /// Accepted, and nothing acknowledged yet on this connection.
        case unproven
        /// Acknowledgements come in, or none is owed.
        case answering
        /// The oldest message has waited for its acknowledgement for longer than ``patience``.
        case owing
    }

    /// How long a broker may take to acknowledge a message before people are told.
    static let patience = TimeAmount.seconds(10)
    /// First byte's high half of the packets that acknowledge something: PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK, PINGRESP.
    private static let answers: UInt16 = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 9 | 1 << 11 | 1 << 13

    /// When an acknowledgement of any kind came last; nil: not in this run.
    private(set) var lastAnswer: NIODeadline?
    private var hasAnswered = false
    private var oldest: (sequence: Int64, since: NIODeadline)?

    /// Whether a packet with this first byte acknowledges something.
    static func isAnswer(_ firstByte: UInt8) -> Bool { Self.answers & (1 << UInt16(firstByte >> 4)) != 0 }

    /// The broker accepted a connection, which has proved nothing yet.
    mutating func accepted() {
        self.hasAnswered = false
        self.oldest = nil
    }

    /// An acknowledgement came.
    ///
    /// - Returns: Whether it is the first on this connection.
    mutating func answered(now: NIODeadline) -> Bool {
        self.lastAnswer = now
        defer { self.hasAnswered = true }
        return !self.hasAnswered
    }

    /// Takes which message has waited longest, of those that were sent; to be called every few seconds.
    mutating func look(oldestInFlight sequence: Int64?, now: NIODeadline) {
        guard let sequence else { return self.oldest = nil }
        if self.oldest?.sequence != sequence { self.oldest = (sequence, now) }
    }

    func condition(now: NIODeadline) -> Condition {
        if let oldest, now - oldest.since >= Self.patience { return .owing }
        return self.hasAnswered ? .answering : .unproven
    }
}
