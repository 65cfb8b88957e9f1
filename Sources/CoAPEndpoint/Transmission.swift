import NIOCore

/// A confirmable message under way (RFC 7252 §4.2).
final class Transmission {
    enum Purpose {
        /// A response that came too late for the acknowledgement.
        case response
        case notification(Observation, Observation.Waiting)
        /// A ping (RFC 7252 §4.3): whether anybody is at the address of an observer.
        case ping(Observation)

        var isPing: Bool {
            if case .ping = self { true } else { false }
        }
    }

    /// Changes when a newer notification takes the place of one that is sent again (RFC 7641 §4.5.2), and when somebody may
    /// have guessed it.
    private(set) var messageID: UInt16
    private(set) var datagram: ByteBuffer
    var purpose: Purpose
    /// Answers of the peer that fitted nothing, before it had this Message ID.
    private(set) var straysBefore: UInt64
    /// Something answered it that was not believed: the next time it has another Message ID.
    var isDoubted = false
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
        straysBefore: UInt64,
        budget: Int,
        timeout: TimeAmount,
        now: NIODeadline
    ) {
        self.messageID = messageID
        self.datagram = datagram
        self.purpose = purpose
        self.straysBefore = straysBefore
        self.budget = budget
        self.timeout = timeout
        self.deadline = now + timeout
    }

    /// Whose notification it is.
    var observation: Observation? {
        if case .notification(let observation, _) = self.purpose { observation } else { nil }
    }

    /// From now on it is this message; `datagram` may be its own with another Message ID.
    func become(_ messageID: UInt16, _ datagram: ByteBuffer, straysBefore: UInt64) {
        self.messageID = messageID
        self.datagram = datagram
        self.straysBefore = straysBefore
        self.isDoubted = false
    }

    /// The same under another Message ID.
    func datagram(under messageID: UInt16) -> ByteBuffer {
        var datagram = self.datagram
        datagram.setInteger(messageID, at: datagram.readerIndex + 2)
        return datagram
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
