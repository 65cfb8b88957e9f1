package import MQTTCodec
package import NIOCore

/// What the owner of an ``UplinkClient`` is to do after an event. Bytes to send are not in it: they are already in the
/// buffer that was handed in.
package enum UplinkAction: Equatable {
    /// Nothing.
    case none
    /// Open a connection to the broker, and report it with ``UplinkClient/transportConnected(now:into:)`` or
    /// ``UplinkClient/transportClosed(reason:now:)``.
    case connect
    /// The broker accepted. What was in flight has been written again, or is as answers make room; now
    /// ``UplinkClient/send(_:now:into:)`` takes messages.
    case connected(UplinkSession)
    /// The broker took charge of the QoS 1 message with this number.
    case acknowledged(sequence: Int64)
    /// The broker has the QoS 2 message with this number. When that is written down, and the message with it deleted,
    /// ``UplinkClient/release(packetID:into:)``.
    case pubrec(sequence: Int64, packetID: UInt16)
    /// The broker does not take the message with this number, a QoS 1 or 2 one, for this reason (a code of 0x80 and above); in
    /// its words if it had some, printable and short. The message has left the window. 5.0 only.
    case refused(sequence: Int64, ReasonCode, reason: String?)
    /// The broker has answered the release of this identifier. When the owner has forgotten it for good,
    /// ``UplinkClient/forget(packetID:)``.
    case completed(packetID: UInt16)
    /// A message came. With a receipt it waits for ``UplinkClient/acknowledge(_:into:)``, or for
    /// ``UplinkClient/abandon(_:)`` if it could not be stored.
    case message(Publish, UplinkReceipt?)
    /// The broker is done with the QoS 2 message of this identifier. When the identifier is forgotten for good,
    /// ``UplinkClient/complete(packetID:into:)``. May come again on another connection.
    case released(packetID: UInt16)
    /// A message came that only this gateway's own limits forbid, for this reason; it is answered for and gone.
    case dropped(MQTTDecodeError)
    /// Every subscription was answered; these were refused.
    case subscribed(refused: [RefusedSubscription])
    /// Close the connection if it is still open, and call ``UplinkClient/tick(now:into:)`` at `retryAt`. What the buffer
    /// gained may go out before, if the connection takes it at once: with 5.0 a DISCONNECT tells the broker why.
    case close(UplinkFailure, retryAt: NIODeadline)
}

/// A filter from which no messages come.
package struct RefusedSubscription: Equatable, Sendable {
    package let filter: TopicFilter
    /// The broker's; or the client's own where it did not ask, for the broker had said already that it takes no such filters.
    package let code: ReasonCode

    package init(filter: TopicFilter, code: ReasonCode) {
        self.filter = filter
        self.code = code
    }
}
