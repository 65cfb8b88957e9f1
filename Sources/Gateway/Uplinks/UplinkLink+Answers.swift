import Devices
import Logging
import MQTTCodec
import NIOCore
import Store
import Transport
import Uplink

/// What the outside broker says of the messages that went to it, and the messages that come from it.
extension UplinkLink {
    /// When a record that the disk did not give is asked for again.
    private static let readAgainAfter = TimeAmount.seconds(1)
    /// The longest pause after a refusal.
    private static let longestPause = TimeAmount.seconds(60)

    /// The broker has a message.
    func acknowledged(_ sequence: Int64) {
        guard sequence != Self.stateSequence else {
            self.suspects.brokerWorks()
            return self.speech.acknowledged()
        }
        self.status.acknowledged += 1
        self.noteProgress()
        if !self.refusals.isEmpty { self.refusals[sequence] = nil }
        let lane = self.takeLane(of: sequence)
        if !self.unwritten.isEmpty, let entry = self.unwritten.remove(sequence) {
            self.status.acknowledgedUnwritten += 1
            entry.waiter?.settle()
            return
        }
        self.hooks.acknowledged(lane.storeID, self.takeAlias(of: sequence))
    }

    private func noteProgress() {
        let isFirst = self.status.lastAcknowledgement == nil
        self.status.lastAcknowledgement = .now()
        self.deadInRow = 0
        self.suspects.acknowledged()
        if self.isWindowLowered, !self.suspects.isCautious {
            self.isWindowLowered = false
            self.client.windowLimit = self.client.configuration.inFlight
        }
        if isFirst { self.hooks.changed(self) }
    }

    /// The lane of a record that is under way.
    private func lane(of sequence: Int64) -> UplinkLane {
        self.laneOf[sequence] ?? self.normalLane
    }

    /// The lane of a record that is not under way any more.
    func takeLane(of sequence: Int64) -> UplinkLane {
        guard !self.laneOf.isEmpty else { return self.normalLane }
        return self.laneOf.removeValue(forKey: sequence) ?? self.normalLane
    }

    /// The sequence that a record has on disk.
    func takeAlias(of sequence: Int64) -> Int64 {
        guard !self.aliases.isEmpty, let written = self.aliases.removeValue(forKey: sequence) else { return sequence }
        self.underway.remove(written)
        return written
    }

    // MARK: QoS 2

    /// What the beginning of a connection decided about what was under way.
    func resume(_ session: UplinkSession) {
        for entry in session.unreleased {
            self.release(entry.packetID, sequence: entry.sequence, of: self.lane(of: entry.sequence))
        }
        for packetID in session.forgottenReleases { self.completed(packetID) }
        for packetID in session.forgottenHeld {
            self.hooks.note(.hold(.free(uplink: self.normalLane.storeID, packetID: packetID))) { _ in }
        }
        for sequence in session.sentAtMostOnce { self.acknowledged(sequence) }
        for message in session.unsendable {
            let lane = self.lane(of: message.sequence)
            switch message.reason {
            case .expired: self.expired(message.sequence, of: lane)
            case .tooLarge(let limit):
                let detail = "the outside broker takes packets of \(limit) bytes at most"
                // The release deletes the record: not before it is with the dead letters.
                self.buryUnderway(message.sequence, of: lane, .packetTooLarge, detail: detail) {
                    if let packetID = message.releaseID { self.release(packetID, sequence: message.sequence, of: lane) }
                }
                continue
            }
            if let packetID = message.releaseID {
                self.release(packetID, sequence: message.sequence, of: lane)
            } else {
                self.laneOf[message.sequence] = nil
            }
        }
    }

    /// The broker has a QoS 2 message. Before it may forget its identifier, the gateway must not send the message again
    /// even after a crash.
    func recorded(_ sequence: Int64, _ packetID: UInt16) {
        self.status.acknowledged += 1
        self.noteProgress()
        if !self.refusals.isEmpty { self.refusals[sequence] = nil }
        self.release(packetID, sequence: sequence, of: self.lane(of: sequence))
    }

    private func release(_ packetID: UInt16, sequence: Int64, of lane: UplinkLane) {
        let uplink = self.normalLane.storeID
        let change = ReleaseChange.set(uplink: uplink, packetID: packetID, sequence: sequence, lane: lane.storeID)
        self.noteStep(.release(change)) { [weak self] client, output in
            self?.laneOf[sequence] = nil
            client.release(packetID: packetID, into: &output)
        }
    }

    /// The broker has forgotten the identifier of a QoS 2 message. Until it is not written down any more, no other message gets
    /// it: after a crash it would be released again.
    func completed(_ packetID: UInt16) {
        self.hooks.note(.release(.clear(uplink: self.normalLane.storeID, packetID: packetID))) { [weak self] isNoted in
            guard let self else { return }
            if isNoted {
                self.client.forget(packetID: packetID)
                // The next message may have waited for this identifier.
                return self.pump()
            }
            self.loop.assumeIsolated().scheduleTask(in: .seconds(1)) { [weak self] in self?.completed(packetID) }
        }
    }

