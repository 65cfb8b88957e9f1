import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import OpenSSL
import Sealing
import Store
import Transport

/// The one owner of the message path: devices, sessions, policy, routes, spool and uplinks.
///
/// Everything here runs on one event loop, so there are no locks and the order of events can be reasoned about. Files and
/// SQLite are the store's thread's; what is asked of it comes back to this loop.
final class GatewayCore {
    let configuration: GatewayConfiguration
    let loop: any EventLoop
    let logger: Logger
    let store: Store
    let registry: DeviceRegistry
    let broker: LocalBroker
    let routes: RouteTable
    let refusals: RefusalLog
    let warnings: WarningLog
    let failures: FailureBudget
    let passwords: PasswordChecker
    let limiter: ConnectionLimiter
    let burst: WriteBurst
    let handshakes: HandshakeQueue
    let wallClock: WallClock
    /// Kept on disk, so that the next run knows how late it is at least.
    var timeFloor: TimeFloor
    var clockTimer: Scheduled<Void>?
    /// As it was last said in the log.
    var wasClockSet = true
    private var clockWatch: ClockWatch
    /// Scratch memory of all receivers.
    let workspace = V1Workspace()
    let keys: DeviceKeys
    /// The OSCORE contexts of all devices.
    let oscore: OSCOREDesk
    /// Opens nothing, at the price of trying: stands for devices without keys.
    let nobody: V1Receiver
    var counters = Counters()
    /// The sealing desk: session topics and the receivers behind them.
    var channels: [TopicName: SealedChannel] = [:]
    /// In the order of ``RouteTable/uplinks``.
    private(set) var uplinks: [UplinkAtWork] = []
    /// Links to which the commit that is being told of has brought records.
    private var fed: [UplinkLink] = []
    /// Their lanes by the store's numbers.
    private var lanes: [Int64: OwnedLane] = [:]
    /// Dead letters are on their way from the store; or are to be asked for after that, or in a while.
    var isResending = false
    var wantsResend = false
    var isResendScheduled = false
    /// Brokers that the gateway is a client of, to hear the nodes there.
    private(set) var attached: [AttachedBroker] = []
    /// Set once in ``start()``, after which the core is whole.
    private(set) var commits: CommitQueue
    /// The listeners of CoAP.
    private(set) var sites: [CoAPSite] = []
    /// Resources that nodes host; nil: none is observed.
    private(set) var observer: NodeObserver?
    var paces: [DeviceID: SenderPace] = [:]
    var nearestDevices = NearestDevices()
    let commandDesk: CommandDesk
    /// The number of the stored session that holds commands; nil while there never was one.
    var commandSession: Int64?
    /// What makes handshakes of pending connections worthless.
    var recentChanges = RecentChanges()
    private(set) lazy var feed = self.makeRetainedFeed()
    private(set) lazy var piggyback = Piggyback(core: self)
    private var clients: [ObjectIdentifier: Client] = [:]
    private var connectionsOf: [DeviceID: Int] = [:]
    /// Observations of each proven device.
    var observersOf: [DeviceID: Int] = [:]
    /// Devices that have a connection or an observation.
    private var present: Set<DeviceID> = []
    private var wasCongested = false
    private var isDraining = false
    private var housekeeping: Scheduled<Void>?
    var systemTimer: Scheduled<Void>?
    let started = NIODeadline.now()
    private var lastStoreProblem: NIODeadline = .distantPast
    /// The next time at which a session ends or a will is due.
    var sessionTimer: (deadline: NIODeadline, task: Scheduled<Void>)?
    var systemTopics: SystemTopics
    /// What was last said of the uplinks.
    var stateBoard = StateBoard(uplinks: 0)
    var stateTimer: Scheduled<Void>?
    var isNewsScheduled = false
    /// The gateway is about to end.
    var isOffline = false

