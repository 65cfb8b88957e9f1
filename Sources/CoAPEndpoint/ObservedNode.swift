internal import CoAPCodec
internal import DequeModule
internal import NIOCore

/// A node some of whose resources are observed.
final class ObservedNode {
    let peer: CoAPPeer
    var targets: [ObservedTarget] = []
    /// At most NSTART.
    var inFlight: [ClientRequest] = []
    /// Wait for their turn.
    var waiting: Deque<ClientRequest> = []
    private var lastMessageID: UInt16
    /// Confirmable and other responses that came, oldest first.
    private var history: Deque<ReceivedResponse> = []

    /// - Parameter messageID: Random (RFC 7252 §4.4).
    init(_ peer: CoAPPeer, messageID: UInt16) {
        self.peer = peer
        self.lastMessageID = messageID
    }

    func nextMessageID() -> UInt16 {
        self.lastMessageID &+= 1
        return self.lastMessageID
    }

    /// The target whose request this is the ACK or RST of.
    func target(sending messageID: UInt16) -> ObservedTarget? {
        self.targets.first { target in
            guard let request = target.request, request.messageID == messageID else { return false }
            return request.state == .sent
        }
    }

    // MARK: What came

    /// Responses that wait for the owner.
    var unacknowledgedCount: Int { self.history.count { $0.state == .open } }

    /// This very message, if it came before. A node that has restarted uses the same Message IDs for other messages, which
    /// is why the digest counts.
    func recall(_ messageID: UInt16, digest: Int, now: NIODeadline) -> ReceivedResponse? {
        self.history.last { $0.messageID == messageID && $0.digest == digest && $0.expires > now }
    }

    func remember(_ response: ReceivedResponse, limit: Int, now: NIODeadline) {
        while let oldest = self.history.first, self.history.count >= limit || oldest.expires <= now {
            self.history.removeFirst()
        }
        self.history.append(response)
    }

    /// What went out for one; it may be forgotten already.
    func note(_ state: ReceivedResponse.State, for id: UInt64) {
        guard let index = self.history.lastIndex(where: { $0.id == id }) else { return }
        self.history[index].state = state
    }
}

/// A CON or NON response that may come again.
struct ReceivedResponse {
    enum State {
        /// Nothing went out yet: the owner has it.
        case open
        /// An ACK went out, or none is due.
        case acknowledged
        /// The owner could not take it, and gets it once more when it comes again.
        case declined
        /// A RST went out.
        case rejected
    }

    let id: UInt64
    let messageID: UInt16
    /// Of the whole datagram.
    let digest: Int
    let isConfirmable: Bool
    /// From then on a message like this is another one.
    let expires: NIODeadline
    var state = State.open
}
