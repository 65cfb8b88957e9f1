import DequeModule
import MQTTCodec

/// Acknowledgements that wait for outside brokers, and those behind them.
extension Client {
    /// Acknowledges a message as soon as the disk and the outside brokers that it waits for have it, and all acknowledgements
    /// before it are out.
    func acknowledgeWhenSafe(
        _ publish: Publish,
        code: ReasonCode,
        pending: PendingAcknowledgement? = nil,
        undo: (() -> Void)? = nil
    ) {
        guard pending != nil || self.keepsOrder && !self.waitingAcknowledgements.isEmpty else {
            return self.core.commits.acknowledge(publish.packetID, to: self, code: code, undo: undo)
        }
        let pending = pending ?? PendingAcknowledgement(client: self, packetID: publish.packetID, undo: undo)
        pending.code = code
        self.waitingAcknowledgements.append(pending)
        // What of it is for the disk; the acknowledgement's own hold stands for this.
        guard self.core.commits.hasUnsafe else { return pending.settle() }
        self.core.commits.whenSafe {
            pending.settle()
        } orElse: {
            pending.fail()
        }
    }

    /// Acknowledges a message that came before, perhaps on another connection, and whose first coming may wait for an outside broker
    /// yet: this one can't, so what waits in memory is written down.
    func acknowledgeRepeat(_ publish: Publish) {
        self.core.writeDownUnwritten()
        guard self.keepsOrder, !self.waitingAcknowledgements.isEmpty else {
            return self.core.commits.acknowledge(publish.packetID, to: self, isRepeat: true)
        }
        self.acknowledgeWhenSafe(publish, code: .success)
    }

    /// Sends what waits for nothing any more.
    func acknowledgeWhatIsDue() {
        if !self.keepsOrder {
            let due = self.waitingAcknowledgements.filter(\.isDue)
            self.waitingAcknowledgements.removeAll(where: \.isDue)
            for pending in due { self.acknowledge(pending.packetID, nil, code: pending.code) }
            return
        }
        while let first = self.waitingAcknowledgements.first, first.isDue {
            self.waitingAcknowledgements.removeFirst()
            guard first.session === self.session else { continue }
            self.acknowledge(first.packetID, first.session, code: first.code)
        }
    }

    /// Whether acknowledgements leave in the order of the messages `[MQTT-4.6.0-2]`; each request of CoAP is answered by itself,
    /// and each notification.
    private var keepsOrder: Bool { self.coap == nil && self.observed == nil }

    /// What this acknowledgement was for could not be kept: nobody waits behind it.
    func giveUpAcknowledgement(_ packetID: UInt16) {
        self.waitingAcknowledgements.removeAll { $0.packetID == packetID }
    }
}
