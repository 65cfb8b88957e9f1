package import NIOCore

/// Counts connections, all together and by address, and refuses what goes over the limits. Bound to one event loop.
package final class ConnectionLimiter {
    package struct Limits: Sendable, Equatable {
        package var total: Int
        package var perAddress: Int

        package init(total: Int = 10_000, perAddress: Int = 1_000) {
            self.total = total
            self.perAddress = perAddress
        }
    }

    private let limits: Limits
    private var byAddress: [PeerAddress: Int] = [:]
    package private(set) var count = 0
    /// Connections refused since the start.
    package private(set) var refused = 0

    package init(limits: Limits) {
        self.limits = limits
    }

    /// Takes a place; the caller gives it back with ``release(_:)``. False when there is none.
    package func acquire(_ address: PeerAddress) -> Bool {
        let fromHere = self.byAddress[address, default: 0]
        guard self.count < self.limits.total, fromHere < self.limits.perAddress else {
            self.refused += 1
            return false
        }
        self.count += 1
        self.byAddress[address] = fromHere + 1
        return true
    }

    package func release(_ address: PeerAddress) {
        self.count -= 1
        guard let fromHere = self.byAddress[address] else { return }
        self.byAddress[address] = fromHere > 1 ? fromHere - 1 : nil
    }
}

/// The network address of a peer without its port: what limits by address count.
///
/// Never an identity: addresses are claimed, not proven.
package struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
    /// As text, in the form of `inet_ntop`; "unknown" for a socket that has none.
    package let text: String

    package init(_ address: SocketAddress?) {
        self.text = address?.ipAddress ?? "unknown"
    }

    package var description: String { self.text }
}
