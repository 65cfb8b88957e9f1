import Devices
import Logging
import MQTTCodec
import NIOCore
import OpenSSL
import Sealing
import Store
import Transport
import Uplink

/// One uplink at work: the client machine, its connection, and the heads of its spools. Bound to the gateway's loop.
///
/// Records come here when they are committed, or before with `acknowledge = "end-to-end"`; they leave in order as the in-flight
/// window allows, and are deleted from the spool when the outside broker has acknowledged them.
final class UplinkLink {
    /// What the link needs of the core.
    struct Hooks {
        /// For what a node or the broker can cause again and again.
        var warnings: WarningLog
        /// The outside broker has the record, or it is worth nothing any more: it leaves the spool.
        var acknowledged: (_ lane: Int64, _ sequence: Int64) -> Void
        /// A message came down. To be answered with true when it is safe, or with false if it could not be stored.
        var received: (UplinkLink, Publish, UplinkReceipt?, _ done: @escaping (Bool) -> Void) -> Void
        /// Records of a lane are wanted from the disk, for ``loaded(_:in:)``.
        var load: (UplinkLink, UplinkLane, SpoolCursor) -> Void
        /// One record is wanted from the disk; nil: it is not there.
        var fetch: (UplinkLane, _ sequence: Int64, _ done: @escaping (Result<SpoolRecord?, StoreError>) -> Void) -> Void
        /// Room is to be made in the spool.
        var drop: (StoreBatch.Drop) -> Void
        /// A record is to be written that was to do without; gives its new sequence.
        var write: (SpoolRecord, PendingAcknowledgement?) -> Int64
        /// A message goes to the dead letters, and leaves the spool if it is there.
        var bury: (DeadLetter, PendingAcknowledgement?) -> Void
        /// QoS 2 has taken a step; called back when it is on disk, or with false if it can't be written.
        var note: (QoS2Step, _ done: @escaping (Bool) -> Void) -> Void
        /// Whether so much waits for the disk that nobody should send more.
        var isCongested: () -> Bool
        /// Something that people look at has changed.
        var changed: (UplinkLink) -> Void
        /// A connection is wanted: ``connect()`` when it may be made; nil: at once.
        var mayConnect: (() -> Void)?
        /// The connection was ended by ``rest()``, or there was none.
        var rested: (() -> Void)?
        /// Whether a failure is worth the operator's attention; nil: unless it is the same as the last one.
        var isNews: ((_ failure: String) -> Bool)?
    }

    /// A step of QoS 2 that must be on disk before the next.
    enum QoS2Step {
        case release(ReleaseChange)
        case hold(HeldChange)
    }

    let configuration: UplinkConfiguration
    /// Whose connection it is; nil: the gateway's own.
    let device: DeviceID?
    /// With whom the limits of the spool are shared; nil: nobody.
    let share: SpoolShare?
    let stamp: MessageStamp
    /// By priority, the highest first; the normal one is always there.
    let lanes: [UplinkLane]
    /// Records up to this sequence are of an earlier run, which may have sent them.
    let storedThrough: Int64
    let loop: any EventLoop
    let logger: Logger
    let hooks: Hooks
    let wallClock: WallClock
    let connector: UplinkConnector
    var client: UplinkClient
    var channel: UplinkChannel?
    /// Whether acknowledgements can come in. Kept beside the machine, which is not small, for the way of each message.
    var isConnected = false
    /// Fewer messages than usual may be under way, to find out on which the broker ends the connection.
    var isWindowLowered = false
    var status = UplinkStatus()
    /// Whether the broker does its work.
    var health = LinkHealth()
    /// What the broker is told of the gateway.
    var speech: StateSpeech
    /// By which time certificates are judged.
    let clockRule: ClockRule
    /// When the link was made, for the rule's bound.
    let created = NIODeadline.now()
    /// The next connection waits for the clock.
    var waitsForClock = false
    /// What the outside broker takes, by configuration.
    let limits: ProviderLimits
    var suspects: SuspectWatch
    var unwritten = UnwrittenRecords()
    /// New sequences of records that were written down while they were under way, by the old ones.
    var aliases: [Int64: Int64] = [:]
    /// The new ones, until their commit.
    var underway: Set<Int64> = []
    /// Lanes of the records under way that are not in the normal one.
    var laneOf: [Int64: UplinkLane] = [:]
    /// How often the broker refused a record.
    var refusals: [Int64: Int] = [:]
    /// Refused records that are sent again before all others.
    var retries: [(record: SpoolRecord, lane: UplinkLane)] = []
    /// Nothing is sent before: the broker has enough, or has just refused something.
    var pausedUntil: NIODeadline = .distantPast
    var pace: TokenBucket?
    var retainGuard = RetainGuard()
    var diskIsLow = false
    /// Some of what waits may expire by itself.
    var hasExpiring: Bool
    /// Records of an earlier run wait yet.
    var hasOldRecords: Bool
    /// The clock has not jumped lately.
    var trustsExpiry = true
    /// Messages in a row that the broker did not take, for whatever reason, without one that it took.
    var deadInRow = 0
    private var timer: Scheduled<Void>?
    private var timerDeadline: NIODeadline?
    private var lastFailure: String?
    private(set) var isStopping = false
    private var isDroppingConnection = false
    /// A commit has brought records that ``pump()`` has not seen.
    var hasCommitted = false
    /// A better connection waits for this one to have nothing in flight.
    weak var changingFrom: UplinkChannel?
    /// Nothing more is sent: the connection ends when what is in flight is acknowledged.
    var isResting = false

