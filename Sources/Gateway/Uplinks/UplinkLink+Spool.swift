import Devices
import Logging
import MQTTCodec
import NIOCore
import Store
import Uplink

/// The spool's side of the link.
extension UplinkLink {
    /// Messages that may wait in memory alone, in bytes of topics and payloads.
    private static let maxUnwrittenBytes = 1 << 20
    /// After a jump of the clock no message expires for so long.
    private static let distrust = Duration.seconds(3_600)
    /// When a page that the disk did not give is asked for again.
    private static let loadAgainAfter = TimeAmount.seconds(5)

    /// Messages that wait, in all lanes.
    var waitingMessages: Int { self.lanes.reduce(0) { $0 + $1.messages } }
    /// Their topics and payloads.
    var waitingBytes: Int { self.lanes.reduce(0) { $0 + $1.bytes } }
    /// When the oldest of them was taken, in milliseconds since 1970; nil: none waits.
    var oldestStoredAt: Int64? { self.lanes.compactMap(\.totals.oldestStoredAt).min() }

    // MARK: Room

    /// Whether so many records more may be stored; makes room by the uplink's `when_full`.
    ///
    /// - Returns: False if they have to be refused.
    func makeRoom(for route: RoutedTopic, messages: Int = 1, bytes: Int) -> Bool {
        guard self.isFull(for: bytes, messages: messages) else { return true }
        switch self.configuration.spool.whenFull {
        case .reject: return false
        case .dropNewest: break
        case .dropOldest: self.dropOldest(for: route.priority, bytes: bytes)
        }
        return true
    }

    /// Whether a message that ``makeRoom(for:bytes:)`` let pass is dropped all the same: `when_full = "drop-newest"`, or all that
    /// waits is of a higher priority.
    func dropsNewest(for route: RoutedTopic, bytes: Int) -> Bool {
        guard self.isFull(for: bytes) else { return false }
        switch self.configuration.spool.whenFull {
        case .reject: return false
        case .dropNewest: return true
        case .dropOldest: return self.isOverfull && self.laneToDropFrom(for: route.priority) == nil
        }
    }

    /// Compares what is left of the disk with `min_free`.
    ///
    /// - Parameter bytes: nil: not known, which changes nothing.
    func diskHas(free bytes: Int?) {
        guard let bytes, (bytes < self.configuration.spool.minFree) != self.diskIsLow else { return }
        self.diskIsLow.toggle()
        if self.diskIsLow {
            self.logger.error(
                "the disk is nearly full: the spool counts as full",
                metadata: ["uplink": "\(self.name)", "free": "\(bytes)"]
            )
        } else {
            self.logger.notice("the disk has room again", metadata: ["uplink": "\(self.name)", "free": "\(bytes)"])
        }
    }

    /// Whether a record may be stored without anything else having to go.
    func hasRoom(for record: SpoolRecord) -> Bool { !self.isFull(for: record.countedBytes) }

    private func isFull(for bytes: Int, messages: Int = 1) -> Bool {
        let spool = self.configuration.spool
        guard let share = self.share else {
            return self.diskIsLow || self.waitingMessages + messages > spool.maxMessages
                || self.waitingBytes + bytes > spool.maxBytes
        }
        let free = (
            messages: spool.maxMessages - share.messages - messages + 1,
            bytes: spool.maxBytes - share.bytes - bytes
        )
        guard !self.diskIsLow, free.messages > 0, free.bytes >= 0 else { return true }
        // Where nothing is dropped for the new one, a device may fill no more than it leaves free for the others.
        guard spool.whenFull != .dropOldest else { return false }
        return self.waitingMessages >= free.messages || self.waitingBytes > free.bytes
    }

    /// More waits than what one commit may bring over the limits.
    private var isOverfull: Bool {
        (self.share?.messages ?? self.waitingMessages) > self.configuration.spool.maxMessages
    }

    /// Of devices that share the limits it is the one that has most waiting, so that none takes the room of the others.
    private func laneToDropFrom(for priority: RoutePriority) -> UplinkLane? {
        if let share = self.share { return share.laneToDropFrom(upTo: priority.rank) }
        return self.lanes.last { $0.priority.rank <= priority.rank && $0.totals.messages > 0 }
    }

    private func dropOldest(for priority: RoutePriority, bytes: Int) {
        guard let lane = self.laneToDropFrom(for: priority), !lane.isDropping else { return }
        lane.isDropping = true
        // A hundredth at a time, so that a full spool does not cost a deletion for each message; and at least what is on its
        // way. On a full disk no more than that: it does not get emptier by it, but what is deleted is used again.
        let hundredth = self.diskIsLow ? 0 : min(lane.totals.messages / 100, 1000)
        let count = max(lane.uncounted.messages + 1, hundredth)
        self.hooks.drop(.init(uplink: lane.storeID, extent: .oldest(count: count, bytes: lane.uncounted.bytes + bytes)))
    }

