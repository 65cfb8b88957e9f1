import Logging
import MQTTCodec
import NIOCore
import Store
import Transport
import Uplink

/// What the outside broker hears of the gateway itself. None of it goes through a spool: each connection says what is true then.
extension UplinkLink {
    /// What is published on a state topic.
    static let online = ByteBuffer(string: "online")
    static let offline = ByteBuffer(string: "offline")
    /// The number of "online" among the messages under way; records have numbers from 1.
    static let stateSequence: Int64 = 0

    /// The will that the next CONNECT leaves: what the broker says when the gateway is gone without a word.
    var will: Will? {
        self.speech.current.map {
            Will(
                topic: $0,
                payload: Self.offline,
                // What the last CONNACK did not offer would be refused with the whole connection (MQTT 5.0 §3.2.2.2).
                qos: min(self.stateQoS, self.client.server.maxQoS),
                retain: self.limits.retain && self.client.server.retainAvailable
            )
        }
    }

    private var stateQoS: QoS { min(.atLeastOnce, self.limits.maxQoS) }

    /// Directly after CONNACK, before anything that waits.
    func sayOnline() {
        guard let topic = self.speech.current, let channel = self.channel else { return }
        let now = NIODeadline.now()
        var message = UplinkMessage(
            sequence: Self.stateSequence,
            topic: topic,
            payload: Self.online,
            qos: self.stateQoS,
            retain: self.limits.retain
        )
        channel.write { output in
            guard self.client.send(message, now: now, into: &output) == .noRoom else { return }
            // The window is full of what is sent again, behind which this must not wait.
            message.qos = .atMostOnce
            _ = self.client.send(message, now: now, into: &output)
        }
        self.speech.said(now: now)
    }

    /// At a clean end, before DISCONNECT, which takes the will away (MQTT 5.0 §3.14.4).
    func sayOffline(into output: inout ByteBuffer) {
        guard let topic = self.speech.current, self.client.phase == .connected else { return }
        let message = UplinkMessage(
            sequence: Self.stateSequence,
            topic: topic,
            payload: Self.offline,
            qos: .atMostOnce,
            retain: self.limits.retain
        )
        _ = self.client.send(message, now: .now(), into: &output)
    }

    /// The connection is over; what it said is not said again by the next one's window.
    func stateConnectionEnded(_ failure: UplinkFailure, wasAccepted: Bool) {
        _ = self.client.withdraw(sequence: Self.stateSequence)
        let isHeldBack: Bool
        if wasAccepted {
            isHeldBack = self.speech.closed(now: .now())
        } else if case .refused(let code, _) = failure, code.mayBeAboutWill {
            isHeldBack = self.speech.refused()
        } else {
            return
        }
        guard isHeldBack else { return }
        self.logger.warning(
            "the outside broker may forbid the gateway's state topic: it is left out to see whether that helps",
            metadata: [
                "uplink": "\(self.name)", "topic": "\(self.speech.topic?.description ?? "")", "reason": "\(failure)",
                "cure": "let the gateway publish there, or set state_topic",
            ]
        )
    }

    /// The broker takes the connection, but not this message.
    func stateRefused(_ code: ReasonCode, _ reason: String?) {
        self.speech.acknowledged()
        self.logger.warning(
            "the outside broker refuses the gateway's state topic",
            metadata: [
                "uplink": "\(self.name)", "topic": "\(self.speech.topic?.description ?? "")",
                "reason": "\(code.uplinkWords)\(reason.map { ": \($0)" } ?? "")",
                "cure": "let the gateway publish there, or set state_topic",
            ]
        )
    }

    // MARK: The clock

    /// What a message carries over MQTT 5.0 if it was taken while the time of day was not known.
    static let clocklessMark = UserProperty(name: "sealgate-clock", value: "unset")

    /// Whether the connection goes by certificates, which are judged by the time of day.
    var judgesCertificates: Bool { self.configuration.judgesCertificates }

    /// Connects, or waits for the clock.
    func connect(now: NIODeadline) {
        guard self.judgesCertificates, self.mayWaitForClock(now: now) else {
            self.waitsForClock = false
            return self.connector.connect(delegate: self)
        }
        guard !self.waitsForClock else { return }
        self.waitsForClock = true
        self.logger.warning(
            "the uplink waits for the clock: it is not set, and certificates are judged by it",
            metadata: ["uplink": "\(self.name)"]
        )
        self.hooks.changed(self)
    }

    /// The clock was set, or its time has passed: to be called about once a second while ``waitsForClock``.
    func lookAtClock(now: NIODeadline) {
        guard self.waitsForClock, !self.isStopping, !self.mayWaitForClock(now: now) else { return }
        self.waitsForClock = false
        self.hooks.changed(self)
        self.connector.connect(delegate: self)
    }

    private func mayWaitForClock(now: NIODeadline) -> Bool {
        guard !self.wallClock.isSet else { return false }
        switch self.clockRule {
        case .floor, .trust: return false
        case .wait(nil): return true
        case .wait(let limit?): return now < self.created + TimeAmount(limit)
        }
    }
}

extension ReasonCode {
    /// Whether a broker that refuses a connection with it may mean the will.
    fileprivate var mayBeAboutWill: Bool {
        switch self {
        case .notAuthorized, .qosNotSupported, .retainNotSupported, .topicNameInvalid, .packetTooLarge: true
        default: false
        }
    }
}
