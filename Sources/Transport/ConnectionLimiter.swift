package import NIOCore

/// Counts connections, all together and by address, and refuses what goes over the limits or comes too fast. Bound to one
/// event loop.
package final class ConnectionLimiter {
    package struct Limits: Sendable, Equatable {
        package var total: Int
        /// From one address, or from one /64 of IPv6; see ``PeerAddress/network``.
        package var perAddress: Int
        /// New connections from one address in a second, when its burst is used up.
        package var ratePerSecond: Int
        /// New connections that one address may make at once.
        package var burst: Int

        /// - Parameter burst: If nil, 2,000, or twice `perAddress` if that is more: after a power cut all nodes behind one
        ///   address come at once, and some of them try twice.
        package init(
            total: Int = 10_000,
            perAddress: Int = 1_000,
            ratePerSecond: Int = 1_000,
            burst: Int? = nil
        ) {
            self.total = total
            self.perAddress = perAddress
            self.ratePerSecond = ratePerSecond
            self.burst = burst ?? max(2_000, perAddress * 2)
        }
    }

    /// Addresses whose rate is watched; the table is swept of those that have all their burst when it is reached.
    static let maxWatched = 4_096

    private let limits: Limits
    private let interval: TimeAmount
    private var byAddress: [String: Int] = [:]
    /// When the address would have its whole burst again (the generic cell rate algorithm).
    private var fullAt: [String: NIODeadline] = [:]
    package private(set) var count = 0
    /// Connections refused since the start.
    package private(set) var refused = 0

    package init(limits: Limits) {
        self.limits = limits
        self.interval = .nanoseconds(1_000_000_000 / Int64(max(limits.ratePerSecond, 1)))
    }

    /// Addresses whose rate is watched now.
    var watched: Int { self.fullAt.count }

    /// Takes a place; the caller gives it back with ``release(_:)``. False when there is none.
    package func acquire(_ address: PeerAddress, now: NIODeadline = .now()) -> Bool {
        let network = address.network
        let fromHere = self.byAddress[network, default: 0]
        guard self.takeTurn(network, now: now), self.count < self.limits.total, fromHere < self.limits.perAddress else {
            self.refused += 1
            return false
        }
        self.count += 1
        self.byAddress[network] = fromHere + 1
        return true
    }

    package func release(_ address: PeerAddress) {
        self.count -= 1
        let network = address.network
        guard let fromHere = self.byAddress[network] else { return }
        self.byAddress[network] = fromHere > 1 ? fromHere - 1 : nil
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