    /// - Parameters:
    ///   - registry: Filled with the devices that the store has now.
    ///   - routes: Compiled from the configuration.
    ///   - wallClock: With the floor of earlier runs.
    ///   - oscore: From the store; nil: no listener has use for OSCORE contexts.
    init(
        configuration: GatewayConfiguration,
        registry: DeviceRegistry,
        routes: RouteTable,
        store: Store,
        wallClock: WallClock = WallClock(),
        oscore: OSCOREStart? = nil,
        loop: any EventLoop,
        logger: Logger
    ) {
        self.wallClock = wallClock
        self.timeFloor = TimeFloor(
            stored: wallClock.floor,
            release: Version.notBefore,
            now: .now(),
            wall: wallClock.milliseconds
        )
        self.configuration = configuration
        self.loop = loop
        self.logger = logger
        self.store = store
        self.registry = registry
        self.routes = routes
        self.refusals = RefusalLog(logger: logger)
        self.warnings = WarningLog(logger: logger)
        self.nobody = V1Receiver(configuration: .init(), members: [], workspace: self.workspace)
        _ = self.nobody.start(now: .now())
        self.keys = DeviceKeys(path: store.directory.masterKey, logger: logger)
        self.oscore = OSCOREDesk(keys: self.keys, start: oscore, logger: logger)
        self.oscore.replace(registry.devices)
        self.burst = WriteBurst(loop: loop)
        self.handshakes = HandshakeQueue(loop: loop)
        self.limiter = ConnectionLimiter(
            limits: .init(
                total: configuration.limits.maxConnections,
                perAddress: configuration.limits.maxConnectionsPerAddress,
                halfOpen: configuration.limits.maxHalfOpen
            )
        )
        let limits = configuration.limits
        self.commandDesk = CommandDesk(
            limits: .init(messagesPerDevice: limits.maxQueuedMessages, bytes: limits.maxQueuedTotal / 2)
        )
        self.broker = LocalBroker(limits: .init(limits))
        let rate = limits.failureRate
        self.failures = FailureBudget { now in
            TokenBucket(rate: Double(rate.count) / rate.interval.seconds, burst: rate.count, now: now)
        }
        self.passwords = PasswordChecker(loop: loop)
        self.commits = CommitQueue(store: store, loop: loop, wallClock: self.wallClock)
        self.systemTopics = SystemTopics(interval: limits.systemInterval)
        self.clockWatch = ClockWatch(now: .now(), wallMilliseconds: self.wallClock.milliseconds)
        self.broker.journal = self.commits
    }

    /// Takes the uplinks and attached brokers, and begins to hear of commits.
    func start(uplinks: [UplinkAtWork], attached: [AttachedBroker]) {
        self.uplinks = uplinks
        self.attached = attached
        for case .gateway(let link) in uplinks { for lane in link.lanes { self.own(lane, .gateway(link)) } }
        self.commits.committed = { [unowned self] record in
            let (link, lane) = self.lane(record.uplink)
            guard let link else { return }
            link.settled(bytes: record.countedBytes, in: lane)
            if !link.hasCommitted { self.fed.append(link) }
            link.committed(record, in: lane)
        }
        self.startHousekeeping()
        self.startSystemTopics()
        self.startStateTopics()
        self.startClock()
        self.commits.wasSent = { [unowned self] in
            self.broker.session(numbered: $0.session)?.wasSent(order: $0.order) ?? false
        }
        self.commits.undo = { [unowned self] in self.undo($0) }
        self.commits.commandSession = { [unowned self] in self.commandSessionRecord(of: $0) }
        self.oscore.refused = { [unowned self] in self.noteRefusedOSCORE($0, $1, from: $2) }
        self.oscore.changed = { [unowned self] in self.commits.noteOSCORE(isUrgent: $0) }
        self.commits.oscoreChanges = { [unowned self] in self.oscore.takeChanges() }
        self.commits.oscoreSettled = { [unowned self] in self.oscore.settled($0, isWritten: $1) }
        self.commits.retained = { [unowned self] in self.retainedChange(of: TopicName(unchecked: $0)) }
        self.broker.guardian.mayReceive = { [unowned self] in self.mayReceive($0, $1) }
        self.commits.finished = { [unowned self] result, batch in
            for link in self.fed { link.pumpCommitted() }
            self.fed.removeAll(keepingCapacity: self.fed.count <= 64)
            self.batchFinished(result, batch)
        }
    }

    /// Makes what stands behind a listener of CoAP.
    func makeSite(for listener: ListenerConfiguration) -> CoAPSite {
        let site = CoAPSite(core: self, listener: listener)
        self.sites.append(site)
        return site
    }

    /// Begins to observe what gateway.conf says.
    func observeNodes() {
        guard !self.configuration.observed.isEmpty else { return }
        let observer = NodeObserver(core: self)
        self.observer = observer
        observer.start()
    }

    // MARK: Clients

    func add(_ client: Client) {
        self.clients[ObjectIdentifier(client)] = client
    }

    func remove(_ client: Client) {
        guard self.clients.removeValue(forKey: ObjectIdentifier(client)) != nil else { return }
        self.uncount(client)
    }

    /// The client's connection is over, or about to be taken over: its device may have another. Does nothing the second time.
    func uncount(_ client: Client) {
        guard client.isCounted, case .device(let id) = client.identity else { return }
        client.isCounted = false
        let left = self.connectionsOf[id, default: 1] - 1
        self.connectionsOf[id] = left > 0 ? left : nil
        self.presenceChanged(of: id)
    }

