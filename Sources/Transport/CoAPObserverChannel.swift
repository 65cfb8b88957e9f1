import CDatagrams
package import CoAPEndpoint
package import Logging
package import NIOCore
import NIOPosix

/// Resources of nodes, observed over one UDP socket: ``CoAPObserver`` with its datagrams, its time, and the names of the nodes.
///
/// Names are looked up off the loop, at the start and when a node does not answer. A socket that the system breaks, as when the
/// network is gone, is replaced. All methods belong to the loop. After ``close()`` everything is passed over.
package final class CoAPObserverChannel {
    /// A resource of a node that is known by name or address.
    package struct Target: Sendable {
        package var host: String
        package var port: Int
        package var resource: CoAPResource

        package init(host: String, port: Int, resource: CoAPResource) {
            self.host = host
            self.port = port
            self.resource = resource
        }
    }

    /// What is known of a target.
    private struct Place {
        let target: Target
        /// `nil`: its name was not found yet.
        var id: CoAPTargetID?
        var address: DatagramAddress?
        /// The text was no name.
        var isLiteral = false
        var isLookedUp = false
        /// Lookups that failed, in a row.
        var failures = 0
    }

    /// Datagrams that are read before others have their turn.
    private static let readsAtOnce: UInt = 32
    /// Bytes that the system may hold for the socket before it is read.
    private static let receiveQueueBytes = 256 << 10
    /// Names that are looked up at the same time: each holds a thread.
    private static let lookupsAtOnce = 2
    /// Wait after a lookup that failed. It doubles with each one more, up to the second.
    private static let minLookupBackoff = TimeAmount.seconds(5)
    private static let maxLookupBackoff = TimeAmount.minutes(5)
    private static let maxSocketBackoff = TimeAmount.minutes(1)

    private let observer: CoAPObserver
    let logger: Logger
    private let loop: any EventLoop
    /// Until the end.
    private var delegate: (any CoAPObserverChannelDelegate)?
    var context: ChannelHandlerContext?
    private var sender: DatagramSender?
    private var isLeaving = false
    private var hasBegun = false
    /// Sockets that could not be had or broke, since one was of use.
    private var socketFailures = 0
    private var places: [Place]
    private var indices: [CoAPTargetID: Int] = [:]
    private var lookups = CircularBuffer<(index: Int, hasFailed: Bool)>()
    private var lookupsUnderWay = 0
    private var actions: [CoAPObserverAction] = []
    private var isPerforming = false
    private var isTurnScheduled = false
    /// Of the burst that is being read; `nil`: none is.
    var burst: NIODeadline?
    private var timer: Scheduled<Void>?
    private var timerDue: NIODeadline?
    var lastError: String?
    var traffic = DatagramCounters()

    package init(
        _ targets: [Target],
        configuration: CoAPObserverConfiguration = CoAPObserverConfiguration(),
        logger: Logger,
        loop: any EventLoop,
        delegate: any CoAPObserverChannelDelegate
    ) {
        var configuration = configuration
        configuration.maxTargets = max(targets.count, 1)
        self.observer = CoAPObserver(configuration)
        self.places = targets.map { Place(target: $0) }
        self.logger = logger
        self.loop = loop
        self.delegate = delegate
    }

    /// Longest datagram that is taken.
    var maxReceiveBytes: Int { self.observer.configuration.maxMessageBytes }
    package var counters: CoAPObserverCounters { self.observer.counters }
    /// Datagrams of the present socket, and those that were lost before.
    package var datagrams: DatagramCounters {
        var counters = self.traffic
        counters.sent = self.sender?.sent ?? 0
        counters.sentBytes = self.sender?.sentBytes ?? 0
        counters.unsent += self.sender?.lost ?? 0
        return counters
    }

    // MARK: Life

    /// Binds a socket of the system's choice and begins; not before this returns.
    package func start() {
        let socket: (descriptor: Int32, isIPv6: Bool)
        do {
            socket = try Self.bound()
        } catch {
            return self.lostSocket("\(error)")
        }
        // Sends past the channel of swift-nio, which closes the socket at most errors of a single datagram.
        self.sender = DatagramSender(descriptor: socket.descriptor, isIPv6: socket.isIPv6)
        let own = NIOLoopBound(self, eventLoop: self.loop)
        DatagramBootstrap(group: self.loop)
            .channelOption(.maxMessagesPerRead, value: Self.readsAtOnce)
            // One byte more than is taken, so that what was cut is told from what was not.
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: self.maxReceiveBytes + 1))
            .channelInitializer { datagrams in
                datagrams.eventLoop.makeCompletedFuture {
                    try datagrams.pipeline.syncOperations.addHandler(own.value)
                }
            }
            .withBoundSocket(socket.descriptor)
            .whenFailure { own.value.lostSocket("\($0)") }
    }

    /// A socket of IPv6 that takes IPv4 as well; on a machine without IPv6, one of IPv4.
    private static func bound() throws -> (descriptor: Int32, isIPv6: Bool) {
        var status: Int32 = 0
        for host in ["::", "0.0.0.0"] {
            let address = try SocketAddress(ipAddress: host, port: 0)
            status = address.withSockAddr { datagrams_bind($0, $1, Int32(Self.receiveQueueBytes)) }
            if status >= 0 { return (status, address.protocol == .inet6) }
        }
        throw IOError(errnoCode: -status, reason: "bind")
    }

    /// A socket is there.
    func opened(_ context: ChannelHandlerContext) {
        guard self.delegate != nil else { return context.close(promise: nil) }
        self.context = context
        if self.hasBegun {
            // The nodes know another port.
            self.observer.registerAll(now: .now(), into: &self.actions)
        } else {
            self.hasBegun = true
            for index in self.places.indices { self.find(index) }
        }
        self.settle()
    }

    /// The socket has closed: the system does so when it can't send. Another one is tried until there is one.
    func lostSocket(_ reason: String) {
        self.context = nil
        self.sender = nil
        self.burst = nil
        guard self.delegate != nil else { return }
        if self.socketFailures == 0 {
            self.logger.warning(
                "the socket for resources of nodes broke: there will be another one",
                metadata: ["reason": "\(reason)"]
            )
        }
        let shift = Int64(min(self.socketFailures, 10))
        let wait = min(TimeAmount.seconds(1).nanoseconds << shift, Self.maxSocketBackoff.nanoseconds)
        self.socketFailures += 1
        self.loop.assumeIsolated().scheduleTask(in: .nanoseconds(wait)) { [weak self] in
            guard let self, self.delegate != nil else { return }
            self.start()
        }
    }

    /// Tells the nodes that nobody observes them any more, and takes no more representations; receipts may still be given
    /// back.
    package func leave() {
        guard self.isAlive, !self.isLeaving else { return }
        self.isLeaving = true
        self.lookups.removeAll()
        self.observer.stop(now: self.now, into: &self.actions)
        self.finishTurn()
    }

    /// Ends everything at once; nodes are told by ``leave()``, some time before.
    package func close() {
        // What was decided in this turn is sent yet.
        self.finishTurn()
        self.timer?.cancel()
        self.timer = nil
        self.delegate = nil
        self.sender = nil
        self.context?.close(promise: nil)
        self.context = nil
    }

    /// Not closed, though there may be no socket at present.
    private var isAlive: Bool { self.delegate != nil }
    private var now: NIODeadline { self.burst ?? .now() }

    // MARK: What the owner decides

    /// A representation is safe, or refused for good.
    package func acknowledge(_ receipt: CoAPReceipt) {
        guard self.isAlive else { return }
        self.observer.acknowledge(receipt, now: self.now, into: &self.actions)
        self.settle()
    }

    /// A representation can't be taken now: the node is to send it again.
    package func decline(_ receipt: CoAPReceipt) { self.observer.decline(receipt) }

    // MARK: Names

    private func find(_ index: Int) {
        let target = self.places[index].target
        if let address = NameLookup.literal(target.host, port: target.port) {
            self.places[index].isLiteral = true
            return self.observe(index, at: address)
        }
        self.lookUp(index, hasFailed: false)
    }

    /// - Parameter hasFailed: The present address does not answer: another one is wanted, if there is one.
    private func lookUp(_ index: Int, hasFailed: Bool) {
        guard !self.places[index].isLookedUp, !self.places[index].isLiteral, !self.isLeaving else { return }
        self.places[index].isLookedUp = true
        self.lookups.append((index, hasFailed))
        self.lookUpNext()
    }

    private func lookUpNext() {
        guard self.lookupsUnderWay < Self.lookupsAtOnce, let (index, hasFailed) = self.lookups.popFirst() else {
            return
        }
        self.lookupsUnderWay += 1
        let target = self.places[index].target
        let own = NIOLoopBound(self, eventLoop: self.loop)
        NameLookup.addresses(of: target.host, port: target.port, on: self.loop).whenComplete { result in
            own.value.lookedUp(index, result, hasFailed: hasFailed)
        }
    }

    private func lookedUp(_ index: Int, _ result: Result<[DatagramAddress], any Error>, hasFailed: Bool) {
        self.lookupsUnderWay -= 1
        self.places[index].isLookedUp = false
        self.lookUpNext()
        guard self.isAlive, !self.isLeaving else { return }
        switch result {
        case .success(let addresses):
            self.places[index].failures = 0
            self.choose(among: addresses, for: index, hasFailed: hasFailed)
        case .failure(let error):
            self.delegate?.failed(index, reason: "its name can't be resolved: \(error)", on: self)
            // One that was known once is tried there, and when that fails its name again.
            if self.places[index].id == nil { self.lookUpLater(index) }
        }
    }

    private func lookUpLater(_ index: Int) {
        let shift = Int64(min(self.places[index].failures, 16))
        let wait = min(Self.minLookupBackoff.nanoseconds << shift, Self.maxLookupBackoff.nanoseconds)
        self.places[index].failures += 1
        self.loop.assumeIsolated().scheduleTask(in: .nanoseconds(wait)) { [weak self] in
            guard let self, self.isAlive else { return }
            self.lookUp(index, hasFailed: false)
        }
    }

    private func choose(among addresses: [DatagramAddress], for index: Int, hasFailed: Bool) {
        guard let first = addresses.first else { return }
        guard let current = self.places[index].address, let place = addresses.firstIndex(of: current) else {
            return self.observe(index, at: first)
        }
        if hasFailed { self.observe(index, at: addresses[(place + 1) % addresses.count]) }
    }

    private func observe(_ index: Int, at address: DatagramAddress) {
        guard self.places[index].address != address else { return }
        self.places[index].address = address
        let peer = address.peer(listener: 0, local: 0)
        if let id = self.places[index].id {
            self.observer.move(id, to: peer, now: self.now, into: &self.actions)
        } else {
            let resource = self.places[index].target.resource
            guard let id = self.observer.observe(resource, of: peer, now: self.now, into: &self.actions) else { return }
            self.places[index].id = id
            self.indices[id] = index
        }
        self.settle()
    }

    // MARK: Carrying out

    /// A datagram came.
    func receive(_ datagram: ByteBuffer, from address: DatagramAddress, now: NIODeadline) {
        self.socketFailures = 0
        self.observer.receive(datagram, from: address.peer(listener: 0, local: 0), now: now, into: &self.actions)
        self.perform()
    }

    /// What the owner's decision brought is carried out with that of others at the end of the turn, unless a turn is on
    /// already.
    private func settle() {
        guard !self.isPerforming, self.burst == nil, !self.isTurnScheduled else { return }
        self.isTurnScheduled = true
        self.loop.assumeIsolated().execute {
            self.isTurnScheduled = false
            self.perform()
            self.endTurn()
        }
    }

    /// Carries out at once what else would be at the end of the turn.
    private func finishTurn() {
        guard !self.isPerforming, self.burst == nil else { return }
        self.perform()
        self.endTurn()
    }

    /// Everything that was asked for leaves, and the clock is set.
    func endTurn() {
        // What the socket does not take is lost, and sent again by the machine.
        if let error = self.sender?.flush() {
            self.logger.debug("an error of a UDP socket", metadata: ["error": "\(error)"])
        }
        self.setTimer()
    }

    private func perform() {
        guard !self.isPerforming else { return }
        self.isPerforming = true
        while !self.actions.isEmpty {
            var batch: [CoAPObserverAction] = []
            swap(&batch, &self.actions)
            for action in batch { self.perform(action) }
        }
        self.isPerforming = false
    }

    private func perform(_ action: CoAPObserverAction) {
        switch action {
        case .send(let datagram, let peer):
            if let sender = self.sender {
                sender.add(datagram, to: DatagramAddress(peer), from: nil)
            } else {
                self.traffic.unsent += 1
            }
        case .representation(let representation):
            guard let index = self.indices[representation.target], !self.isLeaving else { return }
            self.delegate?.received(representation, of: index, on: self)
        case .established(let id, let isObserved):
            guard let index = self.indices[id], let address = self.places[index].address else { return }
            self.delegate?.established(index, isObserved: isObserved, at: PeerAddress(address), on: self)
        case .failed(let id, let failure):
            guard let index = self.indices[id] else { return }
            self.delegate?.failed(index, reason: failure.description, on: self)
            // A node that has another address now may have left its old one to somebody else.
            if failure == .noAnswer || failure == .reset { self.lookUp(index, hasFailed: failure == .noAnswer) }
        case .stopped: break
        }
    }

    // MARK: Time

    /// Timers are no closer than this.
    private static let tick: TimeAmount = .milliseconds(1)

    /// One task at most, which is only set anew when the deadline has come nearer: one that fires early does no harm.
    private func setTimer() {
        guard let deadline = self.observer.nextDeadline, self.context != nil else { return }
        if let due = self.timerDue, due <= deadline { return }
        self.timer?.cancel()
        let due = max(deadline, self.now + Self.tick)
        self.timerDue = due
        self.timer = self.loop.assumeIsolated().scheduleTask(deadline: due) {
            self.timer = nil
            self.timerDue = nil
            guard self.context != nil else { return }
            self.observer.tick(now: .now(), into: &self.actions)
            self.perform()
            self.endTurn()
        }
    }
}
