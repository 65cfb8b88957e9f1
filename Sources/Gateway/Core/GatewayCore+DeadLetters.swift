import Devices
import Logging
import NIOCore
import Store

/// Dead letters that a person wants sent again.
extension GatewayCore {
    /// Letters that are taken from the store at a time.
    private static let lettersAtOnce = 200
    /// How long letters are left alone for which there was no room, or no disk.
    private static let resendPause = TimeAmount.seconds(10)

    /// Puts what is marked back into the spools: at the start, and when another process has marked some.
    func resendDeadLetters() {
        guard !self.isResending else { return self.wantsResend = true }
        self.isResending = true
        self.wantsResend = false
        let own = NIOLoopBound(self, eventLoop: self.loop)
        self.store.takeResends(limit: Self.lettersAtOnce, on: self.loop) { own.value.resend($0) }
    }

    private func resend(_ taken: Result<[StoredDeadLetter], StoreError>) {
        self.isResending = false
        switch taken {
        case .failure(let error):
            self.logger.error("can't read the dead letters that are to be sent again", metadata: ["error": "\(error)"])
        case .success(let letters):
            var postponed: [Int64] = []
            var stranded: Set<Int64> = []
            for letter in letters {
                guard let (link, lane) = self.wakened(letter.letter.record.uplink) else {
                    // It stays where it is: gateway.conf may name the uplink again at the next start.
                    stranded.insert(letter.letter.record.uplink)
                    continue
                }
                if !self.resend(letter, over: link, in: lane) { postponed.append(letter.id) }
            }
            if !stranded.isEmpty {
                self.logger.warning(
                    "dead letters can't be sent again: gateway.conf does not have their uplink any more",
                    metadata: ["uplinks": "\(stranded.count)"]
                )
            }
            if !postponed.isEmpty {
                self.store.releaseResends(postponed)
                self.scheduleResend()
            }
            if self.wantsResend || (letters.count == Self.lettersAtOnce && postponed.isEmpty) {
                self.resendDeadLetters()
            }
        }
    }

    /// - Returns: False if there is no room for it now.
    private func resend(_ stored: StoredDeadLetter, over link: UplinkLink, in lane: UplinkLane) -> Bool {
        var record = stored.letter.record
        guard link.hasRoom(for: record) else { return false }
        record.sequence = 0
        record.uplink = lane.storeID
        record.storedAt = self.wallClock.stamp
        record.isClockless = !self.wallClock.isSet
        // A person wants it, however old it is.
        record.expiresAt = nil
        record.qos = min(record.qos, link.limits.maxQoS)
        self.commits.append(resent: stored.id)
        if let objection = link.limits.objection(topic: record.topic, payloadBytes: record.payload.readableBytes) {
            link.bury(record, of: lane, objection.reason, detail: objection.detail)
        } else {
            self.spool(record, in: lane, of: link)
        }
        return true
    }

    /// Tries again later: there was no room, or the disk failed.
    func scheduleResend() {
        guard !self.isResendScheduled else { return }
        self.isResendScheduled = true
        self.loop.assumeIsolated().scheduleTask(in: Self.resendPause) {
            self.isResendScheduled = false
            self.resendDeadLetters()
        }
    }
}
