package import CoAPCodec
internal import NIOCore
internal import OpenSSL

/// The gateway's side of one OSCORE context: opens the peer's requests, seals the responses (RFC 8613 §8).
///
/// Owned by one event loop, does no I/O. ``state`` is the owner's to write down: the window with the message that has moved
/// it, sequence numbers ahead of use. After a restart without a window that can be believed a receiver asks for an Echo
/// (Appendix B.1.2).
package final class OSCOREReceiver {
    /// A request that was opened, as far as its responses need it.
    package struct Request: Hashable, Sendable {
        /// Its Partial IV; its `kid` is the context's Recipient ID.
        package let sequence: UInt64
        /// FETCH outside, as for Observe: its responses are 2.05 outside, and others 2.04 (RFC 8613 §4.2).
        package let isFetch: Bool

        package init(sequence: UInt64, isFetch: Bool) {
            self.sequence = sequence
            self.isFetch = isFetch
        }
    }

    /// What became of a request.
    package enum Verdict: Sendable {
        /// Proven and new. The window has moved.
        case opened(CoAPMessage, Request)
        /// Proven, but whether it is new can't be known: to be answered with an Echo value, under a Partial IV of the
        /// gateway's own. If its own Echo value is good and it was made after the start: ``accept(_:)``.
        case unknownFreshness(CoAPMessage, Request)
        case refused(Refusal)
    }

    /// Why a request was not opened, and what its sender is told, without protection (RFC 8613 §8.2).
    package enum Refusal: Error, Equatable, Sendable {
        /// The option can't be read, or lacks what a request needs.
        case malformed
        /// The number has come before, or is too old.
        case replayed
        /// Not sealed by the peer, or what is inside is no request.
        case notProven

        /// The response.
        package var code: CoAPCode {
            switch self {
            case .malformed: .badOption
            case .replayed: .unauthorized
            case .notProven: .badRequest
            }
        }

        /// Its diagnostic payload, in the standard's words.
        package var diagnostic: String {
            switch self {
            case .malformed: "Failed to decode COSE"
            case .replayed: "Replay detected"
            case .notProven: "Decryption failed"
            }
        }
    }

    package let context: OSCOREContext
    package var state: OSCOREState

    private let workspace: OSCOREWorkspace

    /// - Parameter workspace: That of the loop.
    package init(_ context: OSCOREContext, state: OSCOREState, workspace: OSCOREWorkspace = OSCOREWorkspace()) {
        self.context = context
        self.state = state
        self.workspace = workspace
    }

    // MARK: Requests

    /// Opens a request that the owner found this context for, by `kid` and `kid context` of its option.
    ///
    /// - Parameter option: That of the request.
    package func open(_ outer: CoAPMessage, _ option: OSCOREOption) -> Verdict {
        guard let number = option.sequence, let kid = option.kid,
            OSCOREID(kid.readableBytesView) == self.context.recipientID
        else { return .refused(.malformed) }
        let request = Request(sequence: number, isFetch: outer.code == .fetch)
        // Before the work of opening, always, whether or not the window can be believed (libcoap#2036).
        let freshness = self.state.freshness(of: number)
        guard freshness != .replayed else { return .refused(.replayed) }
        let spare = OSCOREMessage.spareBytes
        guard var plaintext = self.context.open(outer.payload, number: number, spare: spare, self.workspace),
            let inner = OSCOREMessage.message(of: &plaintext, outer: outer), inner.code.isRequest
        else { return .refused(.notProven) }
        // Not before it is proven.
        guard freshness == .fresh else { return .unknownFreshness(inner, request) }
        self.state.insert(request.sequence)
        return .opened(inner, request)
    }

    /// The same with the message's own option.
    package func open(_ outer: CoAPMessage) -> Verdict {
        guard let option = outer.options.first(.oscore).flatMap(OSCOREOption.init(decoding:)) else {
            return .refused(.malformed)
        }
        return self.open(outer, option)
    }

    /// A request of unknown freshness brought an Echo value of this run: it is new, and so is what was sent after it.
    package func accept(_ request: Request) { self.state.accept(request.sequence) }

    // MARK: Responses

    /// Seals a response.
    ///
    /// - Parameter withOwnPartialIV: Of notifications, of answers to a request of unknown freshness, and of every response
    ///   but the first. Without it the request's nonce is used, which may happen once (RFC 8613 §8.3).
    /// - Returns: The message with its outer code; `nil` if no sequence number is left.
    package func seal(_ response: CoAPMessage, to request: Request, withOwnPartialIV: Bool) -> CoAPMessage? {
        var own: UInt64?
        if withOwnPartialIV {
            guard let number = self.state.sequence.take() else { return nil }
            own = number
        }
        var sealed = OSCOREMessage.plaintext(of: response, room: self.context.algorithm.tagBytes)
        self.context.seal(&sealed, own: own, request: request.sequence, self.workspace)
        return CoAPMessage(
            type: response.type,
            code: request.isFetch ? .content : .changed,
            messageID: response.messageID,
            token: response.token,
            options: OSCOREMessage.outerOptions(of: response, partialIV: own),
            payload: sealed
        )
    }
}
