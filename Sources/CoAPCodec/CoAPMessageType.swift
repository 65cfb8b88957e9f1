/// Type of a message (RFC 7252 §4).
package enum CoAPMessageType: UInt8, Sendable, CaseIterable {
    /// CON: sent again until it is acknowledged or reset.
    case confirmable = 0
    /// NON: sent once.
    case nonConfirmable = 1
    /// ACK: with the response inside, or empty.
    case acknowledgement = 2
    /// RST: what came can't be used.
    case reset = 3
}
