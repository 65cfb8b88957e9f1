import Devices
import Logging
import MQTTCodec
import NIOCore
import OpenSSL
import Store
import Transport
import Uplink

/// One uplink at work: the client machine, its connection, and the head of its spool. Bound to the gateway's loop.
///
/// Records come here when they are committed, leave in order as the in-flight window allows, and are deleted from the
/// spool when the outside broker has acknowledged them.
final class UplinkLink: UplinkChannelDelegate {
    /// What the link needs of the core.
    struct Hooks {
        /// The outside broker has the record.
        var acknowledged: (_ sequence: Int64) -> Void
        /// A message came down. To be answered with true when it is safe, or with false if it could not be stored.
        var received: (Publish, _ done: @escaping (Bool) -> Void) -> Void
        /// Records behind this sequence are wanted from the disk.
        var load: (_ after: Int64) -> Void
        /// Room is to be made in the spool.
        var drop: (StoreBatch.Drop) -> Void
    }

    /// How long what is in flight is waited for before a change to a better connection.
    private static let changeOverTime: TimeAmount = .seconds(5)

    let name: String
    /// The store's number for this uplink.
    let storeID: Int64
    /// As of the last commit that touched this spool.
    private(set) var totals: SpoolTotals
    private let limits: SpoolLimits
    private let connector: UplinkConnector
    private let loop: any EventLoop
    private let logger: Logger
    private let hooks: Hooks
    private var client: UplinkClient
    private var queue: SpoolQueue
    private var channel: UplinkChannel?
    private var timer: Scheduled<Void>?
    private var timerDeadline: NIODeadline?
    /// Records on their way to the disk, which ``totals`` does not count yet.
    private var uncounted = (messages: 0, bytes: 0)
    /// A drop is on its way; another one now would drop the same room twice.
    private var isDropping = false
    private var lastFailure: String?
    private var isStopping = false
    /// A better connection waits for this one to have nothing in flight.
    private weak var changingFrom: UplinkChannel?

    init(
        name: String,
        storeID: Int64,
        stored: SpoolTotals?,
        limits: SpoolLimits,
        client: UplinkClient,
        connector: UplinkConnector,
        loop: any EventLoop,
        logger: Logger,
        hooks: Hooks
    ) {
        self.name = name
        self.storeID = storeID
        self.totals = stored ?? SpoolTotals(uplink: storeID)
        self.limits = limits
        self.client = client
        self.connector = connector
        self.loop = loop
        self.logger = logger
        self.hooks = hooks
        self.queue = SpoolQueue(stored: stored?.sequences?.upperBound ?? 0)
    }

    /// Whether acknowledgements can come in.
    var isConnected: Bool { self.client.phase == .connected }
    /// Nothing waits for the outside broker.
    var isDrained: Bool { self.queue.isEmpty && self.client.inFlightCount == 0 }

    /// Begins to connect.
    func start() {
        self.perform(self.client.start(now: .now()))
        self.refill()
    }

    /// Ends the link: DISCONNECT, close. What is not acknowledged stays in the spool.
    func stop() {
        self.isStopping = true
        self.timer?.cancel()
        self.connector.cancel()
        if let channel = self.channel.take() {
            channel.write { self.client.stop(into: &$0) }
            channel.close()
        } else {
            var nowhere = ByteBuffer()
            self.client.stop(into: &nowhere)
        }
    }

    // MARK: The spool's side

    /// Whether one more record may be stored; makes room by the uplink's `when_full`.
    ///
    /// - Returns: False if the message has to be refused.
    func makeRoom(for route: RoutedTopic, payload: ByteBuffer) -> Bool {
        guard route.qos != .atMostOnce else { return true }
        let bytes = route.topic.buffer.readableBytes + payload.readableBytes
        let isFull =
            self.totals.messages + self.uncounted.messages >= self.limits.maxMessages
            || self.totals.bytes + self.uncounted.bytes + bytes > self.limits.maxBytes
        if isFull {
            switch self.limits.whenFull {
            case .reject: return false
            case .dropNewest: return true
            case .dropOldest:
                guard !self.isDropping, self.totals.messages > 0 else { return true }
                self.isDropping = true
                // A hundredth at a time, so that a full spool does not cost a deletion for each message; and at least
                // what is on its way.
                let count = max(self.uncounted.messages + 1, min(self.totals.messages / 100, 1000))
                self.hooks.drop(.init(uplink: self.storeID, extent: .oldest(count: count)))
            }
        }
        return true
    }

    /// Whether a message that ``makeRoom(for:payload:)`` let pass is dropped all the same: `when_full = "drop-newest"`.
    var dropsNewest: Bool {
        self.limits.whenFull == .dropNewest
            && (self.totals.messages + self.uncounted.messages >= self.limits.maxMessages
                || self.totals.bytes + self.uncounted.bytes >= self.limits.maxBytes)
    }

