import Broker
import Devices
import MQTTCodec
import NIOCore
import Transport

/// What becomes of a message that is turned away.
extension Client {
    /// Turns a message away.
    ///
    /// What a policy forbids is acknowledged and dropped, as MQTT 3.1.1 has no other answer but to close, which the listener
    /// may ask for; MQTT 5.0 has reason codes. What is not proven gets no acknowledgement in 3.1.1, for that would promise an
    /// honest node with an old session ID that its message is safe: at QoS 1 the connection is closed, whatever the reason
    /// was, so that a forger learns nothing. A relay is the exception, and so is an attached broker: it can't mend what it
    /// carries, so one such message would hold up all nodes behind it for ever.
    ///
    /// - Parameter claimed: The device that the message claims to be of.
    func refuse(
        _ publish: Publish,
        _ refusal: Refusal,
        device: String,
        claimed: DeviceID? = nil,
        detail: @autoclosure () -> String
    ) {
        let now = NIODeadline.now()
        self.core.counters.count(refusal)
        self.core.refusals.note(
            refusal,
            device: device,
            topic: publish.topic.buffer,
            from: self.coap?.logAddress ?? self.address,
            detail: detail(),
            now: now
        )
        if let coap = self.coap {
            if refusal.isOfProof, coap.isAddressProven {
                _ = self.core.failures.spend(self.budget(for: claimed), now: now)
            }
            return coap.refuse(publish.packetID, refusal, detail())
        }
        if let observed = self.observed {
            if refusal.isOfProof { _ = self.core.failures.spend(self.budget(for: claimed), now: now) }
            return observed.refuse(publish.packetID, refusal)
        }
        switch refusal {
        case .policy: self.answerForbidden(publish, .notAuthorized)
        case .tooLarge, .retained: self.answerForbidden(publish, .quotaExceeded)
        case .commandSession, .payload: self.answerForbidden(publish, .payloadFormatInvalid)
        case .topic: self.answerForbidden(publish, .topicNameInvalid)
        case .notProven, .badSeal, .replay, .sealRequired, .identityMismatch, .revoked:
            let mayStay = self.core.failures.spend(self.budget(for: claimed), now: now)
            if self.isRelay {
                if publish.qos != .atMostOnce { self.answer(publish, .success) }
            } else if self.speaksV5, mayStay {
                // One code for all of them, and no words: it tells a forger nothing.
                if publish.qos != .atMostOnce { self.answer(publish, .notAuthorized) }
            } else {
                self.session?.released(publish.packetID)
                if publish.qos != .atMostOnce || !mayStay { self.close(.notAuthorized, reason: "refused") }
            }
        case .throttled where self.isRelay, .rate where self.isRelay:
            if publish.qos != .atMostOnce { self.answer(publish, .success) }
        case .throttled, .rate:
            self.session?.released(publish.packetID)
            self.close(.notAuthorized, reason: "refused")
        case .spoolFull where self.speaksV5:
            if publish.qos != .atMostOnce { self.answer(publish, .quotaExceeded) }
        case .spoolFull, .handshake, .protocolError:
            self.session?.released(publish.packetID)
            if publish.qos != .atMostOnce { self.close(.quotaExceeded, reason: "no room for the message") }
        }
    }

    /// A proven sender asked for what it may not do: a client of MQTT 5.0 is told, one of 3.1.1 can't be
    /// `[MQTT-3.3.5-2 of 3.1.1]`.
    private func answerForbidden(_ publish: Publish, _ code: ReasonCode) {
        if !self.speaksV5, self.listener.onDenied == .close {
            self.session?.released(publish.packetID)
            return self.close(code, reason: "a message that it may not publish")
        }
        if publish.qos != .atMostOnce { self.answer(publish, self.speaksV5 ? code : .success) }
    }

    private func answer(_ publish: Publish, _ code: ReasonCode) {
        self.acknowledgeWhenSafe(publish, code: code)
    }

    var speaksV5: Bool { self.connection?.version == .v5 }

    /// Whose failures count together: a proven device's own, so that a forger at the same address can't silence it; a
    /// relay's, and an attached broker's, by the device it claims to carry a message of; everybody else's by address.
    func budget(for claimed: DeviceID?) -> String {
        if self.attached != nil { return "\(self.address)>\(claimed?.text ?? "")" }
        guard case .device(let id) = self.identity else { return self.network }
        return self.isRelay ? "\(id)>\(claimed?.text ?? "")" : "\(id)>"
    }

    private var isRelay: Bool {
        if self.attached != nil { return true }
        guard case .device(let id) = self.identity else { return false }
        return self.core.registry.profile(of: id)?.relay ?? false
    }
}
