package import NIOCore

/// Counts connections, all together and by address, and refuses what goes over the limits or comes too fast. Bound to one
/// event loop.
///
/// A connection is half-open until its CONNECT is accepted. Over a limit, one that has had ``patience`` and sent no CONNECT
/// makes room for the new one: who connects and says nothing, by the thousand, keeps nobody out for longer. One that lingers, as
/// its client has yet to hear that it is over, makes room at once.
package final class ConnectionLimiter {
    package struct Limits: Sendable, Equatable {
        package var total: Int
        /// From one address, or from one /64 of IPv6; see ``PeerAddress/network``.
        package var perAddress: Int
        /// Connections whose CONNECT was not accepted yet; those of one address at most half of them.
        package var halfOpen: Int
        /// New connections from one address in a second, when its burst is used up.
        package var ratePerSecond: Int
        /// New connections that one address may make at once.
        package var burst: Int

        /// - Parameter burst: If nil, 2,000, or twice `perAddress` if that is more: after a power cut all nodes behind one
        ///   address come at once, and some of them try twice.
        package init(
            total: Int = 10_000,
            perAddress: Int = 1_000,
            halfOpen: Int = 2_000,
            ratePerSecond: Int = 1_000,
            burst: Int? = nil
        ) {
            self.total = total
            self.perAddress = perAddress
            self.halfOpen = halfOpen
            self.ratePerSecond = ratePerSecond
            self.burst = burst ?? max(2_000, perAddress * 2)
        }
    }

    /// Connections turned away since the start, by the limit that they met.
    package struct Refusals: Sendable, Equatable {
        /// All places were taken.
        package var total = 0
        /// All places of the address were taken.
        package var perAddress = 0
        /// The address came too fast.
        package var rate = 0
        /// Too many had not sent CONNECT yet.
        package var halfOpen = 0
        /// Half-open connections that were closed to make room. They had been taken in, and are in none of the others.
        package var displaced = 0
    }

    private enum Limit {
        case total
        case perAddress
        case halfOpen
    }

    /// Who may have one of the places of an address.
    private struct Network {
        var count = 0
        var halfOpen = ConnectionQueue(of: .halfOpen)
        var lingering = ConnectionQueue(of: .lingering)
    }

    /// Addresses whose rate is watched; the table is swept of those that have all their burst when it is reached.
    static let maxWatched = 4_096

    /// How long a half-open connection is safe from being displaced: enough for TLS and CONNECT when a thousand come at once.
    static let patience: TimeAmount = .seconds(1)

    private let limits: Limits
    private let interval: TimeAmount
    private var byAddress: [String: Network] = [:]
    private var halfOpen = ConnectionQueue(of: .halfOpen)
    private var lingering = ConnectionQueue(of: .lingering)
    /// When the address would have its whole burst again (the generic cell rate algorithm).
    private var fullAt: [String: NIODeadline] = [:]
    package private(set) var count = 0
    package private(set) var refusals = Refusals()

    package init(limits: Limits) {
        self.limits = limits
        self.interval = .nanoseconds(1_000_000_000 / Int64(max(limits.ratePerSecond, 1)))
    }

    /// Connections whose CONNECT was not accepted yet.
    package var halfOpenCount: Int { self.halfOpen.count }

    /// Connections refused since the start.
    package var refused: Int {
        let refusals = self.refusals
        return refusals.total + refusals.perAddress + refusals.rate + refusals.halfOpen
    }

    /// Addresses whose rate is watched now.
    var watched: Int { self.fullAt.count }

    /// Takes a place; the caller gives it back with ``release(_:)``. Nil when there is none.
    package func acquire(_ address: PeerAddress, now: NIODeadline = .now()) -> ConnectionPlace? {
        let network = address.network
        guard self.takeTurn(network, now: now) else {
            self.refusals.rate += 1
            return nil
        }
        // Each round but the last frees a place.
        while let (limit, isOfNetwork) = self.limitMet(by: network) {
            guard self.makeRoom(limit, ofNetwork: isOfNetwork ? network : nil, now: now) else { return nil }
        }
        let place = ConnectionPlace(network: network, since: now, limiter: self)
        self.count += 1
        self.halfOpen.append(place)
        self.byAddress[network, default: Network()].count += 1
        self.byAddress[network, default: Network()].halfOpen.append(place)
        return place
    }

    /// CONNECT was accepted: the connection is not half-open any more. Does nothing the second time.
    package func established(_ place: ConnectionPlace) {
        guard place.isHalfOpen else { return }
        self.move(place, to: .established)
        place.displace = nil
    }

    /// As ``established(_:)``, for a connection of an ``MQTTListener``.
    package func established(connection: MQTTConnection) {
        if let place = connection.place { self.established(place) }
    }

    /// The connection is over and waits for its client to hear of it: it keeps its place until another wants that.
    ///
    /// - Parameter cut: Ends the wait; the place is free already.
    func lingers(_ place: ConnectionPlace, cut: @escaping () -> Void) {
        guard place.phase == .halfOpen || place.phase == .established else { return }
        self.move(place, to: .lingering)
        place.displace = cut
        self.lingering.append(place)
        self.byAddress[place.network]?.lingering.append(place)
    }

    /// Gives a place back. Does nothing the second time.
    package func release(_ place: ConnectionPlace) {
        guard place.phase != .released else { return }
        self.move(place, to: .released)
        place.displace = nil
        self.count -= 1
        guard let fromHere = self.byAddress[place.network]?.count else { return }
        if fromHere > 1 {
            self.byAddress[place.network]?.count = fromHere - 1
        } else {
            self.byAddress[place.network] = nil
        }
    }

    // MARK: Inside

    private func move(_ place: ConnectionPlace, to phase: ConnectionPlace.Phase) {
        let before = place.phase
        place.phase = phase
        switch before {
        case .halfOpen:
            self.halfOpen.removed()
            self.byAddress[place.network]?.halfOpen.removed()
        case .lingering:
            self.lingering.removed()
            self.byAddress[place.network]?.lingering.removed()
        case .established, .released: break
        }
    }

    private func limitMet(by network: String) -> (limit: Limit, isOfNetwork: Bool)? {
        let fromHere = self.byAddress[network]
        if fromHere?.count ?? 0 >= self.limits.perAddress { return (.perAddress, true) }
        if fromHere?.halfOpen.count ?? 0 >= max(self.limits.halfOpen / 2, 1) { return (.halfOpen, true) }
        if self.count >= self.limits.total { return (.total, false) }
        if self.halfOpen.count >= self.limits.halfOpen { return (.halfOpen, false) }
        return nil
    }

    /// Displaces the oldest connection that lingers, or the oldest half-open one, of the address that is over its limit if one
    /// is; or counts a refusal, and returns false.
    private func makeRoom(_ limit: Limit, ofNetwork network: String?, now: NIODeadline) -> Bool {
        if limit != .halfOpen, let over = self.lingering(ofNetwork: network) {
            self.displace(over)
            return true
        }
        let oldest: ConnectionPlace?
        if let network {
            oldest = self.byAddress[network]?.halfOpen.first()
        } else {
            oldest = self.halfOpen.first()
        }
        guard let oldest, now - oldest.since >= Self.patience else {
            switch limit {
            case .total: self.refusals.total += 1
            case .perAddress: self.refusals.perAddress += 1
            case .halfOpen: self.refusals.halfOpen += 1
            }
            return false
        }
        self.refusals.displaced += 1
        self.displace(oldest)
        return true
    }

    private func lingering(ofNetwork network: String?) -> ConnectionPlace? {
        guard let network else { return self.lingering.first() }
        return self.byAddress[network]?.lingering.first()
    }

    private func displace(_ place: ConnectionPlace) {
        let displace = place.displace
        self.release(place)
        displace?()
    }

    private func takeTurn(_ network: String, now: NIODeadline) -> Bool {
        let fullAt = self.fullAt[network]
        if fullAt == nil, self.fullAt.count >= Self.maxWatched {
            self.fullAt = self.fullAt.filter { $0.value > now }
            if self.fullAt.count >= Self.maxWatched { self.fullAt.removeAll(keepingCapacity: true) }
        }
        let start = max(fullAt ?? now, now)
        guard start - now <= self.interval * (self.limits.burst - 1) else { return false }
        self.fullAt[network] = start + self.interval
        return true
    }
}