    /// Writes a step of QoS 2 down, and then tells the machine, also when the connection is another one by then, or none: what it
    /// has to say to the broker it says on the next one.
    private func noteStep(_ step: QoS2Step, then tell: @escaping (inout UplinkClient, inout ByteBuffer) -> Void) {
        let channel = self.channel
        self.hooks.note(step) { [weak self] isNoted in
            guard let self else { return }
            guard isNoted else {
                guard let channel, self.channel === channel else { return }
                return self.dropConnection(channel, reason: "a step of QoS 2 could not be stored")
            }
            if let channel = self.channel {
                channel.write { tell(&self.client, &$0) }
            } else {
                var nowhere = ByteBuffer()
                tell(&self.client, &nowhere)
            }
        }
    }

    // MARK: Messages of the broker

    /// Takes bytes of the broker only while not too many of its messages wait for the disk.
    func readOn() {
        guard let channel = self.channel else { return }
        let wantsRead = self.client.wantsRead && !self.hooks.isCongested()
        if channel.isReading != wantsRead { channel.isReading = wantsRead }
    }

    func received(_ publish: Publish, _ receipt: UplinkReceipt?) {
        self.hooks.received(self, publish, receipt) { [weak self] isSafe in
            guard let self, let receipt else { return }
            if isSafe {
                // Also when the connection is gone: the machine knows then that the message is stored.
                var nowhere = ByteBuffer()
                if let channel = self.channel {
                    channel.write { self.client.acknowledge(receipt, into: &$0) }
                    self.readOn()
                } else {
                    self.client.acknowledge(receipt, into: &nowhere)
                }
            } else if self.client.abandon(receipt), let channel = self.channel {
                self.dropConnection(channel, reason: "a message of it could not be stored")
            }
        }
    }

    /// The broker will not send a QoS 2 message again. Were its identifier still on disk when the broker uses it for another
    /// message, that one would be taken for the first.
    func released(_ packetID: UInt16) {
        self.noteStep(.hold(.free(uplink: self.normalLane.storeID, packetID: packetID))) {
            $0.complete(packetID: packetID, into: &$1)
        }
    }

    // MARK: Refusals

    /// The broker refused a message by a reason code: it is tried again, then it goes to the dead letters.
    func refused(_ sequence: Int64, _ code: ReasonCode, _ reason: String?) {
        guard sequence != Self.stateSequence else { return self.stateRefused(code, reason) }
        self.suspects.acknowledged()
        self.status.lastAcknowledgement = .now()
        let times = self.refusals[sequence, default: 0] + 1
        let lane = self.takeLane(of: sequence)
        guard times < self.configuration.deadAfter || self.refusesEverything else {
            self.refusals[sequence] = nil
            let words = reason.map { "\(code.uplinkWords): \($0)" } ?? code.uplinkWords
            return self.buryUnderway(sequence, of: lane, .refused, code: code.rawValue, detail: words)
        }
        self.refusals[sequence] = times
        // A quota needs time to come back; other codes are about the message, and no reason to hold up the rest.
        if self.refusesEverything {
            self.pausedUntil = max(self.pausedUntil, .now() + Self.longestPause)
        } else if code == .quotaExceeded {
            let pause = min(TimeAmount.seconds(5) * (1 << min(times - 1, 6)), Self.longestPause)
            self.pausedUntil = max(self.pausedUntil, .now() + pause)
        }
        self.withRecord(sequence, of: lane) { record in
            guard let record else { return }
            self.retries.append((record, lane))
            self.pump()
        }
    }

    /// The connection ended: perhaps on a message that the broker does not say it minds.
    func judge(_ failure: UplinkFailure) {
        let isToBlame =
            switch failure {
            case .transport, .notAcknowledging: true
            case .disconnected(let code, _): code.mayBeAboutMessage
            default: false
            }
        guard isToBlame, !self.refusesEverything else { return }
        let verdict = self.suspects.closed(oldest: self.client.oldestInFlight, inFlight: self.client.inFlightCount)
        guard case .dead(let sequence, let times) = verdict else { return }
        guard sequence > 0, self.client.withdraw(sequence: sequence) else { return }
        if self.suspects.blamesTheBroker {
            self.logger.error(
                "the outside broker ends the connection on every message: no more of them go to the dead letters",
                metadata: ["uplink": "\(self.name)"]
            )
        }
        self.buryUnderway(
            sequence,
            of: self.takeLane(of: sequence),
            .closedOn,
            code: 0,
            detail: "\(times) connections in a row ended on it: \(failure)",
            isWithdrawn: true
        )
    }

