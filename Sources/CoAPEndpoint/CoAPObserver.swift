internal import CoAPCodec
internal import HeapModule
package import NIOCore

/// The gateway's side of resources that nodes host: registers with them, and gives their representations to the owner (RFC
/// 7252 as a client, RFC 7641 §3, RFC 7959 §2.4).
///
/// Pure: datagrams come in, ``CoAPObserverAction`` go out in order, time comes in as `now`, which never runs backwards.
/// Owned by one event loop. ``nextDeadline`` says when ``tick(now:into:)`` must be called at the latest.
///
/// Whatever comes counts only if both the address and a random token of 8 bytes fit. A confirmable notification is
/// acknowledged when the owner says so; one whose further blocks have to be fetched is acknowledged at once, since small
/// nodes do one thing after the other.
package final class CoAPObserver {
    /// As given.
    package let configuration: CoAPObserverConfiguration
    package internal(set) var counters = CoAPObserverCounters()

    var generator: Jitter
    var targets: [CoAPTargetID: ObservedTarget] = [:]
    var nodes: [CoAPPeer: ObservedNode] = [:]
    private var timers: Heap<Timer> = []
    private var lastID: UInt64 = 0
    /// ``stop(now:into:)`` was called.
    private var isStopping = false

    private struct Timer: Comparable {
        let due: NIODeadline
        let target: CoAPTargetID

        static func < (left: Timer, right: Timer) -> Bool { left.due < right.due }
        static func == (left: Timer, right: Timer) -> Bool { left.due == right.due }
    }

    /// - Parameters:
    ///   - seed: Of jitter, tokens and Message IDs; a test's, for in service nobody may know it.
    package init(_ configuration: CoAPObserverConfiguration = CoAPObserverConfiguration(), seed: UInt64? = nil) {
        precondition(configuration.nStart >= 1, "NSTART below 1")
        self.configuration = configuration
        self.generator = Jitter(seed: seed)
    }

    /// For a target or a response: never used twice.
    func nextID() -> UInt64 {
        self.lastID += 1
        return self.lastID
    }

    // MARK: Targets

    /// Resources that are observed, those that are about to be left included.
    package var targetCount: Int { self.targets.count }
    /// Nodes that host them.
    package var nodeCount: Int { self.nodes.count }
    /// Timers that are set, those included that others have taken the place of. Bounded.
    package var timerCount: Int { self.timers.count }

    /// Observes one more resource, from now on.
    ///
    /// - Returns: `nil` if there are as many as there may be, or after ``stop(now:into:)``.
    package func observe(
        _ resource: CoAPResource,
        of peer: CoAPPeer,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) -> CoAPTargetID? {
        guard self.targets.count < self.configuration.maxTargets, !self.isStopping else { return nil }
        let target = ObservedTarget(self.nextID(), resource, node: self.node(peer))
        self.targets[target.id] = target
        target.node.targets.append(target)
        self.register(target, now: now, into: &actions)
        return target.id
    }

    /// The node has another address: everything begins anew there. The old one is told nothing, it may be anybody's now.
    package func move(
        _ id: CoAPTargetID,
        to peer: CoAPPeer,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        guard let target = self.targets[id], !target.isLeaving, target.node.peer != peer else { return }
        self.drop(target, now: now, into: &actions)
        self.detach(target)
        target.node = self.node(peer)
        target.node.targets.append(target)
        target.token = nil
        target.newest = nil
        target.failures = 0
        self.register(target, now: now, into: &actions)
    }

    /// The nodes may know this side under another address: registers everywhere anew, now.
    package func registerAll(now: NIODeadline, into actions: inout [CoAPObserverAction]) {
        for (_, target) in self.targets.sorted(by: { $0.key < $1.key }) where !target.isLeaving {
            self.drop(target, now: now, into: &actions)
            self.register(target, now: now, into: &actions)
        }
    }

    /// Observes a resource no longer. The node is told if it may have an observer (RFC 7641 §3.6); nothing more of the
    /// target reaches the owner.
    package func leave(_ id: CoAPTargetID, now: NIODeadline, into actions: inout [CoAPObserverAction]) {
        guard let target = self.targets[id], !target.isLeaving else { return }
        target.isLeaving = true
        self.drop(target, now: now, into: &actions)
        target.wake = nil
        guard let token = target.token else { return self.remove(target) }
        self.submit(.deregistration, of: target, token: token, now: now, into: &actions)
    }

    /// Leaves all. ``CoAPObserverAction/stopped`` comes when that is done; who can't wait so long need not.
    package func stop(now: NIODeadline, into actions: inout [CoAPObserverAction]) {
        guard !self.isStopping else { return }
        self.isStopping = true
        for id in self.targets.keys.sorted() { self.leave(id, now: now, into: &actions) }
        self.noteStopped(into: &actions)
    }

    func noteStopped(into actions: inout [CoAPObserverAction]) {
        if self.isStopping, self.targets.isEmpty { actions.append(.stopped) }
    }

    /// Takes a target out of all tables. It has no request.
    func remove(_ target: ObservedTarget) {
        self.targets[target.id] = nil
        self.detach(target)
    }

    private func detach(_ target: ObservedTarget) {
        let node = target.node
        node.targets.removeAll { $0 === target }
        if node.targets.isEmpty { self.nodes[node.peer] = nil }
    }

    private func node(_ peer: CoAPPeer) -> ObservedNode {
        if let node = self.nodes[peer] { return node }
        let node = ObservedNode(peer, messageID: .random(in: .min ... .max, using: &self.generator))
        self.nodes[peer] = node
        return node
    }

    // MARK: Time

    /// Until when ``tick(now:into:)`` must be called at the latest; `nil` when there is nothing to wait for.
    package var nextDeadline: NIODeadline? { self.timers.min?.due }

    /// Sets the target's timer, unless there is one that goes off before: that one looks again.
    func arm(_ target: ObservedTarget) {
        guard let due = target.deadline, target.armed.map({ due < $0 }) ?? true else { return }
        target.armed = due
        if self.timers.count > 4 * self.targets.count + 64 {
            // Many that others have taken the place of: keeps them from piling up.
            self.timers = Heap(
                self.targets.values.compactMap { target in target.armed.map { Timer(due: $0, target: target.id) } }
            )
            return
        }
        self.timers.insert(Timer(due: due, target: target.id))
    }

    /// Time has passed.
    package func tick(now: NIODeadline, into actions: inout [CoAPObserverAction]) {
        while let timer = self.timers.min, timer.due <= now {
            self.timers.removeMin()
            // Those of targets that are gone, or have an earlier one, find nothing.
            guard let target = self.targets[timer.target], target.armed == timer.due else { continue }
            target.armed = nil
            if let deadline = target.deadline, deadline <= now { self.due(target, now: now, into: &actions) }
            if self.targets[timer.target] != nil { self.arm(target) }
        }
    }
}
