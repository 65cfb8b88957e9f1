internal import CoAPCodec
internal import DequeModule
internal import NIOCore

// Requests: one at a time for each target, NSTART at a time for each node (RFC 7252 §4.2, §4.7).
extension CoAPObserver {
    /// Asks for the representation, and to be told of changes. The token stays the same, so that a node that has the
    /// target among its observers still has it once (RFC 7641 §3.3.1, §4.1).
    func register(_ target: ObservedTarget, now: NIODeadline, into actions: inout [CoAPObserverAction]) {
        let token = target.token ?? self.newToken()
        target.token = token
        self.submit(.registration, of: target, token: token, now: now, into: &actions)
    }

    func newToken() -> CoAPToken {
        let bytes = (0..<CoAPToken.maxBytes).map { _ in UInt8.random(in: .min ... .max, using: &self.generator) }
        return CoAPToken(bytes) ?? .empty
    }

    /// A request of a target that has none.
    func submit(
        _ purpose: ClientRequest.Purpose,
        of target: ObservedTarget,
        token: CoAPToken,
        echo: ByteBuffer? = nil,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        let request = ClientRequest(purpose, of: target.id, token: token, echo: echo)
        target.request = request
        target.node.waiting.append(request)
        self.sendWaiting(of: target.node, now: now, into: &actions)
    }

    /// Sends what waits for its turn, as far as NSTART allows.
    private func sendWaiting(of node: ObservedNode, now: NIODeadline, into actions: inout [CoAPObserverAction]) {
        while node.inFlight.count < self.configuration.nStart, let request = node.waiting.popFirst() {
            guard let target = self.targets[request.target] else { continue }
            self.start(request, of: target, now: now, into: &actions)
        }
    }

    private func start(
        _ request: ClientRequest,
        of target: ObservedTarget,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        let options =
            switch request.purpose {
            case .registration: target.resource.options(observe: CoAPObserve.register, echo: request.echo)
            case .block(let block): target.resource.options(block2: block, echo: request.echo)
            case .deregistration: target.resource.options(observe: CoAPObserve.deregister, echo: request.echo)
            }
        request.messageID = target.node.nextMessageID()
        request.datagram =
            CoAPMessage(
                type: .confirmable,
                code: .get,
                messageID: request.messageID,
                token: request.token,
                options: options
            ).encoded()
        let least = self.configuration.ackTimeout.nanoseconds
        let most = max(Int64(Double(least) * self.configuration.ackRandomFactor), least)
        request.timeout = .nanoseconds(Int64.random(in: least...most, using: &self.generator))
        request.state = .sent
        request.deadline = now + request.timeout
        target.node.inFlight.append(request)
        actions.append(.send(request.datagram, to: target.node.peer))
        self.arm(target)
    }

    /// The node asks for the request once more, with a value of its own (RFC 9175 §2.3). What was fetched so far stays.
    func submitAgain(
        _ request: ClientRequest,
        echo: ByteBuffer,
        of target: ObservedTarget,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        let body = target.body
        self.drop(target, now: now, into: &actions)
        target.body = body
        self.submit(request.purpose, of: target, token: request.token, echo: echo, now: now, into: &actions)
    }

    /// An empty ACK came: the response will come apart.
    func acknowledged(_ target: ObservedTarget, now: NIODeadline, into actions: inout [CoAPObserverAction]) {
        guard let request = target.request else { return }
        request.state = .acknowledged
        request.deadline = now + self.configuration.responseTimeout
        self.arm(target)
        self.release(request, of: target.node, now: now, into: &actions)
    }

    /// The target's request, if there is one, is over, and what was fetched is let go.
    func drop(_ target: ObservedTarget, now: NIODeadline, into actions: inout [CoAPObserverAction]) {
        target.body = nil
        guard let request = target.request else { return }
        target.request = nil
        target.node.waiting.removeAll { $0 === request }
        self.release(request, of: target.node, now: now, into: &actions)
    }

    /// It no longer counts towards NSTART.
    private func release(
        _ request: ClientRequest,
        of node: ObservedNode,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        node.inFlight.removeAll { $0 === request }
        self.sendWaiting(of: node, now: now, into: &actions)
    }

    // MARK: Time

    /// The target's deadline has come.
    func due(_ target: ObservedTarget, now: NIODeadline, into actions: inout [CoAPObserverAction]) {
        guard let request = target.request else { return self.register(target, now: now, into: &actions) }
        guard request.state == .sent, request.retransmissions < self.configuration.maxRetransmit else {
            return self.fail(target, .noAnswer, now: now, into: &actions)
        }
        request.retransmissions += 1
        request.timeout = request.timeout * 2
        request.deadline = now + request.timeout
        self.counters.retransmissions += 1
        actions.append(.send(request.datagram, to: target.node.peer))
    }

    // MARK: Failures

    /// The target's request failed, or what came can't be used: tried again later.
    ///
    /// - Parameter retryAfter: When the node said how long to wait.
    func fail(
        _ target: ObservedTarget,
        _ failure: CoAPObserverFailure,
        retryAfter: TimeAmount? = nil,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        self.drop(target, now: now, into: &actions)
        if target.isLeaving {
            self.remove(target)
            return self.noteStopped(into: &actions)
        }
        let backoff = self.backoff(after: target.failures)
        target.failures += 1
        target.wake = now + (retryAfter ?? backoff)
        target.reported = .failed
        self.counters.failures += 1
        actions.append(.failed(target.id, failure))
        self.arm(target)
    }

    /// The node has said, by a message with this token, that it has no observer, or was told so: it gets a new token next
    /// time, and what still comes under the old one is rejected.
    func endRegistration(of target: ObservedTarget, token: CoAPToken) {
        guard target.token == token else { return }
        target.token = nil
        target.newest = nil
    }

    /// Doubles each time; the last half of it is up to chance.
    private func backoff(after failures: Int) -> TimeAmount {
        let most = self.configuration.maxBackoff.nanoseconds
        let full = min(self.configuration.minBackoff.nanoseconds << Int64(min(failures, 20)), most)
        return .nanoseconds(Int64.random(in: (full / 2)...full, using: &self.generator))
    }
}