    /// A record was handed to the store.
    func appended(bytes: Int) {
        self.uncounted.messages += 1
        self.uncounted.bytes += bytes
    }

    /// A record that was handed to the store is on disk, or is not going to be.
    func settled(bytes: Int) {
        self.uncounted.messages -= 1
        self.uncounted.bytes -= bytes
    }

    /// The store counted again.
    func counted(_ totals: SpoolTotals) {
        self.totals = totals
    }

    /// A drop that ``makeRoom(for:payload:)`` or ``expire(nowMilliseconds:)`` asked for is done, or failed.
    func dropFinished() {
        self.isDropping = false
    }

    /// Asks for the deletion of what is older than `max_age`.
    ///
    /// - Parameter upTime: Since the start, if the time of day jumped in it: what was stored under the old time is younger
    ///   than it seems, so nothing is deleted before the gateway itself is that old.
    func expire(nowMilliseconds: Int64, jumpedUpTime upTime: Duration?) {
        guard !self.isDropping, let maxAge = self.limits.maxAge, let oldest = self.totals.oldestStoredAt else { return }
        if let upTime, upTime < maxAge { return }
        let limit = nowMilliseconds - Int64(maxAge.components.seconds) * 1000
        guard oldest < limit else { return }
        self.isDropping = true
        self.hooks.drop(.init(uplink: self.storeID, extent: .storedBefore(limit)))
    }

    /// A record is on disk.
    func committed(_ record: SpoolRecord) {
        self.queue.append(record)
        self.pump()
    }

    /// What ``Hooks/load`` asked for.
    func loaded(_ page: Result<SpoolPage, StoreError>) {
        switch page {
        case .success(let page):
            self.queue.loaded(page.records, isLast: page.isLast)
            self.pump()
        case .failure(let error):
            self.queue.loadFailed()
            self.logger.error("could not read the spool", metadata: ["uplink": "\(self.name)", "error": "\(error)"])
        }
    }

    /// Records through this sequence were dropped by a limit.
    func dropped(through sequence: Int64) {
        self.queue.dropped(through: sequence)
    }

    /// Sends a QoS 0 message past the spool, if the link is up and takes bytes.
    func sendUnstored(topic: TopicName, payload: ByteBuffer, retain: Bool) -> Bool {
        guard let channel = self.channel, channel.isWritable else { return false }
        return channel.write {
            self.client.sendUnstored(topic: topic, payload: payload, retain: retain, into: &$0)
        }
    }

    /// Sends what the window and the socket have room for.
    private func pump() {
        guard let channel = self.channel, channel !== self.changingFrom, self.client.freeSlots > 0, !self.queue.isEmpty
        else { return self.refill() }
        while self.client.freeSlots > 0, channel.isWritable, let record = self.queue.first {
            let isSent = channel.write {
                self.client.send(
                    sequence: record.sequence,
                    topic: TopicName(unchecked: record.topic),
                    payload: record.payload,
                    qos: record.qos,
                    retain: record.retain,
                    into: &$0
                )
            }
            guard isSent else { break }
            self.queue.removeFirst()
        }
        self.refill()
        self.armTimer()
    }

    private func refill() {
        if let sequence = self.queue.wantsLoad() { self.hooks.load(sequence) }
    }

    // MARK: UplinkChannelDelegate

    func uplinkConnected(_ channel: UplinkChannel) {
        self.channel = channel
        channel.write { self.client.transportConnected(now: .now(), into: &$0) }
        self.armTimer()
    }

    func uplink(_ channel: UplinkChannel, received frame: MQTTFrame) {
        let now = NIODeadline.now()
        self.perform(channel.write { self.client.received(frame, now: now, into: &$0) })
    }

    func uplink(_ channel: UplinkChannel, skipped firstByte: UInt8, packetID: UInt16, size: Int) {
        let now = NIODeadline.now()
        let action = channel.write {
            self.client.skipped(firstByte: firstByte, packetID: packetID, now: now, into: &$0)
        }
        if action == .none { self.logDropped(["size": "\(size)"]) }
        self.perform(action)
    }

    func uplinkReadCompleted(_ channel: UplinkChannel) {
        if channel.isSkipping { self.client.skipping(now: .now()) }
        if channel === self.changingFrom, self.client.inFlightCount == 0 { self.changeOver(from: channel) }
        self.pump()
    }

    func uplinkBecameWritable(_ channel: UplinkChannel) {
        self.pump()
    }

    func uplinkDisconnected(reason: String) {
        self.channel = nil
        self.perform(self.client.transportClosed(reason: reason, now: .now()))
    }

