package import CoAPEndpoint
package import OpenSSL

/// What the gateway does with what comes over a ``CoAPChannel``.
///
/// All is called on the loop, in the order in which it happened, and, where nothing else is said, never from inside a method of the channel: a delegate may answer at once
/// or at any later time.
package protocol CoAPChannelDelegate: AnyObject {
    /// Decide about it, once: ``CoAPChannel/respond(to:_:observing:)``, ``CoAPChannel/ignore(_:)`` or ``CoAPChannel/challenge(_:)``.
    func received(_ request: CoAPRequest, on channel: CoAPChannel)
    /// Whether this block of a body is to be sent again with a fresh Echo value, before it is taken (``CoAPServer/needsEcho``). Called from
    /// inside the channel, which it may not call.
    func needsEcho(_ request: CoAPRequest, on channel: CoAPChannel) -> Bool
    /// Time to notify an observer of the present value again, so that it can show that it is still there (RFC 7641 §4.5).
    func observationDue(_ id: CoAPObservationID, on channel: CoAPChannel)
    /// Nobody is told any more. Also of an observation whose peer's DTLS session has ended.
    func observationEnded(_ id: CoAPObservationID, _ end: CoAPObservationEnd, on channel: CoAPChannel)
    /// A notification that was to be confirmable has been acknowledged.
    func notificationConfirmed(_ id: CoAPObservationID, on channel: CoAPChannel)
    /// A DTLS handshake is done: who proved the key of `identity` is at the other end of `session` (``CoAPPeer/session``).
    ///
    /// - Parameters:
    ///   - isResumed: By a ticket: nobody was asked for the key, which may not be good any more.
    ///   - address: For limits and logs; never who somebody is.
    /// - Returns: False: the session is closed at once, nothing of it arrives here, and its end is not told.
    func established(
        session: UInt32,
        identity: [UInt8],
        isResumed: Bool,
        from address: PeerAddress,
        on channel: CoAPChannel
    ) -> Bool
    /// A session that was let in is gone. Its requests need no answer any more.
    func ended(session: UInt32, _ end: DTLSEnd, on channel: CoAPChannel)
    /// Somebody named an identity and could not prove its key. What came over the wire is the same whether there is such an identity or not.
    func handshakeFailed(identity: [UInt8], isIdentityKnown: Bool, from address: PeerAddress, on channel: CoAPChannel)
    /// A datagram looks like one of ``MisdirectedProtocol``, which is not what this listener speaks. Nobody is answered.
    func misdirected(_ kind: MisdirectedProtocol, from address: PeerAddress, on channel: CoAPChannel)
}

extension CoAPChannelDelegate {
    package func needsEcho(_ request: CoAPRequest, on channel: CoAPChannel) -> Bool { false }
}
