/// Which messages of an uplink's spool go first when the link has room. The raw values are the words of gateway.conf.
package enum RoutePriority: String, Sendable, Hashable, CaseIterable {
    /// Before all others: alarms.
    case high
    case normal
    /// Only while nothing else waits.
    case low
}

/// What becomes of a message's RETAIN flag on its way across. The raw values are the words of gateway.conf.
package enum RetainRule: String, Sendable, Hashable, CaseIterable {
    /// As it came.
    case keep
    /// Never retained on the other side.
    case never
    /// Always retained on the other side.
    case always

    /// The flag on the other side of a message that has `retain` on this one.
    package func callAsFunction(_ retain: Bool) -> Bool {
        switch self {
        case .keep: retain
        case .never: false
        case .always: true
        }
    }
}

/// What waits for a node that is away, of the messages on one topic. The raw values are the words of gateway.conf.
package enum KeepRule: String, Sendable, Hashable, CaseIterable {
    /// All of them, in order.
    case all
    /// The newest one: each takes the place of the one before it.
    case last
}
