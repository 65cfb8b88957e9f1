/// What a ``CoAPServer`` has seen and done, for status and metrics. Counted from its beginning.
package struct CoAPCounters: Equatable, Sendable {
    /// Requests handed to the owner.
    package internal(set) var requests: UInt64 = 0
    /// Datagrams that were no message.
    package internal(set) var malformed: UInt64 = 0
    /// Messages that can't be used here: responses to nothing, multicasts that must be NON.
    package internal(set) var misplaced: UInt64 = 0
    /// Requests that came again.
    package internal(set) var duplicates: UInt64 = 0
    /// Remembered requests that were forgotten before their time, for want of room.
    package internal(set) var forgottenEarly: UInt64 = 0
    /// Requests turned away because too many were open.
    package internal(set) var overloaded: UInt64 = 0
    /// Peers of which nothing could be remembered: their requests were dropped.
    package internal(set) var peersTurnedAway: UInt64 = 0
    /// Confirmable messages that were sent again.
    package internal(set) var retransmissions: UInt64 = 0
    /// Confirmable messages that nobody acknowledged.
    package internal(set) var unacknowledged: UInt64 = 0
    /// Bodies that were given up: too large, incomplete, too slow, or too many.
    package internal(set) var bodiesGivenUp: UInt64 = 0
    /// Observations that were not taken, for want of room.
    package internal(set) var observationsTurnedAway: UInt64 = 0
    /// Notifications that a newer one took the place of.
    package internal(set) var notificationsSuperseded: UInt64 = 0
    /// Responses made smaller, or replaced by a challenge, because the address is not proven.
    package internal(set) var amplificationsHeldBack: UInt64 = 0
}
