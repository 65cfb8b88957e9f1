internal import MQTTCodec
internal import NIOCore

/// Time, and the ends of connections.
extension UplinkClient {
    /// When it is too long that the broker has acknowledged nothing; `nil` while it owes nothing.
    var progressDeadline: NIODeadline? {
        guard self.window.isOwed || self.link.subscribing != nil else { return nil }
        return (self.link.lastProgress ?? self.clock) + TimeAmount(self.configuration.acknowledgementTimeout)
    }

    /// When a link without an acknowledgement has proved good by its age; `nil` if it has already.
    var provenDeadline: NIODeadline? {
        self.link.isProven ? nil : self.link.since + Self.provenAfter
    }

    /// From here on the next failure waits the shortest time again.
    mutating func prove() {
        self.link.isProven = true
        self.backoff.reset()
    }

    /// The broker answered for a message.
    mutating func progressed(_ now: NIODeadline) {
        self.link.lastProgress = now
        if !self.link.isProven { self.prove() }
    }

    /// Ends the connection. What is in flight stays for the next one; what the broker sent is forgotten, for it sends
    /// that again.
    mutating func fail(_ failure: UplinkFailure, now: NIODeadline) -> UplinkAction {
        if case .connected = self.state, let deadline = self.provenDeadline, now >= deadline { self.prove() }
        let wait = self.backoff.next(using: &self.generator)
        let retryAt = now + TimeAmount(wait)
        self.state = .waiting(until: retryAt)
        self.connectionEnded()
        return .close(failure, retryAt: retryAt)
    }

    /// Ends the connection for something that the broker did, and tells it, if it speaks 5.0 `[MQTT-4.13.1-1]`. The will
    /// stays in force `[MQTT-3.14.4-3]`.
    mutating func refuse(
        _ failure: UplinkFailure,
        _ code: ReasonCode,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        if self.version == .v5 {
            MQTTPacket.disconnect(Disconnect(reasonCode: code)).encode(into: &output, version: .v5)
        }
        return self.fail(failure, now: now)
    }

    /// For a packet that breaks the protocol.
    mutating func refuse(_ words: String, now: NIODeadline, into output: inout ByteBuffer) -> UplinkAction {
        self.refuse(.protocolError(words), .protocolError, now: now, into: &output)
    }

    /// For a packet that breaks the format.
    mutating func refuse(_ error: MQTTDecodeError, now: NIODeadline, into output: inout ByteBuffer) -> UplinkAction {
        self.refuse(.malformed(error), error.disconnectCode, now: now, into: &output)
    }

    /// What is of one connection only.
    mutating func connectionEnded() {
        self.inbound.removeAll()
        self.held.connectionEnded()
        self.inboundAliases.removeAll()
    }
}

extension MQTTDecodeError {
    /// ``reasonCode``, if DISCONNECT has it.
    fileprivate var disconnectCode: ReasonCode {
        switch self.reasonCode {
        case .unsupportedProtocolVersion: .protocolError
        case let code: code
        }
    }
}
