import CoAPEndpoint
import NIOCore

extension GatewayCore {
    /// For listeners with `oscore = false`.
    var oscoreTurnedOff: any CoAPProtection {
        OSCORETurnedOff { [unowned self] in
            self.noteRefusedOSCORE(.notProven, "OSCORE, and this listener has oscore = false", from: $0)
        }
    }

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
