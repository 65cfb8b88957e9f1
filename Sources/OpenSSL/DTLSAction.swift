package import NIOCore

/// What the owner of a ``DTLSServer`` has to do, in order.
package enum DTLSAction: Sendable {
    /// One datagram.
    case send(ByteBuffer, to: DTLSAddress)
    /// A handshake is done. On a resumption nobody was asked for the key: the owner looks whether the identity may still
    /// come in, and closes the session if not.
    case established(session: UInt32, address: DTLSAddress, identity: [UInt8], isResumed: Bool)
    /// What a datagram held. Always after `established`, and never after `ended`.
    case received(session: UInt32, ByteBuffer)
    /// The session is gone. Told only of those that were established.
    case ended(session: UInt32, DTLSEnd)
    /// A handshake got as far as the keys and does not get to its end: for the operator, as nobody outside can tell why. Once for each, at once
    /// if the keys differ.
    case unfinished(address: DTLSAddress, identity: [UInt8], isIdentityKnown: Bool)
}

/// Why a session ended.
package enum DTLSEnd: Equatable, Sendable {
    /// The peer said so.
    case closed
    /// The peer has made a new session from the same port: it was started anew.
    case replaced
    /// Silent for too long.
    case idle
    /// There was no room for another one.
    case crowdedOut
    /// The owner closed it.
    case dropped
    /// OpenSSL gave it up.
    case failed
}

/// What a ``DTLSServer`` has seen, counted from its beginning.
package struct DTLSCounters: Equatable, Sendable {
    /// ClientHellos answered with a cookie, of which nothing was kept.
    package internal(set) var cookies: UInt64 = 0
    /// Datagrams of nobody that were no ClientHello.
    package internal(set) var strays: UInt64 = 0
    package internal(set) var handshakes: UInt64 = 0
    package internal(set) var resumptions: UInt64 = 0
    /// Handshakes that got nowhere.
    package internal(set) var unfinished: UInt64 = 0
    /// Hellos that were dropped, to come again, because too many had come in one moment.
    package internal(set) var postponed: UInt64 = 0
    /// Flights that were sent again.
    package internal(set) var retransmissions: UInt64 = 0
    /// Handshakes given up for newer ones, for want of room.
    package internal(set) var crowdedOut: UInt64 = 0
}
