internal import CoAPCodec
package import NIOCore

// Messages that come: which of them are answers, and which come again (RFC 7252 §4.2 to §4.5, §5.3.2).
extension CoAPObserver {
    /// A datagram came.
    package func receive(
        _ datagram: ByteBuffer,
        from peer: CoAPPeer,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        let message: CoAPMessage
        do {
            message = try CoAPMessage(decoding: datagram, maxBytes: self.configuration.maxMessageBytes)
        } catch {
            self.counters.malformed += 1
            if case .reset(let messageID) = error.answer { self.sendEmpty(.reset, messageID, to: peer, into: &actions) }
            return
        }
        switch message.type {
        case .acknowledgement:
            self.receiveAcknowledgement(message, from: peer, now: now, into: &actions)
        case .reset:
            guard let target = self.nodes[peer]?.target(sending: message.messageID), let request = target.request else {
                return self.misplaced()
            }
            self.endRegistration(of: target, token: request.token)
            self.fail(target, .reset, now: now, into: &actions)
        case .confirmable, .nonConfirmable:
            guard message.code.isResponse else {
                // A ping (RFC 7252 §4.3), or a request: nothing is hosted here.
                if !message.code.isEmpty { self.misplaced() }
                if message.type == .confirmable { self.sendEmpty(.reset, message.messageID, to: peer, into: &actions) }
                return
            }
            self.receiveResponse(message, datagram, from: peer, now: now, into: &actions)
        }
    }

    /// The owner has taken care of a representation: it is safe, or refused for good. Only then the node hears that it
    /// came.
    package func acknowledge(_ receipt: CoAPReceipt, now: NIODeadline, into actions: inout [CoAPObserverAction]) {
        self.nodes[receipt.peer]?.note(.acknowledged, for: receipt.id)
        self.sendEmpty(.acknowledgement, receipt.messageID, to: receipt.peer, into: &actions)
    }

    /// The owner can't take a representation now: the node hears nothing, and when it sends its message again the owner gets
    /// it again, unless there is a newer one.
    package func decline(_ receipt: CoAPReceipt) {
        self.nodes[receipt.peer]?.note(.declined, for: receipt.id)
    }

    private func misplaced() { self.counters.misplaced += 1 }

    private func sendEmpty(
        _ type: CoAPMessageType,
        _ messageID: UInt16,
        to peer: CoAPPeer,
        into actions: inout [CoAPObserverAction]
    ) {
        actions.append(.send(CoAPMessage.empty(type, messageID: messageID).encoded(), to: peer))
    }

    private func receiveAcknowledgement(
        _ message: CoAPMessage,
        from peer: CoAPPeer,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        guard let target = self.nodes[peer]?.target(sending: message.messageID) else { return self.misplaced() }
        if message.code.isEmpty { return self.acknowledged(target, now: now, into: &actions) }
        guard target.request?.token == message.token else { return self.misplaced() }
        self.handle(message, .piggybacked, of: target, now: now, into: &actions)
    }

    /// A CON or NON response.
    private func receiveResponse(
        _ message: CoAPMessage,
        _ datagram: ByteBuffer,
        from peer: CoAPPeer,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        let isConfirmable = message.type == .confirmable
        guard let node = self.nodes[peer] else { return self.reject(message, from: peer, into: &actions) }
        var hasher = Hasher()  // Keyed with the process's own random numbers: nobody can make two that are alike.
        datagram.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
        let digest = hasher.finalize()
        let known = node.recall(message.messageID, digest: digest, now: now)
        if let known {
            self.counters.duplicates += 1
            switch known.state {
            case .declined: break
            case .open: return
            case .acknowledged where isConfirmable:
                return self.sendEmpty(.acknowledgement, message.messageID, to: peer, into: &actions)
            case .acknowledged: return
            case .rejected: return self.sendEmpty(.reset, message.messageID, to: peer, into: &actions)
            }
        }
        // A node that still knows an observer of an earlier run of the gateway hears that it is gone (RFC 7641 §3.6).
        guard let target = node.targets.first(where: { $0.expects(message.token) }) else {
            return self.reject(message, from: peer, into: &actions)
        }
        if isConfirmable, node.unacknowledgedCount >= self.configuration.maxUnacknowledgedPerPeer {
            self.counters.heldBack += 1
            return
        }
        if let known {
            node.note(.open, for: known.id)
            let receipt = CoAPReceipt(peer: peer, id: known.id, messageID: message.messageID)
            return self.handle(message, .apart(receipt, isRepeated: true), of: target, now: now, into: &actions)
        }
        let response = ReceivedResponse(
            id: self.nextID(),
            messageID: message.messageID,
            digest: digest,
            isConfirmable: isConfirmable,
            expires: now + self.configuration.exchangeLifetime,
            state: isConfirmable ? .open : .acknowledged
        )
        node.remember(response, limit: self.configuration.maxHistoryPerPeer, now: now)
        let receipt = CoAPReceipt(peer: peer, id: response.id, messageID: message.messageID)
        self.handle(message, .apart(receipt, isRepeated: false), of: target, now: now, into: &actions)
    }

    private func reject(_ message: CoAPMessage, from peer: CoAPPeer, into actions: inout [CoAPObserverAction]) {
        self.misplaced()
        self.sendEmpty(.reset, message.messageID, to: peer, into: &actions)
    }

    // MARK: What the representations' part has to answer

    /// The message needs no owner's decision.
    func acknowledgeAtOnce(
        _ message: CoAPMessage,
        _ way: ResponseWay,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        guard case .apart(let receipt, _) = way, message.type == .confirmable else { return }
        self.acknowledge(receipt, now: now, into: &actions)
    }

    /// The message can't be used, or the target is not wanted any more: the node takes it from its observers.
    func reject(_ way: ResponseWay, into actions: inout [CoAPObserverAction]) {
        // An ACK is answered by nothing (RFC 7252 §4.2).
        guard case .apart(let receipt, _) = way else { return }
        self.nodes[receipt.peer]?.note(.rejected, for: receipt.id)
        self.sendEmpty(.reset, receipt.messageID, to: receipt.peer, into: &actions)
    }
}

/// How a response came.
enum ResponseWay {
    /// In the ACK of the request.
    case piggybacked
    /// In a message of its own. A NON has a receipt, too, but nobody waits for its ACK.
    ///
    /// - Parameter isRepeated: It came before, and the owner could not take it then.
    case apart(CoAPReceipt, isRepeated: Bool)
}
