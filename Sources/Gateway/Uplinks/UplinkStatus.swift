import NIOCore

/// What an uplink has been doing, for people and programs. Bound to the gateway's loop.
struct UplinkStatus {
    /// The broker that is connected, as in gateway.conf; nil: none is.
    var address: String?
    /// When the present state began.
    var since = NIODeadline.now()
    /// When the outside broker last acknowledged something; nil: not in this run.
    var lastAcknowledgement: NIODeadline?
    /// Why the last connection ended, or did not come about; nil: it never did.
    var lastError: String?
    /// Messages that a limit of the spool took, the age among them.
    var dropped = 0
    /// Messages that outlived their Message Expiry Interval, or their route's `ttl`, before they could be sent.
    var expired = 0
    /// Messages that went to the dead letters.
    var dead = 0
    /// Messages that the outside broker acknowledged.
    var acknowledged = 0
    /// Of these, those that never touched the disk.
    var acknowledgedUnwritten = 0
}