    // MARK: Dead letters

    /// Messages in a row that may go to the dead letters; past it the broker takes nothing, and what waits stays where it is.
    private static let maxDeadInRow = 100

    /// Whether the broker has taken none of so many messages that it can't be the messages.
    var refusesEverything: Bool { self.deadInRow >= Self.maxDeadInRow }

    private func countDead(_ reason: DeadReason) {
        switch reason {
        case .refused, .closedOn, .packetTooLarge: break
        case .payloadTooLarge, .topicTooLong, .topicTooDeep, .malformed, .other: return
        }
        self.deadInRow += 1
        guard self.deadInRow == Self.maxDeadInRow else { return }
        self.logger.error(
            "the outside broker takes no message at all: what waits stays in the spool, and one is tried each minute",
            metadata: ["uplink": "\(self.name)", "messages": "\(self.deadInRow)"]
        )
    }

    /// A record that is not under way goes to the dead letters.
    func bury(
        _ record: SpoolRecord,
        of lane: UplinkLane,
        _ reason: DeadReason,
        code: UInt8 = 0,
        detail: String
    ) {
        var record = record
        let entry = self.unwritten.remove(record.sequence)
        record.sequence = entry == nil ? self.takeAlias(of: record.sequence) : 0
        record.uplink = lane.storeID
        self.status.dead += 1
        self.countDead(reason)
        self.hooks.warnings.note(
            .dead,
            self.name,
            reason: reason,
            details: [
                "topic": "\(Printable.text(record.topic))", "device": "\(record.device?.text ?? "gateway")",
                "detail": "\(detail)",
            ]
        )
        let letter = DeadLetter(
            record: record,
            reason: reason,
            detail: detail,
            code: code,
            diedAt: self.wallClock.milliseconds
        )
        self.hooks.bury(letter, entry?.waiter)
        self.hooks.changed(self)
    }

    private func buryUnderway(
        _ sequence: Int64,
        of lane: UplinkLane,
        _ reason: DeadReason,
        code: UInt8 = 0,
        detail: String,
        isWithdrawn: Bool = false,
        then next: @escaping () -> Void = {}
    ) {
        self.withRecord(sequence, of: lane) { record in
            defer { next() }
            guard let record else { return }
            if isWithdrawn, record.qos == .exactlyOnce {
                // The broker may have it under this identifier, which the machine releases.
                let packetID = UplinkClient.exactlyOnceID(of: sequence)
                let uplink = self.normalLane.storeID
                self.hooks.note(
                    .release(.set(uplink: uplink, packetID: packetID, sequence: sequence, lane: lane.storeID))
                ) { _ in }
            }
            self.bury(record, of: lane, reason, code: code, detail: detail)
        }
    }

    /// Calls `body` with a record that was sent, under the sequence that it was sent with; with nil if it is gone.
    private func withRecord(
        _ sequence: Int64,
        of lane: UplinkLane,
        triesLeft: Int = 10,
        _ body: @escaping (SpoolRecord?) -> Void
    ) {
        if let entry = self.unwritten[sequence] { return body(entry.record) }
        self.hooks.fetch(lane, self.aliases[sequence] ?? sequence) { [weak self] found in
            switch found {
            case .success(nil) where self?.aliases[sequence] != nil && triesLeft > 0:
                // It is being written down: the commit is not there yet.
                self?.readAgain(sequence, of: lane, triesLeft: triesLeft - 1, body)
            case .success(var record):
                record?.sequence = sequence
                body(record)
            case .failure(let error):
                // It is in no queue: only here is it known that it has yet to be sent.
                guard let self, !self.isStopping else { return }
                self.logger.error(
                    "could not read a message of the spool again",
                    metadata: ["uplink": "\(self.name)", "error": "\(error)"]
                )
                self.readAgain(sequence, of: lane, triesLeft: triesLeft, body)
            }
        }
    }

    private func readAgain(
        _ sequence: Int64,
        of lane: UplinkLane,
        triesLeft: Int,
        _ body: @escaping (SpoolRecord?) -> Void
    ) {
        self.loop.assumeIsolated().scheduleTask(in: Self.readAgainAfter) { [weak self] in
            self?.withRecord(sequence, of: lane, triesLeft: triesLeft, body)
        }
    }
}

extension ReasonCode {
    /// Whether a broker that ends a connection with it may have a message in mind, and not the connection or itself.
    fileprivate var mayBeAboutMessage: Bool {
        switch self {
        case .success, .serverShuttingDown, .serverBusy, .keepAliveTimeout, .sessionTakenOver, .receiveMaximumExceeded,
            .messageRateTooHigh, .administrativeAction, .useAnotherServer, .serverMoved, .connectionRateExceeded,
            .maximumConnectTime:
            false
        default: true
        }
    }
}
