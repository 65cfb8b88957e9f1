import CoAPCodec
import CoAPEndpoint
import NIOCore

/// In place of the desk at a listener with `oscore = false`: answers as if the option were not known (RFC 7252 §5.4.1), and has it noted.
final class OSCORETurnedOff: CoAPProtection {
    private let refused: (CoAPPeer) -> Void

    /// - Parameter refused: Told of each request.
    init(_ refused: @escaping (CoAPPeer) -> Void) {
        self.refused = refused
    }

    func open(_ request: CoAPMessage, from peer: CoAPPeer, now: NIODeadline) -> CoAPOpenedRequest {
        self.refused(peer)
        let response = CoAPResponse.error(.badOption)
        guard request.type != .confirmable else { return .refused(response) }
        // Who did not ask for a confirmation gets nothing: of what is not sealed in the end nothing leaves.
        return .challenged(response, CoAPProtectedRequest(context: 0, sequence: 0, isFetch: false))
    }

    func seal(_ response: CoAPMessage, to request: CoAPProtectedRequest, withOwnPartialIV: Bool) -> CoAPMessage? {
        nil
    }
}
