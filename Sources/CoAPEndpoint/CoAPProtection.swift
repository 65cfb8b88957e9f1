package import CoAPCodec
package import NIOCore

/// A request that was opened, as far as its responses need it (RFC 8613 §5.4: `request_kid`, `request_piv`).
package struct CoAPProtectedRequest: Sendable {
    /// The owner's number of the security context, not 0.
    package let context: UInt64
    /// Its Partial IV, as a number. Its `kid` is the context's.
    package let sequence: UInt64
    /// FETCH outside: responses are 2.05 outside.
    package let isFetch: Bool
    /// It may be a replay, which was answered under its nonce before: the response must have one of its own.
    package let needsOwnPartialIV: Bool

    package init(
        context: UInt64,
        sequence: UInt64,
        isFetch: Bool,
        needsOwnPartialIV: Bool = false
    ) {
        self.context = context
        self.sequence = sequence
        self.isFetch = isFetch
        self.needsOwnPartialIV = needsOwnPartialIV
    }
}

/// What became of a request with an OSCORE option.
package enum CoAPOpenedRequest: Sendable {
    /// The message inside; its type, Message ID and token are not looked at.
    case request(CoAPMessage, CoAPProtectedRequest)
    /// Not opened: the response goes out unprotected (RFC 8613 §8.2).
    case refused(CoAPResponse)
    /// Opened, but not to be believed yet: a protected response, such as 4.01 with Echo (RFC 8613 Appendix B.1.2).
    case challenged(CoAPResponse, CoAPProtectedRequest)
}

/// OSCORE as the server sees it: opens requests between the message layer and everything above, seals what goes back.
/// Does no I/O. Replays are its to refuse; a message that merely came twice never gets here.
package protocol CoAPProtection: AnyObject {
    /// A request whose options hold OSCORE.
    func open(_ request: CoAPMessage, from peer: CoAPPeer, now: NIODeadline) -> CoAPOpenedRequest

    /// A response to such a request, as it goes out; token, type and Message ID are set by the server.
    ///
    /// - Parameter withOwnPartialIV: The request's nonce may not be used: for a notification, or because the request says
    ///   so. All others come once for each request (RFC 8613 §8.3).
    /// - Returns: `nil`: it can't be sealed, so nothing is sent.
    func seal(
        _ response: CoAPMessage,
        to request: CoAPProtectedRequest,
        withOwnPartialIV: Bool
    ) -> CoAPMessage?
}