    /// The device may have come, or gone.
    func presenceChanged(of id: DeviceID) {
        if self.connectionsOf[id] != nil || self.observersOf[id] != nil {
            if self.present.insert(id).inserted { self.setPresent(id, true) }
        } else if self.present.remove(id) != nil {
            self.setPresent(id, false)
        }
    }

    /// Counts a connection of a proven device.
    ///
    /// - Returns: False if it has as many as it may have.
    func countConnection(of identity: Client.Identity) -> Bool {
        guard case .device(let id) = identity else { return true }
        guard self.connectionsOf[id, default: 0] < self.configuration.limits.maxConnectionsPerDevice else {
            return false
        }
        self.connectionsOf[id, default: 0] += 1
        self.presenceChanged(of: id)
        return true
    }

    /// Connections that are open.
    var clientCount: Int { self.clients.count }

    /// Closes every connection that one of these devices is behind.
    ///
    /// - Parameter endsSessions: Whether what waits for them is given up, and not only the connections.
    func closeClients(of devices: Set<DeviceID>, reason: String, endsSessions: Bool) {
        guard !devices.isEmpty else { return }
        for client in self.clients.values where client.isOf(devices) {
            client.close(.notAuthorized, reason: reason)
        }
        if endsSessions {
            let owners = Set(devices.map { SessionOwner.device($0.text) })
            for session in self.broker.sessions(ownedBy: owners) { self.broker.remove(session) }
        }
        self.publishLapsedWills()
    }

    /// Ends all connections, for the shutdown.
    func closeAllClients() {
        for client in self.clients.values { client.close(.serverShuttingDown, reason: "the gateway is shutting down") }
    }

    // MARK: Life

    /// Another process changed devices; these are all there are now.
    func devicesChanged(_ devices: Result<[Device], StoreError>) {
        switch devices {
        case .success(let devices):
            self.keys.reload()
            self.withSpools(for: devices) { $0.replaceDevices(devices) }
        case .failure(let error):
            self.logger.error("can't see whether devices changed", metadata: ["error": "\(error)"])
        }
    }

    /// Begins the slow duties. Session IDs that are over their lifetime are refused at once whatever this does, so seconds
    /// will do for publishing their successors.
    func startHousekeeping() {
        self.housekeeping = self.loop.assumeIsolated().scheduleTask(in: .seconds(5)) {
            self.housekeep()
            self.startHousekeeping()
        }
    }

    private func housekeep() {
        self.refusals.tick(now: .now())
        self.warnings.tick(now: .now())
        self.recentChanges.forget(now: .now())
        self.expireSessionIDs(now: .now())
        self.pumpCommands()
        for topic in self.broker.retained.expire(now: .now()) { self.commits.append(.clear(topic: topic.buffer)) }
        self.lookAtClock()
        for link in self.links { link.lookAtHealth(now: .now()) }
        self.publishUplinks(withFigures: false)
        let now = self.wallClock.milliseconds
        let sinceJump = self.clockWatch.sinceJump(now: .now(), wallMilliseconds: now)
        let free = self.store.freeDiskBytes()
        for link in self.links {
            link.expire(nowMilliseconds: now, sinceJump: sinceJump)
            link.diskHas(free: free)
        }
        for case .devices(let devices) in self.uplinks { devices.housekeep() }
    }

    /// Ends in the order in which nothing acknowledged is lost and nothing safe goes unacknowledged: no more is read, what
    /// was read is stored and acknowledged, connections are closed, uplinks get until the deadline for what is in flight.
    func drain(until deadline: NIODeadline) -> EventLoopFuture<Void> {
        self.isDraining = true
        self.housekeeping?.cancel()
        self.sessionTimer?.task.cancel()
        self.systemTimer?.cancel()
        self.keepTimeFloor()
        self.stopStateTopics()
        for broker in self.attached { broker.drain() }
        self.observer?.leave()
        self.writeDownUnwritten()
        let done = self.loop.makePromise(of: Void.self)
        self.wait(until: deadline, for: { $0.commits.isSafe }) { core in
            core.closeAllClients()  // Their wills may be stored yet.
            core.wait(until: deadline, for: { $0.commits.isSafe && $0.areLinksDrained }) { core in
                for case .devices(let devices) in core.uplinks { devices.stop() }
                for link in core.links { link.stop() }
                for broker in core.attached { broker.stop() }
                core.observer?.stop()
                core.commits.append(core.oscore.writeDown())
                // Deletions of what the brokers acknowledged last: without them they would be sent twice.
                core.wait(until: .now() + .seconds(1), for: { $0.commits.isIdle }) { core in
                    core.passwords.stop().cascade(to: done)
                }
            }
        }
        return done.futureResult
    }

    private var areLinksDrained: Bool {
        self.links.allSatisfy { !$0.isConnected || $0.isDrained } && self.attached.allSatisfy(\.isDrained)
    }

