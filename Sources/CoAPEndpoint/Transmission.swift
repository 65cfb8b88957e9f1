import NIOCore

/// A confirmable message under way (RFC 7252 §4.2).
final class Transmission {
    enum Purpose {
        /// A response that came too late for the acknowledgement.
        case response
        case notification(Observation, isOwed: Bool)
        /// A ping (RFC 7252 §4.3): whether anybody is at the address of an observer.
        case ping(Observation)

        var isPing: Bool {
            if case .ping = self { true } else { false }
        }
    }

    /// Changes when a newer notification takes the place of one that is sent again (RFC 7641 §4.5.2).
    var messageID: UInt16
    var datagram: ByteBuffer
    /// So may whether it is owed.
    var purpose: Purpose
    /// Bytes that may still be sent.
    var budget: Int
    /// Times that it was sent again.
    private(set) var retransmissions = 0
    private var timeout: TimeAmount
    /// When nothing has come until then, it is sent again or given up.
    private(set) var deadline: NIODeadline

    init(
        messageID: UInt16,
        datagram: ByteBuffer,
        purpose: Purpose,
        budget: Int,
        timeout: TimeAmount,
        now: NIODeadline
    ) {
        self.messageID = messageID
        self.datagram = datagram
        self.purpose = purpose
        self.budget = budget
        self.timeout = timeout
        self.deadline = now + timeout
    }

    /// Nothing came: false if it was sent often enough. The wait doubles.
    func timedOut(now: NIODeadline, maxRetransmit: Int) -> Bool {
        guard self.retransmissions < maxRetransmit else { return false }
        self.retransmissions += 1
        self.timeout = self.timeout * 2
        self.deadline = now + self.timeout
        return true
    }
}
