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
    /// The broker accepted. What was in flight has been written again; now ``UplinkClient/send(sequence:topic:payload:qos:retain:into:)``
    /// takes messages.
    case connected(sessionPresent: Bool)
    /// The broker took charge of the QoS 1 message with this number. See ``UplinkClient/acknowledgedThrough`` for doing
    /// it by ranges.
    case acknowledged(sequence: Int64)
    /// A message came. With a receipt it waits for ``UplinkClient/acknowledge(_:into:)``.
    case message(Publish, UplinkReceipt?)
    /// A message came that only this gateway's own limits forbid, for this reason; it is answered for and gone.
    case dropped(MQTTDecodeError)
    /// Every subscription was answered; the broker refused these.
    case subscribed(refused: [TopicFilter])
    /// Close the connection without flushing if it is still open, and call ``UplinkClient/tick(now:into:)`` at `retryAt`.
    case close(UplinkFailure, retryAt: NIODeadline)
}
