package import Devices

/// One of the queues of an uplink, in the order in which they are served.
package enum SpoolLane: UInt8, Sendable, CaseIterable {
    /// Before all others.
    case high = 0
    /// What says nothing else, and what releases before lanes stored.
    case normal = 1
    /// After all others.
    case low = 2
}

/// What is behind the number of a spool.
package struct StoredLane: Sendable, Equatable, Hashable {
    /// The uplink's name in the configuration.
    package var uplink: String
    /// Which of its queues.
    package var lane: SpoolLane
    /// Whose records it has, if each device has a connection of its own; nil: everybody's.
    package var device: DeviceID?

    /// All of it.
    package init(uplink: String, lane: SpoolLane = .normal, device: DeviceID? = nil) {
        self.uplink = uplink
        self.lane = lane
        self.device = device
    }
}

/// Where reading of a spool begins, and which way it goes.
package enum SpoolCursor: Sendable, Equatable {
    /// Behind this sequence, oldest first; 0: from the oldest.
    case after(Int64)
    /// Before this sequence, newest first; `Int64.max`: from the newest.
    case before(Int64)
}
