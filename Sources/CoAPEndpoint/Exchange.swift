import CoAPCodec
import NIOCore

/// One request until it is answered: what the answer needs to know. Then only a ``RememberedRequest`` is left of it.
final class Exchange {
    let id: CoAPRequest.ID
    unowned let owner: PeerState
    let messageID: UInt16
    let token: CoAPToken
    let isConfirmable: Bool
    let isMulticast: Bool
    /// OSCORE is to open it. Between two datagrams only those are open that it has opened.
    let isProtected: Bool
    /// Bytes that may still be sent for it; no bound to an address that is proven.
    var budget: Int

    // Set when the request is read.
    var method = CoAPCode.empty
    var options = CoAPOptions()
    /// What the options say; of a protected request those outside, until it is opened.
    var read: CoAPRequestOptions
    var protection: CoAPProtectedRequest?
    var wantsObservation = false
    /// This very request shows that its sender receives at its address, or is sealed: nobody else has written the address.
    var isShown = false
    /// A key opened it, and it was not seen before.
    var isOpened = false
    /// Block1 of the response.
    var answeredBlock1: CoAPBlock?
    /// How long ago the Echo value of this message was given; `nil`: it has none that is good.
    var age: TimeAmount?
    /// What was put together from blocks, without the last one.
    var earlierBlocks: IncomingBodies.Blocks?

    /// False: answered.
    var isOpen = true
    /// An empty ACK went out.
    var isAcknowledged = false

    init(
        id: CoAPRequest.ID,
        owner: PeerState,
        message: CoAPMessage,
        read: CoAPRequestOptions,
        isMulticast: Bool,
        isProtected: Bool,
        budget: Int
    ) {
        self.id = id
        self.owner = owner
        self.messageID = message.messageID
        self.token = message.token
        self.isConfirmable = message.type == .confirmable
        self.isMulticast = isMulticast
        self.read = read
        self.isProtected = isProtected
        self.budget = budget
    }

    var context: UInt64 { self.protection?.context ?? 0 }

    /// Tells whether two registrations ask for the same, in the same way: the options, those aside that say nothing of the
    /// resource, such as Echo.
    var registration: Int {
        var hasher = Hasher()
        hasher.combine(self.isConfirmable)
        self.options.forEachRaw { number, value in
            guard number != .observe, !number.isNoCacheKey else { return }
            hasher.combine(number)
            hasher.combine(value.count)
            hasher.combine(bytes: value)
        }
        return hasher.finalize()
    }

    /// Whether a response with this code means that something was done. 2.31 does not, nor a later block of what a
    /// request before this one was answered.
    func isCarriedOut(_ code: CoAPCode) -> Bool {
        code.isSuccess && code != .continue && self.method != .get && (self.read.block2?.number ?? 0) == 0
    }

    /// Tells which requests belong to one body.
    var bodyKey: BodyKey {
        BodyKey(self.owner.peer, context: self.context, method: self.method, options: self.options)
    }
}

/// A request that may come again, and what went out for it.
struct RememberedRequest {
    let id: CoAPRequest.ID
    let messageID: UInt16
    /// Of the whole datagram.
    let digest: Int
    let isConfirmable: Bool
    /// From then on a message like this is another one.
    let expires: NIODeadline
    /// `nil`: it waits for the owner.
    var rank: HistoryRank?
    /// An empty ACK went out.
    var isAcknowledged = false
    /// What went out in the ACK.
    var reply: ByteBuffer?

    var isOpen: Bool { self.rank == nil }
    var replyBytes: Int { self.reply?.readableBytes ?? 0 }
}
