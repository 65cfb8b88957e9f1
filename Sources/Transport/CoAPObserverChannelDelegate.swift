package import CoAPEndpoint

/// Hears of the resources that a ``CoAPObserverChannel`` observes, by their places in its list. All on the channel's loop.
package protocol CoAPObserverChannelDelegate: AnyObject {
    /// Take it, and give its receipt back: ``CoAPObserverChannel/acknowledge(_:)`` or ``CoAPObserverChannel/decline(_:)``.
    func received(_ representation: ObservedRepresentation, of index: Int, on channel: CoAPObserverChannel)
    /// The first success since the start, since a failure, or since it was otherwise.
    ///
    /// - Parameter isObserved: False: the node does not take observers, so it is asked again and again.
    func established(_ index: Int, isObserved: Bool, at address: PeerAddress, on channel: CoAPObserverChannel)
    /// It is tried again later, by itself.
    func failed(_ index: Int, reason: String, on channel: CoAPObserverChannel)
}
