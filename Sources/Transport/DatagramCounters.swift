/// Datagrams of a UDP socket, counted from its beginning.
package struct DatagramCounters: Equatable, Sendable {
    package internal(set) var received: UInt64 = 0
    package internal(set) var receivedBytes: UInt64 = 0
    package internal(set) var sent: UInt64 = 0
    package internal(set) var sentBytes: UInt64 = 0
    /// Longer than any that is taken: dropped.
    package internal(set) var oversized: UInt64 = 0
    /// Sent to a group or to all where that is not wanted: dropped.
    package internal(set) var unwantedMulticasts: UInt64 = 0
    /// Not sent, because the socket took no more or refused them.
    package internal(set) var unsent: UInt64 = 0
}
