internal import NIOCore

/// One connection's place among those that a ``ConnectionLimiter`` counts.
package final class ConnectionPlace {
    /// See ``PeerAddress/network``.
    let network: String
    /// When it was taken.
    let since: NIODeadline
    /// Closes the connection when it is half-open and others wait; its place is free already.
    var displace: (() -> Void)?
    /// CONNECT was not accepted yet.
    package internal(set) var isHalfOpen = true
    var isReleased = false

    init(network: String, since: NIODeadline) {
        self.network = network
        self.since = since
    }
}

/// Half-open connections, oldest first.
///
/// One that is not half-open any more stays in the queue as a mark until the queue is swept; that is done so seldom that it
/// costs each connection a constant share.
struct ConnectionQueue {
    private var places: [ConnectionPlace] = []
    /// Those before it are marks.
    private var start = 0
    /// Half-open ones.
    private(set) var count = 0

    mutating func append(_ place: ConnectionPlace) {
        self.places.append(place)
        self.count += 1
    }

    /// One in the queue has ceased to be half-open; call it after the change.
    mutating func removed() {
        self.count -= 1
        if self.count == 0 {
            self = Self()
        } else if self.places.count > 2 * self.count + 32 {
            self.places.removeAll { !$0.isHalfOpen }
            self.start = 0
        }
    }

    /// The oldest that is half-open.
    mutating func first() -> ConnectionPlace? {
        while self.start < self.places.count {
            if self.places[self.start].isHalfOpen { return self.places[self.start] }
            self.start += 1
        }
        return nil
    }
}
