import CoAPEndpoint
import Transport

/// What a ``CoAPReader`` asks of the socket behind it. None of it calls back before it returns.
protocol CoAPAnswering: AnyObject {
    @discardableResult
    func respond(to id: CoAPRequest.ID, _ response: CoAPResponse, observing: Bool) -> CoAPObservationID?
    @discardableResult
    func notify(_ id: CoAPObservationID, _ response: CoAPResponse, isConfirmable: Bool) -> Bool
    func endObservation(_ id: CoAPObservationID)
    /// For the log and for limits; never an identity.
    func address(of peer: CoAPPeer) -> PeerAddress
}

extension CoAPChannel: CoAPAnswering {}
