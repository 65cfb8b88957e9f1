import CoAPEndpoint
import NIOCore

extension GatewayCore {
    /// For the operator: a request with OSCORE that was not opened. Anybody can send one, from whatever address.
    func noteRefusedOSCORE(_ refusal: Refusal, _ detail: String, from peer: CoAPPeer) {
        self.counters.count(refusal)
        self.refusals.note(
            refusal,
            device: "?",
            topic: nil,
            from: CoAPSender.unprovenAddress,
            detail: detail,
            byDetail: true,
            now: .now()
        )
    }
}
