extension Session {
    /// What a QoS 2 PUBLISH of the client means (MQTT 5.0 §4.3.3).
    package enum ReceivedQoS2: Equatable, Sendable {
        /// To be published, then ``isHeld(_:)``.
        case new
        /// A repetition whose PUBREC was sent: send it again, publish nothing `[MQTT-4.3.3-10]`.
        case recorded
        /// A repetition of one that is not safe yet; its PUBREC will come.
        case underWay
        /// More without PUBREL than a client may have.
        case tooMany
    }

    /// A QoS 2 PUBLISH came. The identifier is in use until ``released(_:)``.
    ///
    /// - Parameter limit: Most of them between PUBLISH and PUBREL.
    package func receivedQoS2(_ packetID: UInt16, limit: Int) -> ReceivedQoS2 {
        switch self.held[packetID] {
        case true?: return .recorded
        case false?: return .underWay
        case nil:
            guard self.held.count < limit else { return .tooMany }
            self.held[packetID] = false
            self.journal?.append(.hold(session: self.number, packetID: packetID))
            return .new
        }
    }

    /// Whether an acknowledgement under this identifier is a PUBREC; it is owed now.
    package func isHeld(_ packetID: UInt16) -> Bool {
        guard self.held[packetID] != nil else { return false }
        self.held[packetID] = true
        return true
    }

    /// PUBREL, or the message was not taken: the identifier is free `[MQTT-4.3.3-12]`.
    ///
    /// - Returns: Whether it was in use.
    @discardableResult
    package func released(_ packetID: UInt16) -> Bool {
        guard self.held.removeValue(forKey: packetID) != nil else { return false }
        self.journal?.append(.free(session: self.number, packetID: packetID))
        return true
    }
}