    /// A drop is done, or failed.
    func dropFinished(_ lane: UplinkLane) {
        lane.isDropping = false
    }

    /// Asks for the deletion of what is older than `max_age`.
    ///
    /// - Parameter time: Since the time of day jumped, if it did: what was stored under the old time is younger than it seems, so
    ///   nothing is deleted before the gateway has run for so long under the new one.
    func expire(nowMilliseconds: Int64, sinceJump time: Duration?) {
        self.trustsExpiry = time.map { $0 >= Self.distrust } ?? true
        // What waits for a link that is up is looked at when it is sent.
        if !self.isConnected, self.hasExpiring, self.trustsExpiry {
            for lane in self.lanes where lane.totals.messages > 0 {
                self.hooks.drop(.init(uplink: lane.storeID, extent: .expired(before: nowMilliseconds)))
            }
        }
        guard let maxAge = self.configuration.spool.maxAge else { return }
        if let time, time < maxAge { return }
        let limit = nowMilliseconds - Int64(maxAge.components.seconds) * 1000
        for lane in self.lanes where !lane.isDropping {
            guard let oldest = lane.totals.oldestStoredAt, oldest < limit else { continue }
            lane.isDropping = true
            self.hooks.drop(.init(uplink: lane.storeID, extent: .storedBefore(limit)))
        }
    }

    // MARK: Records

    /// Takes a record without the disk, for `acknowledge = "end-to-end"`: while the link is up, and nothing waits for the disk that
    /// would have to go before it.
    ///
    /// - Returns: False if it has to be written.
    func takeUnwritten(_ record: SpoolRecord, in lane: UplinkLane, waiter: PendingAcknowledgement?) -> Bool {
        guard case .endToEnd(let patience) = self.configuration.acknowledge, record.qos == .atLeastOnce else {
            return false
        }
        guard self.isConnected, !self.isStopping, lane.queue.canHold, lane.uncounted.messages == 0,
            self.unwritten.bytes < Self.maxUnwrittenBytes
        else {
            // What is written now must not overtake these.
            self.writeDown(self.unwritten.takeAll())
            return false
        }
        waiter?.hold()
        self.unwritten.append(.init(record: record, waiter: waiter, deadline: .now() + TimeAmount(patience)))
        lane.queue.append(record)
        self.pump()
        return true
    }

    /// Writes records down that were to do without, in their order.
    func writeDown(_ entries: [UnwrittenRecords.Entry]) {
        guard let first = entries.first else { return }
        for lane in self.lanes { lane.queue.removeLast(from: max(first.record.sequence, lane.lastSent + 1)) }
        for entry in entries {
            guard let lane = self.lanes.first(where: { $0.storeID == entry.record.uplink }) else { continue }
            self.appended(bytes: entry.record.countedBytes, in: lane)
            let sequence = self.hooks.write(entry.record, entry.waiter)
            guard entry.record.sequence <= lane.lastSent else { continue }
            self.aliases[entry.record.sequence] = sequence
            self.underway.insert(sequence)
        }
    }

    /// Everything that the gateway took charge of in memory goes to the disk, for the shutdown.
    func writeDownAll() {
        self.writeDown(self.unwritten.takeAll())
    }

    /// A record was handed to the store.
    func appended(bytes: Int, in lane: UplinkLane) {
        lane.uncounted.messages += 1
        lane.uncounted.bytes += bytes
    }

    /// A record that was handed to the store is on disk, or is not going to be.
    func settled(bytes: Int, in lane: UplinkLane) {
        lane.uncounted.messages -= 1
        lane.uncounted.bytes -= bytes
    }

    /// A record is on disk. When all of the commit are told of, ``pumpCommitted()`` sends them.
    func committed(_ record: SpoolRecord, in lane: UplinkLane) {
        if !self.underway.isEmpty, self.underway.contains(record.sequence) {
            lane.queue.skip(record.sequence)
        } else {
            lane.queue.append(record)
        }
        self.hasCommitted = true
    }

    /// What ``Hooks/load`` asked for.
    func loaded(_ page: Result<SpoolPage, StoreError>, in lane: UplinkLane) {
        switch page {
        case .success(let page):
            lane.queue.loaded(page)
            self.pump()
        case .failure(let error):
            lane.queue.loadFailed()
            self.logger.error("could not read the spool", metadata: ["uplink": "\(self.name)", "error": "\(error)"])
            self.loop.assumeIsolated().scheduleTask(in: Self.loadAgainAfter) { [weak self] in
                if let self, !self.isStopping { self.refill() }
            }
        }
    }

    /// Records went by a limit, or by their own expiry.
    ///
    /// - Parameter sequence: The highest of them.
    func dropped(_ extent: StoreBatch.Drop.Extent, through sequence: Int64, messages: Int, in lane: UplinkLane) {
        if case .expired = extent { self.status.expired += messages } else { self.status.dropped += messages }
        lane.queue.dropped(extent, through: sequence)
    }
}