    init(
        configuration: UplinkConfiguration,
        device: DeviceID? = nil,
        share: SpoolShare? = nil,
        stamp: MessageStamp,
        lanes: [UplinkLane],
        storedThrough: Int64,
        client: UplinkClient,
        connector: UplinkConnector,
        stateTopic: TopicName?,
        clockRule: ClockRule,
        wallClock: WallClock,
        loop: any EventLoop,
        logger: Logger,
        hooks: Hooks
    ) {
        precondition(lanes.contains { $0.priority == .normal }, "an uplink has a normal lane")
        self.configuration = configuration
        self.device = device
        self.share = share
        self.stamp = stamp
        self.lanes = lanes
        self.storedThrough = storedThrough
        self.client = client
        self.connector = connector
        self.speech = StateSpeech(topic: stateTopic)
        self.clockRule = clockRule
        self.wallClock = wallClock
        self.loop = loop
        self.logger = logger
        self.hooks = hooks
        self.limits = configuration.providerLimits
        self.hasExpiring = lanes.contains { $0.totals.messages > 0 }
        self.hasOldRecords = self.hasExpiring
        self.suspects = SuspectWatch(limit: configuration.deadAfter)
        self.pace = configuration.providerLimits.rate.map { rate in
            // A tenth of a second's worth at once: providers count in seconds, and their own buckets are small.
            let perSecond = Double(rate.count) / rate.interval.seconds
            return TokenBucket(rate: perSecond, burst: max(1, Int(perSecond / 10)), now: .now())
        }
    }

    var name: String { self.configuration.name }
    /// Properties of messages have a way out.
    var speaksV5: Bool { self.configuration.protocolVersion == .v5 }

    /// The lane of ordinary messages, and of all that does not say otherwise.
    var normalLane: UplinkLane {
        self.lanes.first { $0.priority == .normal } ?? self.lanes[0]
    }

    func lane(_ priority: RoutePriority) -> UplinkLane {
        self.lanes.first { $0.priority == priority } ?? self.normalLane
    }

    /// Nothing waits for the outside broker.
    var isDrained: Bool {
        self.client.inFlightCount == 0 && self.retries.isEmpty && self.lanes.allSatisfy(\.queue.isEmpty)
    }

    /// Begins to connect.
    func start() {
        self.perform(self.client.start(now: .now()))
        self.refill()
    }

    /// Ends the link: DISCONNECT, close. What is not acknowledged stays in the spool.
    func stop() {
        self.isStopping = true
        self.isConnected = false
        self.timer?.cancel()
        self.connector.cancel()
        if let channel = self.channel.take() {
            channel.write { output in
                self.sayOffline(into: &output)
                self.client.stop(into: &output)
            }
            channel.close()
        } else {
            var nowhere = ByteBuffer()
            self.client.stop(into: &nowhere)
        }
    }

    // MARK: Actions

    func perform(_ action: UplinkAction) {
        switch action {
        case .none: break
        case .connect:
            self.isConnected = false
            if let mayConnect = self.hooks.mayConnect { mayConnect() } else { self.connect() }
        case .connected(let session): self.connected(session)
        case .acknowledged(let sequence): return self.acknowledged(sequence)  // The end of the burst arms the timer.
        case .pubrec(let sequence, let packetID): self.recorded(sequence, packetID)
        case .completed(let packetID): self.completed(packetID)
        case .refused(let sequence, let code, let reason): self.refused(sequence, code, reason)
        case .message(let publish, let receipt): self.received(publish, receipt)
        case .released(let packetID): self.released(packetID)
        case .dropped(let error): self.logDropped(["reason": "\(error)"])
        case .subscribed(let refused):
            self.logger.debug("uplink subscribed", metadata: ["uplink": "\(self.name)", "denied": "\(refused.count)"])
            for refusal in refused {
                self.logger.warning(
                    "the outside broker refused a subscription: messages of this route in do not come",
                    metadata: [
                        "uplink": "\(self.name)", "filter": "\(Printable.text(refusal.filter.buffer))",
                        "reason": "\(refusal.code.uplinkWords)",
                    ]
                )
            }
        case .close(let failure, let retryAt): self.closed(failure, retryAt: retryAt)
        }
        self.armTimer()
    }

    /// Makes the connection that ``perform(_:)`` was asked for.
    func connect() {
        guard self.client.phase == .connecting else { return }
        self.isWindowLowered = self.suspects.isCautious
        self.client.windowLimit = self.isWindowLowered ? 1 : self.client.configuration.inFlight
        self.client.will = self.will
        self.connect(now: .now())
    }

