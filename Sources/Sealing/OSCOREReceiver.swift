package import CoAPCodec
internal import NIOCore
internal import OpenSSL

/// The gateway's side of one OSCORE context: opens the peer's requests, seals the responses (RFC 8613 §8).
///
/// Owned by one event loop, does no I/O. The replay window and the sequence numbers are the owner's to write down:
/// ``window`` with the message that has moved it, ``sequence`` ahead of use. A receiver that is made without a window, after
/// a restart without one that can be believed, knows no number and asks for an Echo (Appendix B.1.2).
package final class OSCOREReceiver {
    /// A request that was opened, as far as its responses need it.
    package struct Request: Hashable, Sendable {
        /// `kid` of the request.
        package let kid: [UInt8]
        /// Its Partial IV.
        package let partialIV: [UInt8]
        /// FETCH outside, as for Observe: its responses are 2.05 outside, and others 2.04 (RFC 8613 §4.2).
        package let isFetch: Bool

        package init(kid: [UInt8], partialIV: [UInt8], isFetch: Bool) {
            self.kid = kid
            self.partialIV = partialIV
            self.isFetch = isFetch
        }

        package var sequence: UInt64 { OSCOREOption.sequence(self.partialIV) }
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
    /// `nil`: after a restart, until a request is known to be fresh.
    package private(set) var window: OSCOREReplayWindow?
    /// Of this side.
    package var sequence: OSCORESequence

    package init(_ context: OSCOREContext, window: OSCOREReplayWindow?, sequence: OSCORESequence) {
        self.context = context
        self.window = window
        self.sequence = sequence
    }

    // MARK: Requests

    /// Opens a request that the owner found this context for, by `kid` and `kid context` of its option.
    package func open(_ outer: CoAPMessage) -> Verdict {
        guard let value = outer.options.first(.oscore), let option = OSCOREOption(decoding: value),
            !option.partialIV.isEmpty, option.kid == self.context.recipientID
        else { return .refused(.malformed) }
        let request = Request(
            kid: self.context.recipientID,
            partialIV: option.partialIV,
            isFetch: outer.code == .fetch
        )
        // Before the work of opening, always, whether or not a window was restored (libcoap#2036).
        if let window = self.window, !window.allows(request.sequence) { return .refused(.replayed) }
        let plaintext = self.context.algorithm.aead.open(
            Array(outer.payload.readableBytesView),
            key: self.context.recipientKey,
            nonce: self.context.nonce(partialIV: option.partialIV, id: self.context.recipientID),
            aad: self.context.associatedData(requestKID: request.kid, requestPIV: request.partialIV)
        )
        guard let plaintext, let inner = OSCOREMessage.message(of: plaintext, outer: outer), inner.code.isRequest else {
            return .refused(.notProven)
        }
        // Not before it is proven.
        guard self.window != nil else { return .unknownFreshness(inner, request) }
        self.window?.insert(request.sequence)
        return .opened(inner, request)
    }

    /// A request of unknown freshness brought an Echo value of this run: it is new, and so is what comes after it.
    /// Nothing before it is accepted any more.
    package func accept(_ request: Request) {
        if self.window == nil { self.window = OSCOREReplayWindow(from: request.sequence) }
    }

    /// Takes the acceptance of a request back, because its message could not be kept: it will come again.
    package func forget(_ request: Request) { self.window?.remove(request.sequence) }

    // MARK: Responses

    /// Seals a response.
    ///
    /// - Parameter withOwnPartialIV: Of notifications, of answers to a request of unknown freshness, and of every response
    ///   but the first. Without it the request's nonce is used, which may happen once (RFC 8613 §8.3).
    /// - Returns: The message with its outer code; `nil` if no sequence number is left.
    package func seal(_ response: CoAPMessage, to request: Request, withOwnPartialIV: Bool) -> CoAPMessage? {
        var option = OSCOREOption()
        var nonce = self.context.nonce(partialIV: request.partialIV, id: request.kid)
        if withOwnPartialIV {
            guard let number = self.sequence.take() else { return nil }
            option.partialIV = OSCOREOption.partialIV(number)
            nonce = self.context.nonce(partialIV: option.partialIV, id: self.context.senderID)
        }
        let sealed = self.context.algorithm.aead.seal(
            OSCOREMessage.plaintext(of: response),
            key: self.context.senderKey,
            nonce: nonce,
            aad: self.context.associatedData(requestKID: request.kid, requestPIV: request.partialIV)
        )
        var outer = response
        outer.code = request.isFetch ? .content : .changed
        // Observe stays outside, too, for proxies.
        outer.options = response.options.filtered {
            OSCOREMessage.isOuterOnly($0.number) || $0.number == .observe
        }
        outer.options.append(.oscore, option.encoded())
        outer.payload = ByteBuffer(bytes: sealed)
        return outer
    }
}