    // MARK: Better connections

    /// What is in flight is waited for, for a moment, so that it need not be sent twice.
    func uplinkCanChangeOver(to address: String) {
        guard self.isConnected, !self.isStopping, let channel = self.channel, self.changingFrom == nil else { return }
        self.logger.notice("uplink changes over", metadata: ["uplink": "\(self.name)", "address": "\(address)"])
        self.changingFrom = channel
        guard self.client.inFlightCount > 0 else { return self.changeOver(from: channel) }
        self.loop.assumeIsolated().scheduleTask(in: Self.changeOverTime) { [weak self, weak channel] in
            if let self, let channel { self.changeOver(from: channel) }
        }
    }

    private func changeOver(from channel: UplinkChannel) {
        guard self.channel === channel, self.changingFrom === channel, !self.isStopping else { return }
        let action = channel.write { self.client.changeOver(now: .now(), into: &$0) }
        channel.close()
        self.channel = nil
        self.perform(action)
    }

    /// The certificate of the connection is about to expire, and there is another one.
    func renewConnection() {
        self.connector.renew()
    }

    /// For the next connection.
    func replaceCredentials(_ userName: MQTTString?, _ password: Password?) {
        self.client.replaceCredentials(userName: userName, password: password)
    }

    private func perform(_ action: UplinkAction) {
        switch action {
        case .none: break
        case .connect:
            self.connector.connect(delegate: self)
        case .connected(let sessionPresent):
            self.connector.connectionWasAccepted()
            self.lastFailure = nil
            self.logger.notice(
                "uplink connected",
                metadata: [
                    "uplink": "\(self.name)", "address": "\(self.channel?.address ?? "?")",
                    "tls": "\(self.channel?.peer.map { "TLS \($0.version.rawValue) \($0.cipher)" } ?? "none")",
                    "session-present": "\(sessionPresent)", "waiting": "\(self.totals.messages)",
                ]
            )
            self.pump()
        case .acknowledged(let sequence):
            self.hooks.acknowledged(sequence)
        case .message(let publish, let receipt):
            let channel = self.channel
            self.hooks.received(publish) { [weak self] isSafe in
                guard let self, let receipt, let channel, self.channel === channel else { return }
                guard isSafe else { return self.dropConnection(channel, reason: "a message of it could not be stored") }
                channel.write { self.client.acknowledge(receipt, into: &$0) }
            }
        case .dropped(let error):
            self.logDropped(["reason": "\(error)"])
        case .subscribed(let refused):
            for filter in refused {
                self.logger.warning(
                    "the outside broker refused a subscription: messages of this route in do not come",
                    metadata: ["uplink": "\(self.name)", "filter": "\(Printable.text(filter.buffer))"]
                )
            }
        case .close(let failure, let retryAt):
            self.channel?.close()
            self.channel = nil
            self.log(failure, retryAt: retryAt)
        }
        self.armTimer()
    }

    /// Ends the connection, so that the outside broker sends again what it was not acknowledged.
    private func dropConnection(_ channel: UplinkChannel, reason: String) {
        channel.close()
        self.uplinkDisconnected(reason: reason)
    }

    private func logDropped(_ details: Logger.Metadata) {
        var metadata = details
        metadata["uplink"] = "\(self.name)"
        self.logger.warning("a message of the outside broker is over the limit and was dropped", metadata: metadata)
    }

    private func log(_ failure: UplinkFailure, retryAt: NIODeadline) {
        let words = "\(failure)"
        let wait = Double((retryAt - .now()).nanoseconds) / 1e9
        let seconds = "\((wait * 10).rounded() / 10) s"
        // The first failure of a kind is news; the same one every two minutes is not.
        let level: Logger.Level = words == self.lastFailure ? .debug : .warning
        self.lastFailure = words
        self.logger.log(
            level: level,
            "uplink down: messages are kept in the spool",
            metadata: ["uplink": "\(self.name)", "reason": "\(words)", "next-attempt-in": "\(seconds)"]
        )
    }

    private func armTimer() {
        guard !self.isStopping, let deadline = self.client.nextDeadline else { return }
        // A timer that fires early does no harm: it looks again. Only an earlier one must be set anew.
        if let armed = self.timerDeadline, armed <= deadline { return }
        self.timer?.cancel()
        self.timerDeadline = deadline
        self.timer = self.loop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            guard let self else { return }
            self.timerDeadline = nil
            let now = NIODeadline.now()
            if let channel = self.channel {
                self.perform(channel.write { self.client.tick(now: now, into: &$0) })
            } else {
                var nowhere = ByteBuffer()
                self.perform(self.client.tick(now: now, into: &nowhere))
            }
        }
    }
}