    private func wait(
        until deadline: NIODeadline,
        for condition: @escaping (GatewayCore) -> Bool,
        then next: @escaping (GatewayCore) -> Void
    ) {
        self.commits.flush()
        guard !condition(self), NIODeadline.now() < deadline else { return next(self) }
        self.loop.assumeIsolated().scheduleTask(in: .milliseconds(10)) {
            self.wait(until: deadline, for: condition, then: next)
        }
    }

    // MARK: The disk

    /// Whether so much waits for the disk that publishers have to wait.
    var isCongested: Bool {
        let isCongested = self.isDraining || self.commits.isCongested
        if isCongested { self.wasCongested = true }
        return isCongested
    }

    private func batchFinished(_ result: Result<CommittedBatch, StoreError>, _ attempted: StoreBatch) {
        for drop in attempted.drops {
            let (link, lane) = self.lane(drop.uplink)
            link?.dropFinished(lane)
        }
        switch result {
        case .success(let batch):
            self.dropped(batch.dropped, by: attempted.drops)
            if batch.deadDropped > 0 {
                self.counters.deadDropped += batch.deadDropped
                let messages = batch.deadDropped
                self.warnings.note(.deadDropped, "", messages: messages, details: ["messages": "\(messages)"])
            }
            for totals in batch.totals { self.lane(totals.uplink).lane.totals = totals }
        case .failure(let error):
            for record in attempted.inserts {
                let (link, lane) = self.lane(record.uplink)
                link?.settled(bytes: record.countedBytes, in: lane)
            }
            if !attempted.resent.isEmpty { self.scheduleResend() }
            self.counters.failedCommits += 1
            let now = NIODeadline.now()
            if now >= self.lastStoreProblem + .seconds(10) {
                self.lastStoreProblem = now
                self.logger.error(
                    "could not store messages: none of them is acknowledged",
                    metadata: ["error": "\(error)"]
                )
            }
        }
        if self.wasCongested, !self.commits.isCongested {
            self.wasCongested = false
            for client in self.clients.values { client.connection?.resumeReading() }
            for broker in self.attached { broker.readOn() }
            for link in self.links { link.readOn() }
        }
    }

    private func dropped(_ dropped: [DroppedRecords], by drops: [StoreBatch.Drop]) {
        self.warn(of: dropped)
        for drop in drops {
            let gone = dropped.filter { $0.uplink == drop.uplink }
            guard let last = gone.map(\.lastSequence).max() else { continue }
            let (link, lane) = self.lane(drop.uplink)
            link?.dropped(drop.extent, through: last, messages: gone.reduce(0) { $0 + $1.messages }, in: lane)
        }
    }

    /// Says once for each uplink how much it lost.
    private func warn(of dropped: [DroppedRecords]) {
        guard !dropped.isEmpty else { return }
        let byUplink = Dictionary(grouping: dropped) { self.lanes[$0.uplink]?.owner.name ?? "" }
        for (name, records) in byUplink {
            let messages = records.reduce(0) { $0 + $1.messages }
            self.counters.droppedBySpool += messages
            self.warnings.note(
                .spoolDropped,
                name,
                messages: messages,
                details: ["devices": "\(Set(records.map(\.device)).count)", "messages": "\(messages)"]
            )
        }
    }

    /// - Returns: The link is nil if it is a device's lane that holds nothing, and nothing of it is on the way.
    private func lane(_ storeID: Int64) -> (link: UplinkLink?, lane: UplinkLane) {
        guard let found = self.lanes[storeID] else {
            preconditionFailure("the store speaks of spool \(storeID), which no link has")
        }
        switch found.owner {
        case .gateway(let link): return (link, found.lane)
        case .device(let devices, let device): return (devices.link(of: device), found.lane)
        }
    }

    /// The lane of this number and its link, which a device may get for it; nil: no uplink has it.
    func wakened(_ storeID: Int64) -> (link: UplinkLink, lane: UplinkLane)? {
        guard let found = self.lanes[storeID] else { return nil }
        switch found.owner {
        case .gateway(let link): return (link, found.lane)
        case .device(let devices, let device): return devices.link(for: device).map { ($0, found.lane) }
        }
    }

    /// Makes a lane known, before anything of it can be committed.
    func own(_ lane: UplinkLane, _ owner: OwnedLane.Owner) {
        self.lanes[lane.storeID] = OwnedLane(lane: lane, owner: owner)
    }

    /// What the gateway took charge of in memory alone, for uplinks with `acknowledge = "end-to-end"`, goes to the disk.
    func writeDownUnwritten() {
        for link in self.links { link.writeDownAll() }
    }
}

extension Duration {
    /// Seconds as a number.
    var seconds: Double {
        let (seconds, attoseconds) = self.components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
