import CoAPCodec
import NIOCore

/// A client that is told of the changes of one resource (RFC 7641 §4.1).
final class Observation {
    /// Message IDs of this many notifications are known again in a RST.
    private static let remembered = 4

    let id: CoAPObservationID
    unowned let owner: PeerState
    let token: CoAPToken
    let protection: CoAPProtectedRequest?
    /// Registered by a confirmable request, and notified the same way.
    let isConfirmable: Bool
    /// Of the first response: later ones have the same (RFC 7641 §4.2).
    let contentFormat: CoAPContentFormat?
    /// Blocks that the client asked for.
    let blockSizeExponent: UInt8
    /// Bytes that may be sent before the address is proven.
    var budget: Int
    /// Waits until the one under way is acknowledged. A newer one takes its place.
    var pending: CoAPResponse?
    /// A confirmable notification is under way, or waits for its turn.
    var isUnderWay = false
    /// Notifications since the last that was confirmable.
    var unconfirmed = 0
    var lastSent: NIODeadline
    /// When the client last showed that it is there.
    var lastConfirmed: NIODeadline
    /// When the owner was last told to ask it.
    var lastAsked: NIODeadline
    private var messageIDs: [UInt16] = []

    init(
        id: CoAPObservationID,
        exchange: Exchange,
        contentFormat: CoAPContentFormat?,
        blockSizeExponent: UInt8,
        now: NIODeadline
    ) {
        self.id = id
        self.owner = exchange.owner
        self.token = exchange.token
        self.protection = exchange.protection
        self.isConfirmable = exchange.isConfirmable
        self.contentFormat = contentFormat
        self.blockSizeExponent = blockSizeExponent
        self.budget = exchange.budget
        self.lastSent = now
        self.lastConfirmed = now
        self.lastAsked = now
    }

    var context: UInt64 { self.protection?.context ?? 0 }

    func noteSent(_ messageID: UInt16) {
        if self.messageIDs.count == Self.remembered { self.messageIDs.removeFirst() }
        self.messageIDs.append(messageID)
    }

    /// Whether it was one of this observation's notifications lately.
    func hasSent(_ messageID: UInt16) -> Bool { self.messageIDs.contains(messageID) }
}
