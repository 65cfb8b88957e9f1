import Devices
import MQTTCodec
import NIOCore
import Sealing
import Store
import Transport
import Uplink

/// What goes out, in which order and how fast.
extension UplinkLink {
    /// What became of a record that was to be sent.
    private enum Sending {
        /// It is on its way, or out of the way.
        case done
        /// It stays where it is.
        case wait
    }

    /// Sends what the window, the socket and the broker's rate have room for.
    func pump() {
        guard let channel = self.channel, channel !== self.changingFrom, !self.isResting, self.isConnected,
            self.pausedUntil == .distantPast
        else { return self.refill() }
        // To ask the client costs a copy of it, so it is not asked for each message.
        var room = self.client.freeSlots
        guard room > 0 else { return self.refill() }
        while room > 0, channel.isWritable {
            if let (record, lane) = self.retries.first {
                guard self.mayGo(), self.send(record, of: lane, isBacklog: true, on: channel) == .done else { break }
                self.retries.removeFirst()
            } else if let lane = self.lanes.first(where: { $0.queue.hasFirst && !self.isHeldBack($0) }),
                let record = lane.queue.first
            {
                // Written down while it was under way, and read back from the disk.
                if !self.underway.isEmpty, self.underway.contains(record.sequence) {
                    lane.queue.removeFirst()
                    continue
                }
                guard self.mayGo() else { break }
                let isBacklog = lane.queue.isFirstBacklog
                guard self.send(record, of: lane, isBacklog: isBacklog, on: channel) == .done else { break }
                lane.queue.removeFirst()
                if !isBacklog { lane.lastSent = record.sequence }
            } else {
                break
            }
            room -= 1
            if room == 0 { room = self.client.freeSlots }
        }
        if !self.retainGuard.isEmpty, self.lanes.allSatisfy(\.queue.isEmpty) { self.retainGuard.reset() }
        self.refill()
        self.armTimer()
    }

    /// Sends what commits brought since the last time.
    func pumpCommitted() {
        guard self.hasCommitted else { return }
        self.hasCommitted = false
        self.pump()
    }

    /// Sends a QoS 0 message past the spool, if the link is up and takes bytes.
    func sendUnstored(_ message: UplinkMessage) -> Bool {
        guard let channel = self.channel, channel.isWritable, !self.isResting, self.isConnected else { return false }
        return channel.write { self.client.send(message, now: .now(), into: &$0) } == .sentAtMostOnce
    }

    /// Asks for what is on disk only, for each lane that runs low.
    func refill() {
        for lane in self.lanes where lane.queue.order == .oldestFirst || self.isConnected {
            if let cursor = lane.queue.wantsLoad() { self.hooks.load(self, lane, cursor) }
        }
    }

    /// Whether the broker's rate lets one more message go; otherwise the sending pauses.
    private func mayGo() -> Bool {
        guard let pace = self.pace else { return true }
        let now = NIODeadline.now()
        let wait = pace.wait(now: now)
        guard wait > .zero else { return true }
        self.pausedUntil = now + wait
        return false
    }

    /// A QoS 2 message of an earlier run may be under way at the broker under an identifier that a new one would get: all those of
    /// earlier runs are sent first.
    private func isHeldBack(_ lane: UplinkLane) -> Bool {
        guard self.hasOldRecords else { return false }
        self.hasOldRecords = self.lanes.contains { ($0.totals.sequences?.lowerBound ?? .max) <= self.storedThrough }
        guard self.hasOldRecords, let record = lane.queue.first else { return false }
        return record.qos == .exactlyOnce && record.sequence > self.storedThrough
    }

    private func send(
        _ record: SpoolRecord,
        of lane: UplinkLane,
        isBacklog: Bool,
        on channel: UplinkChannel
    ) -> Sending {
        if self.trustsExpiry, let expiresAt = record.expiresAt, !record.isClockless, let now = self.wallClock.present,
            expiresAt <= now
        {
            self.expired(record.sequence, of: lane)
            return .done
        }
        var retain = record.retain
        if retain, lane.queue.order == .newestFirst {
            retain = self.retainGuard.mayRetain(record.topic, isBacklog: isBacklog)
        }
        let message = UplinkMessage(
            sequence: record.sequence,
            topic: TopicName(unchecked: record.topic),
            payload: record.payload,
            qos: record.qos,
            retain: retain,
            properties: self.properties(of: record),
            expiry: self.expiry(of: record),
            isRepeat: record.sequence <= self.storedThrough
        )
        switch channel.write({ self.client.send(message, now: .now(), into: &$0) }) {
        case .noRoom: return .wait
        case .sent:
            _ = self.pace?.take(now: .now())
            if lane.priority != .normal { self.laneOf[record.sequence] = lane }
        case .sentAtMostOnce:
            _ = self.pace?.take(now: .now())
            // Nothing more will be heard of it.
            if let entry = self.unwritten.remove(record.sequence) {
                entry.waiter?.settle()
            } else {
                self.hooks.acknowledged(lane.storeID, record.sequence)
            }
        case .expired: self.expired(record.sequence, of: lane)
        case .tooLarge(let limit):
            if self.refusesEverything { self.pausedUntil = .now() + .seconds(60) }
            let detail = "the outside broker takes packets of \(limit) bytes at most"
            self.bury(record, of: lane, .packetTooLarge, detail: detail)
        }
        return .done
    }

    /// Of the message, for MQTT 5.0.
    private func properties(of record: SpoolRecord) -> MQTTProperties {
        var properties = MQTTProperties()
        if record.properties.readableBytes > 0, let own = try? MQTTProperties(serialized: record.properties) {
            properties = own
        }
        if record.isClockless, self.speaksV5 { properties.userProperties.append(Self.clocklessMark) }
        return properties
    }

    /// When a record is worth nothing any more. What was taken without a clock says so to the run that took it only.
    private func expiry(of record: SpoolRecord) -> NIODeadline? {
        guard record.isClockless else { return self.wallClock.deadline(at: record.expiresAt) }
        guard record.sequence > self.storedThrough else { return nil }
        return record.expiresAt.map { self.wallClock.deadline(atRun: $0) }
    }

    /// A record has outlived its expiry, and leaves the spool.
    func expired(_ sequence: Int64, of lane: UplinkLane) {
        self.status.expired += 1
        if !self.laneOf.isEmpty { self.laneOf[sequence] = nil }
        if let entry = self.unwritten.remove(sequence) {
            entry.waiter?.settle()
        } else {
            self.hooks.acknowledged(lane.storeID, self.takeAlias(of: sequence))
        }
    }
}
