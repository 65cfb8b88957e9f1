package import MQTTCodec
package import NIOCore

extension ServerConnection {
    /// The owner lets the client in.
    ///
    /// - Returns: The CONNACK to send before anything else `[MQTT-3.2.0-1]`. Nil if the client's Maximum Packet Size leaves
    ///   no room for it: the client is still to be decided about, and can only be refused.
    package mutating func accept(_ connect: Connect, _ acceptance: Acceptance, now: NIODeadline) -> ConnAck? {
        precondition(self.phase == .deciding, "accept in \(self.phase)")
        let asked = connect.keepAlive == 0 ? UInt16.max : connect.keepAlive
        let limit = self.limits.maxKeepAlive
        let seconds = limit == 0 ? connect.keepAlive : min(asked, limit)
        var connAck = ConnAck(sessionPresent: acceptance.sessionPresent)
        if connect.version == .v5 {
            connAck.properties = self.properties(for: connect, acceptance)
            // [MQTT-3.1.2-21]
            if seconds != connect.keepAlive { connAck.properties.serverKeepAlive = seconds }
            guard connAck.encodedSize(version: .v5) <= Int(self.clientMaximumPacketSize) else { return nil }
            // [MQTT-3.3.2-11]
            let aliases = min(connect.properties.topicAliasMaximum ?? 0, self.limits.outboundTopicAliasMaximum)
            self.outboundAliases = OutboundTopicAliases(maximum: aliases)
            self.maximumQoS = acceptance.maximumQoS
            self.retainAvailable = acceptance.retainAvailable
        }
        self.phase = .connected
        self.lastWord = .disconnect  // [MQTT-3.2.0-2]
        self.will = connect.will?.compacted()  // [MQTT-3.1.2-7]
        // [MQTT-3.2.2-22]
        self.keepAlive = seconds == 0 ? nil : .milliseconds(Int64(seconds) * 1500)
        self.touch(now: now)
        return connAck
    }

    /// What is as the standard has it anyway is left out. CONNECT had no Authentication Method, and CONNACK has none
    /// `[MQTT-4.12.0-6]`.
    private func properties(for connect: Connect, _ acceptance: Acceptance) -> MQTTProperties {
        var properties = MQTTProperties()
        properties.sessionExpiryInterval = acceptance.sessionExpiryInterval
        if self.limits.receiveMaximum != .max { properties.receiveMaximum = self.limits.receiveMaximum }
        if acceptance.maximumQoS != .exactlyOnce { properties.maximumQoS = acceptance.maximumQoS }
        if !acceptance.retainAvailable { properties.retainAvailable = false }
        properties.maximumPacketSize = UInt32(clamping: self.limits.maxPacketBytes)
        properties.assignedClientIdentifier = acceptance.assignedClientID
        if self.limits.topicAliasMaximum != 0 { properties.topicAliasMaximum = self.limits.topicAliasMaximum }
        if connect.properties.requestResponseInformation == true {  // [MQTT-3.1.2-28]
            properties.responseInformation = acceptance.responseInformation
        }
        return properties
    }

    /// The last packet to the client when the connection ends for `code`, fit for its version and for how far it came:
    /// CONNACK `[MQTT-3.14.0-1]`, DISCONNECT, or nil where there is no word for it `[MQTT-3.2.2-6 of 3.1.1]`.
    package func farewell(_ code: ReasonCode) -> MQTTPacket? {
        let packet: MQTTPacket
        switch self.lastWord {
        case .none: return nil
        case .connack:
            let told = Self.inConnAck(code)
            // [MQTT-3.1.4-1 of 3.1.1]
            guard self.version == .v5 || ConnectReturnCode(told) != nil else { return nil }
            packet = .connack(ConnAck(reasonCode: told))
        case .disconnect:
            guard self.version == .v5 else { return nil }  // Only clients say it in 3.x.
            let told = code.isAllowed(in: .disconnect) ? code : .unspecifiedError
            packet = .disconnect(Disconnect(reasonCode: told))
        }
        return self.fitting(packet)
    }