    private func connected(_ session: UplinkSession) {
        self.isConnected = true
        self.connector.connectionWasAccepted()
        self.lastFailure = nil
        self.suspects.connected()
        self.status.address = self.channel?.address
        self.status.since = .now()
        self.health.accepted()
        self.sayOnline()
        self.logger.log(
            level: self.device == nil ? .notice : .debug,
            "uplink connected",
            metadata: [
                "uplink": "\(self.name)", "address": "\(self.channel?.address ?? "?")",
                "tls": "\(self.channel?.peer.map { "TLS \($0.version.rawValue) \($0.cipher)" } ?? "none")",
                "session-present": "\(session.isPresent)", "waiting": "\(self.waitingMessages)",
            ]
        )
        if self.client.server.maxQoS == .atMostOnce {
            self.logger.warning(
                "the outside broker takes QoS 0 only: what is sent to it is not acknowledged, and can be lost",
                metadata: ["uplink": "\(self.name)"]
            )
        }
        self.resume(session)
        for lane in self.lanes { lane.queue.linkCameUp() }
        self.hooks.changed(self)
        self.pump()
    }

    private func closed(_ failure: UplinkFailure, retryAt: NIODeadline) {
        self.isConnected = false
        self.channel?.close()
        self.channel = nil
        self.stateConnectionEnded(failure, wasAccepted: self.status.address != nil)
        // No message is to blame for a connection that the broker never accepted, or that the gateway ended.
        let endedOnMessage = self.status.address != nil && !self.isDroppingConnection
        self.isResting = false
        self.status.address = nil
        self.status.since = .now()
        self.status.lastError = "\(failure)"
        self.writeDown(self.unwritten.takeAll())
        if endedOnMessage { self.judge(failure) }
        self.log(failure, retryAt: retryAt)
        self.hooks.changed(self)
    }

    /// Ends the connection, so that the outside broker sends again what it was not acknowledged.
    func dropConnection(_ channel: UplinkChannel, reason: String) {
        channel.close()
        self.isDroppingConnection = true
        self.uplinkDisconnected(reason: reason)
        self.isDroppingConnection = false
    }

    private func logDropped(_ details: @autoclosure () -> Logger.Metadata) {
        self.hooks.warnings.note(.tooLargeFromUplink, self.name, details: details())
    }

    private func log(_ failure: UplinkFailure, retryAt: NIODeadline) {
        let words = "\(failure)"
        let wait = Double((retryAt - .now()).nanoseconds) / 1e9
        let seconds = "\((wait * 10).rounded() / 10) s"
        // The first failure of a kind is news; the same one every two minutes is not.
        let isNews = words != self.lastFailure && self.hooks.isNews?(words) != false
        let level: Logger.Level = isNews ? .warning : .debug
        self.lastFailure = words
        self.logger.log(
            level: level,
            "uplink down: messages are kept in the spool",
            metadata: ["uplink": "\(self.name)", "reason": "\(words)", "next-attempt-in": "\(seconds)"]
        )
    }

    // MARK: Time

    func armTimer() {
        guard !self.isStopping else { return }
        var deadline = self.client.nextDeadline
        if let patience = self.unwritten.nextDeadline { deadline = min(deadline ?? patience, patience) }
        if self.pausedUntil > .distantPast { deadline = min(deadline ?? self.pausedUntil, self.pausedUntil) }
        guard let deadline else { return }
        // A timer that fires early does no harm: it looks again. Only an earlier one must be set anew.
        if let armed = self.timerDeadline, armed <= deadline { return }
        self.timer?.cancel()
        self.timerDeadline = deadline
        self.timer = self.loop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            self?.timeIsUp()
        }
    }

    private func timeIsUp() {
        self.timerDeadline = nil
        let now = NIODeadline.now()
        self.writeDown(self.unwritten.takeOverdue(now: now))
        if self.pausedUntil <= now { self.pausedUntil = .distantPast }
        if let channel = self.channel {
            self.perform(channel.write { self.client.tick(now: now, into: &$0) })
            self.pump()
        } else {
            var nowhere = ByteBuffer()
            self.perform(self.client.tick(now: now, into: &nowhere))
        }
    }
}

// MARK: - UplinkChannelDelegate

extension UplinkLink: UplinkChannelDelegate {
    func uplinkConnected(_ channel: UplinkChannel) {
        self.channel = channel
        channel.write { self.client.transportConnected(now: .now(), into: &$0) }
        self.armTimer()
    }

    func uplink(_ channel: UplinkChannel, received frame: MQTTFrame) {
        let now = NIODeadline.now()
        self.perform(channel.write { self.client.received(frame, now: now, into: &$0) })
        if LinkHealth.isAnswer(frame.firstByte), self.health.answered(now: now) { self.hooks.changed(self) }
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
        self.readOn()
        if self.isResting, self.client.inFlightCount == 0 { self.restNow() }
        self.pump()
    }

    func uplinkBecameWritable(_ channel: UplinkChannel) {
        self.pump()
    }

    func uplinkDisconnected(reason: String) {
        self.channel = nil
        self.perform(self.client.transportClosed(reason: reason, now: .now()))
    }
}
