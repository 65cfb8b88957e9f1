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
    /// ``Exchange/registration``.
    let registration: Int
    /// The client itself has registered it for certain, or acknowledged a notification: nobody may end it, or put another in
    /// its place, who only knows its token.
    var isShown: Bool
    /// Bytes that may be sent before the address is proven.
    var budget: Int
    /// A notification that waits until the one under way is acknowledged, or for its peer's turn.
    struct Waiting {
        let response: CoAPResponse
        /// The owner waits for its confirmation.
        let isOwed: Bool
    }

    /// The one that waits and is owed.
    private var owed: CoAPResponse?
    /// The newest of the others, and newer than the one that is owed.
    private var newest: CoAPResponse?
    /// A confirmable notification is under way, or waits for its turn.
    var isUnderWay = false
    /// Notifications since the last that was confirmable.
    var unconfirmed = 0
    var lastSent: NIODeadline
    /// When the client last showed that it is there.
    var lastConfirmed: NIODeadline
    /// When the owner was last told to ask it.
    var lastAsked: NIODeadline
    /// The next notification must be confirmable.
    var mustConfirm = false
    private var sent: [(messageID: UInt16, straysBefore: UInt64)] = []

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
        self.registration = exchange.registration
        self.isShown = exchange.isShown
        self.budget = exchange.budget
        self.lastSent = now
        self.lastConfirmed = now
        self.lastAsked = now
    }

    // MARK: What waits

    var hasWaiting: Bool { self.owed != nil || self.newest != nil }

    /// Takes the place of what is older, except that what is owed gives way to its like only; how many it took.
    func put(_ response: CoAPResponse, isOwed: Bool) -> UInt64 {
        var superseded: UInt64 = self.newest == nil ? 0 : 1
        guard isOwed else {
            self.newest = response
            return superseded
        }
        superseded += self.owed == nil ? 0 : 1
        self.owed = response
        self.newest = nil
        return superseded
    }

    func takeWaiting() -> Waiting? {
        if let owed = self.owed.take() { return Waiting(response: owed, isOwed: true) }
        return self.newest.take().map { Waiting(response: $0, isOwed: false) }
    }

    func dropWaiting() {
        self.owed = nil
        self.newest = nil
    }

    // MARK: What went out

    var context: UInt64 { self.protection?.context ?? 0 }

    func noteSent(_ messageID: UInt16) {
        if self.sent.count == Self.remembered { self.sent.removeFirst() }
        self.sent.append((messageID, self.owner.strayAnswers))
    }

    /// How many answers of the peer had fitted nothing when this notification was sent; `nil`: it was none of this
    /// observation's lately.
    func straysBefore(_ messageID: UInt16) -> UInt64? {
        self.sent.first { $0.messageID == messageID }?.straysBefore
    }
}
