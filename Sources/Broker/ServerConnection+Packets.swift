import MQTTCodec

extension ServerConnection {
    mutating func receivedFirst(_ frame: MQTTFrame) -> Event {
        guard frame.type == .connect else {
            return self.end(.protocolError("the first packet is not CONNECT"))  // [MQTT-3.1.0-1]
        }
        do throws(MQTTDecodeError) {
            let packet = try MQTTPacket(
                frame: frame,
                version: .v311,
                from: .client,
                maxUserProperties: self.limits.maxUserProperties
            )
            guard case .connect(let connect) = packet else {
                preconditionFailure("a CONNECT frame decoded to another packet")
            }
            return self.received(connect)
        } catch {
            self.version = Connect.versionForAnswer(to: frame) ?? .v311
            // Before 5.0, what does not even name MQTT is not told that it is spoken here.
            let isSilent = self.version != .v5 && error.kind == .unsupportedProtocolName
            self.lastWord = isSilent ? .none : .connack
            return self.failed(error)  // [MQTT-3.1.4-1]
        }
    }

    private mutating func received(_ connect: Connect) -> Event {
        self.version = connect.version
        self.lastWord = .connack
        if connect.version == .v5 {
            let properties = connect.properties
            self.clientReceiveMaximum = properties.receiveMaximum ?? .max
            self.clientMaximumPacketSize = properties.maximumPacketSize ?? .max
            self.allowsProblemInformation = properties.requestProblemInformation ?? true
            self.sessionExpiry = properties.sessionExpiryInterval ?? 0
            if properties.authenticationMethod != nil { return self.end(.enhancedAuthentication) }
        }
        self.phase = .deciding
        return .connect(connect)
    }

    mutating func receivedConnected(_ frame: MQTTFrame) throws(MQTTDecodeError) -> Event {
        if frame.type == .publish { return try self.receivedPublish(frame) }
        if frame.type == .connect { return self.end(.protocolError("a second CONNECT")) }  // [MQTT-3.1.0-2]
        let packet = try MQTTPacket(
            frame: frame,
            version: self.version,
            from: .client,
            maxUserProperties: self.limits.maxUserProperties
        )
        switch packet {
        case .puback(let ack): return .acknowledged(packetID: ack.packetID, ack.reasonCode)
        case .pubrec(let ack): return .recorded(packetID: ack.packetID, ack.reasonCode)
        case .pubrel(let ack): return .release(packetID: ack.packetID)
        case .pubcomp(let ack): return .completed(packetID: ack.packetID, ack.reasonCode)
        case .subscribe(let subscribe):
            return self.tooMany(subscribe.subscriptions.count) ?? .subscribe(subscribe)
        case .unsubscribe(let unsubscribe):
            return self.tooMany(unsubscribe.filters.count) ?? .unsubscribe(unsubscribe)
        case .pingreq: return .ping
        case .disconnect(let disconnect): return self.received(disconnect)
        case .auth: return self.end(.protocolError("AUTH without enhanced authentication"))  // [MQTT-4.12.0-7]
        case .connect, .publish, .connack, .suback, .unsuback, .pingresp:
            return self.end(.protocolError("\(packet.type) where it may not come"))
        }
    }

    private mutating func receivedPublish(_ frame: MQTTFrame) throws(MQTTDecodeError) -> Event {
        var publish = try Publish(
            frame: frame,
            version: self.version,
            from: .client,
            maxUserProperties: self.limits.maxUserProperties
        )
        guard self.version == .v5 else { return .publish(publish) }
        if publish.qos > self.maximumQoS { return self.end(.qosNotSupported) }
        if publish.retain, !self.retainAvailable { return self.end(.retainNotSupported) }
        if !publish.properties.isEmpty, let closure = self.inboundAliases.resolve(&publish) { return self.end(closure) }
        guard self.quota.take(publish) else { return self.end(.receiveMaximumExceeded) }
        return .publish(publish)
    }

    private mutating func received(_ disconnect: Disconnect) -> Event {
        if let interval = disconnect.properties.sessionExpiryInterval {
            // §3.14.2.2.2: such a packet is no valid DISCONNECT, so that the will is sent.
            if self.sessionExpiry == 0, interval != 0 {
                return self.end(.protocolError("a session that was to end with its connection can't be kept"))
            }
            self.changedSessionExpiry = interval
        }
        return self.end(.disconnected(disconnect.reasonCode))
    }

    private mutating func tooMany(_ filters: Int) -> Event? {
        guard filters > self.limits.maxFiltersPerPacket else { return nil }
        return self.end(.tooManyFilters(limit: self.limits.maxFiltersPerPacket))
    }
}
