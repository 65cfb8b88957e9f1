internal import CoAPCodec
internal import NIOCore

/// One resource that is observed.
final class ObservedTarget {
    /// What was last said about it to the owner.
    enum Reported { case nothing, observed, polled, failed }

    let id: CoAPTargetID
    let resource: CoAPResource
    unowned var node: ObservedNode
    /// Under which the node notifies, or may do so: from the request on, until the node says that it doesn't.
    var token: CoAPToken?
    /// Of the newest notification (RFC 7641 §3.4).
    var newest: (sequence: UInt32, arrival: NIODeadline)?
    /// At most one at a time: a representation is not fetched while another request is under way.
    var request: ClientRequest?
    /// The representation whose further blocks are fetched.
    var body: FetchedBody?
    /// When the next request is due; without meaning while there is one.
    var wake: NIODeadline?
    /// The earliest timer that is set.
    var armed: NIODeadline?
    /// In a row.
    var failures = 0
    var reported = Reported.nothing
    /// The owner wants it no longer; the node is being told.
    var isLeaving = false

    init(_ id: CoAPTargetID, _ resource: CoAPResource, node: ObservedNode) {
        self.id = id
        self.resource = resource
        self.node = node
    }

    /// When something is due.
    var deadline: NIODeadline? { self.request == nil ? self.wake : self.request?.deadline }

    /// Whether a message with this token belongs to it.
    func expects(_ token: CoAPToken) -> Bool { self.token == token || self.request?.token == token }
}

/// A representation that comes in blocks (RFC 7959 §2.4).
struct FetchedBody {
    var bytes: ByteBuffer
    /// Of the first block; the others must have the same.
    let eTag: ByteBuffer?
    let contentFormat: CoAPContentFormat?
    let maxAge: UInt32
}

/// A GET under way (RFC 7252 §4.2, §5.2).
final class ClientRequest {
    enum Purpose {
        /// The representation, and to be told of changes.
        case registration
        /// A further block.
        case block(CoAPBlock)
        /// To be told no longer.
        case deregistration
    }

    enum State {
        /// Waits for its turn (NSTART).
        case queued
        /// Sent again until something comes.
        case sent
        /// An empty ACK has come: the response comes apart.
        case acknowledged
    }

    let target: CoAPTargetID
    let purpose: Purpose
    let token: CoAPToken
    /// What the node wants to have again, so that it knows that this side receives at its address (RFC 9175 §2.3).
    let echo: ByteBuffer?
    /// Of the message; set when it is sent.
    var messageID: UInt16 = 0
    var datagram = ByteBuffer()
    var state = State.queued
    /// When it is sent again or given up.
    var deadline: NIODeadline?
    /// Times that it was sent again.
    var retransmissions = 0
    var timeout = TimeAmount.zero

    init(_ purpose: Purpose, of target: CoAPTargetID, token: CoAPToken, echo: ByteBuffer?) {
        self.target = target
        self.purpose = purpose
        self.token = token
        self.echo = echo
    }

    var isRegistration: Bool { if case .registration = self.purpose { true } else { false } }
}