    /// The nearest that a CONNACK can say; never success.
    private static func inConnAck(_ code: ReasonCode) -> ReasonCode {
        switch code {
        case .serverShuttingDown: .serverUnavailable
        case .administrativeAction: .notAuthorized
        default: code.isFailure && code.isAllowed(in: .connack) ? code : .unspecifiedError
        }
    }

    /// The owner sends this answer to a message of the client: its place under the Receive Maximum may be free again.
    package mutating func answered(_ packetID: UInt16, with type: MQTTPacketType, _ code: ReasonCode) {
        guard self.version == .v5 else { return }
        self.quota.answered(packetID, with: type, code)
    }

    /// The packet without what the client does not want to be told, or has no room for; nil if it is too large all the same.
    package func fitting(_ packet: MQTTPacket) -> MQTTPacket? {
        guard self.version == .v5 else { return packet }
        var packet = packet
        // PUBLISH, CONNACK and DISCONNECT may have them all the same `[MQTT-3.1.2-29]`.
        switch packet.type {
        case .publish, .connack, .disconnect: break
        default: if !self.allowsProblemInformation { packet.removeUserProperties(andReasonString: true) }
        }
        let limit = Int(self.clientMaximumPacketSize)
        guard packet.encodedSize(version: .v5) > limit, packet.type != .publish else { return packet }
        // The user properties first: [MQTT-3.2.2-20], [MQTT-3.4.2-3], [MQTT-3.5.2-3], [MQTT-3.6.2-3], [MQTT-3.7.2-3],
        // [MQTT-3.9.2-2], [MQTT-3.11.2-2], [MQTT-3.14.2-4].
        packet.removeUserProperties(andReasonString: false)
        // The reason as well: [MQTT-3.2.2-19], [MQTT-3.4.2-2], [MQTT-3.5.2-2], [MQTT-3.6.2-2], [MQTT-3.7.2-2],
        // [MQTT-3.9.2-1], [MQTT-3.11.2-1], [MQTT-3.14.2-3].
        if packet.encodedSize(version: .v5) > limit { packet.removeUserProperties(andReasonString: true) }
        return packet.encodedSize(version: .v5) > limit ? nil : packet
    }
}

extension MQTTPacket {
    /// Of a packet that a server answers with; nothing is changed in others.
    fileprivate mutating func removeUserProperties(andReasonString removesReason: Bool) {
        func trim(_ properties: inout MQTTProperties) {
            properties.userProperties = []
            if removesReason { properties.reasonString = nil }
            if properties.isEmpty { properties = MQTTProperties() }
        }
        switch self {
        case .connack(var packet):
            trim(&packet.properties)
            self = .connack(packet)
        case .puback(var packet):
            trim(&packet.properties)
            self = .puback(packet)
        case .pubrec(var packet):
            trim(&packet.properties)
            self = .pubrec(packet)
        case .pubrel(var packet):
            trim(&packet.properties)
            self = .pubrel(packet)
        case .pubcomp(var packet):
            trim(&packet.properties)
            self = .pubcomp(packet)
        case .suback(var packet):
            trim(&packet.properties)
            self = .suback(packet)
        case .unsuback(var packet):
            trim(&packet.properties)
            self = .unsuback(packet)
        case .disconnect(var packet):
            trim(&packet.properties)
            self = .disconnect(packet)
        case .connect, .publish, .subscribe, .unsubscribe, .pingreq, .pingresp, .auth: break
        }
    }
}

extension Will {
    /// The same in storage of its own, so that keeping it does not keep the read buffer of its CONNECT.
    fileprivate func compacted() -> Will {
        var copy = self
        copy.topic = self.topic.compacted()
        copy.payload = self.payload.compacted()
        copy.properties = self.properties.compacted()
        return copy
    }
}
