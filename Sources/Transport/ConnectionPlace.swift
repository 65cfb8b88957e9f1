internal import NIOCore

/// One connection's place among those that a ``ConnectionLimiter`` counts.
package final class ConnectionPlace {
    enum Phase {
        /// CONNECT was not accepted yet.
        case halfOpen
        case established
        /// The connection is over, and its socket waits for the peer to hear of it.
        case lingering
        case released
    }

    /// See ``PeerAddress/network``.
    let network: String
    /// When it was taken.
    let since: NIODeadline
    private weak var limiter: ConnectionLimiter?
    /// Closes the connection when others wait for its place; that is free already. Nil while it is established.
    var displace: (() -> Void)?
    var phase = Phase.halfOpen
    /// Its CONNECT came and is being decided about, which may take longer than others have to wait: it is still counted as
    /// half-open, and not displaced.
    var isDeciding = false

    init(network: String, since: NIODeadline, limiter: ConnectionLimiter) {
        self.network = network
        self.since = since
        self.limiter = limiter
    }

    /// CONNECT was not accepted yet.
    package var isHalfOpen: Bool { self.phase == .halfOpen }

    /// See ``ConnectionLimiter/lingers(_:cut:)``.
    func linger(cut: @escaping () -> Void) {
        self.limiter?.lingers(self, cut: cut)
    }
}

/// Connections in one phase, half-open or lingering, oldest first.
///
/// One that has left the phase stays in the queue as a mark until the queue is swept; that is done so seldom that it costs
/// each connection a constant share.
struct ConnectionQueue {
    private let phase: ConnectionPlace.Phase
    private var places: [ConnectionPlace] = []
    /// Those before it are marks, or may not be displaced.
    private var start = 0
    /// Those in the phase.
    private(set) var count = 0

    init(of phase: ConnectionPlace.Phase) {
        self.phase = phase
    }

    mutating func append(_ place: ConnectionPlace) {
        self.places.append(place)
        self.count += 1
    }

    /// One in the queue has left the phase; call it after the change.
    mutating func removed() {
        self.count -= 1
        if self.count == 0 {
            self = Self(of: self.phase)
        } else if self.places.count > 2 * self.count + 32 {
            self.places.removeAll { $0.phase != self.phase }
            self.start = 0
        }
    }

    /// The oldest that is in the phase and may be displaced.
    mutating func first() -> ConnectionPlace? {
        while self.start < self.places.count {
            let place = self.places[self.start]
            if place.phase == self.phase, self.phase != .halfOpen || !place.isDeciding { return place }
            self.start += 1
        }
        return nil
    }
}
