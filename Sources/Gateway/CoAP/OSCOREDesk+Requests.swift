import CoAPCodec
import CoAPEndpoint
import Devices
import NIOCore
import Sealing

extension OSCOREDesk: CoAPProtection {
    func open(_ request: CoAPMessage, from peer: CoAPPeer, now: NIODeadline) -> CoAPOpenedRequest {
        guard !self.isClosed else { return .refused(CoAPResponse(.serviceUnavailable)) }
        guard let value = request.options.first(.oscore), let option = OSCOREOption(decoding: value),
            let kid = option.kid, option.sequence != nil
        else { return self.refuse(.malformed, of: nil, peer) }
        // Malformed too (RFC 8613 §2), but not for its option.
        guard request.payload.readableBytes > 0 else {
            self.refused(.badSeal, "an OSCORE request without a payload", peer)
            return .refused(Self.error(.badRequest, "No payload"))
        }
        var tried = 0
        var isReplay = false
        var device: DeviceID?
        if let kid = OSCOREID(kid.readableBytesView) {
            var index = self.firstIndex(kid)
            while tried < Self.maxCandidates, index < self.entries.count, self.entries[index].kid == kid {
                defer { index += 1 }
                if let asked = option.kidContext, !self.entries[index].has(idContext: asked) { continue }
                guard let context = self.live(at: index) else { continue }
                tried += 1
                device = context.device
                switch context.receiver.open(request, option) {
                case .opened(let inner, let opened):
                    self.noteHeard(context)
                    return .request(inner, context.protected(opened))
                case .unknownFreshness(let inner, let opened):
                    self.noteHeard(context)
                    return self.ask(context, inner, opened, from: peer, now: now)
                case .refused(.replayed): isReplay = true  // Another one's context may still open it.
                case .refused(.notProven): break
                case .refused(.malformed): return self.refuse(.malformed, of: device, peer)
                }
            }
        }
        guard tried > 0 else {
            self.refused(.notProven, "no device has this OSCORE sender ID and ID context", peer)
            return .refused(Self.error(.unauthorized, "Security context not found"))
        }
        return self.refuse(isReplay ? .replayed : .notProven, of: tried == 1 ? device : nil, peer)
    }

    /// The store has to know of keys that are in use, so that no others of their family are.
    private func noteHeard(_ context: LiveOSCOREContext) {
        guard context.isUnwritten else { return }
        context.isUnwritten = false
        self.mark(context, isUrgent: false)
    }

    /// The first entry of this `kid`, or where it would be.
    private func firstIndex(_ kid: OSCOREID) -> Int {
        var low = 0
        var high = self.entries.count
        while low < high {
            let middle = (low + high) / 2
            if self.entries[middle].kid < kid { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// A request that may be a recorded one: let in if it brings an Echo value of this run, else asked for again with one.
    private func ask(
        _ context: LiveOSCOREContext,
        _ inner: CoAPMessage,
        _ request: OSCOREReceiver.Request,
        from peer: CoAPPeer,
        now: NIODeadline
    ) -> CoAPOpenedRequest {
        // The value is sealed, so it proves its receiver whatever address he has by now.
        if let echo = inner.options.first(.echo),
            self.echo.age(of: echo, for: Self.anywhere, context: context.number, now: now) != nil
        {
            context.receiver.accept(request)
            return .request(inner, context.protected(request))
        }
        guard context.mayChallenge(request.sequence, now: now) else {
            self.refused(.throttled, "device \(context.device): too many requests that may be replays", peer)
            return .refused(CoAPResponse(.tooManyRequests, maxAge: 1))
        }
        var response = CoAPResponse(.unauthorized)
        response.options.append(.echo, self.echo.value(for: Self.anywhere, context: context.number, now: now))
        return .challenged(response, context.protected(request, needsOwnPartialIV: true))
    }

    private static let anywhere = CoAPPeer(addressHigh: 0, addressLow: 0, port: 0)

    private func refuse(
        _ refusal: OSCOREReceiver.Refusal,
        of device: DeviceID?,
        _ peer: CoAPPeer
    ) -> CoAPOpenedRequest {
        self.refused(
            refusal == .replayed ? .replay : .badSeal,
            device.map { "device \($0): \(refusal.detail)" } ?? refusal.detail,
            peer
        )
        return .refused(Self.error(refusal.code, refusal.diagnostic))
    }

    /// Not protected, so no cache may answer with it later (RFC 8613 §8.2).
    private static func error(_ code: CoAPCode, _ diagnostic: String) -> CoAPResponse {
        CoAPResponse(code, maxAge: 0, payload: ByteBuffer(string: diagnostic))
    }

    // MARK: Responses

    func seal(_ response: CoAPMessage, to request: CoAPProtectedRequest, withOwnPartialIV: Bool) -> CoAPMessage? {
        guard let context = self.live[request.context], !self.isClosed || !withOwnPartialIV else { return nil }
        let opened = OSCOREReceiver.Request(sequence: request.sequence, isFetch: request.isFetch)
        let sealed = context.receiver.seal(response, to: opened, withOwnPartialIV: withOwnPartialIV)
        if withOwnPartialIV, !context.isReserving, context.receiver.state.sequence.wantsReservation != nil {
            context.isReserving = true
            self.mark(context, isUrgent: true)
        }
        return sealed
    }
}

extension OSCOREReceiver.Refusal {
    /// For the operator.
    fileprivate var detail: String {
        switch self {
        case .malformed: "an OSCORE option that can't be used"
        case .replayed: "an OSCORE request that came before, or a replay of one"
        case .notProven: "an OSCORE request that its keys don't open"
        }
    }
}
