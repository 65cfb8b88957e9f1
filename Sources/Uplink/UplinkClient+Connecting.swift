internal import MQTTCodec
internal import NIOCore

/// CONNECT, CONNACK and SUBSCRIBE.
extension UplinkClient {
    /// A SUBSCRIBE that waits for its SUBACK. They go out one after the other, all under the one packet identifier that
    /// PUBLISH never uses.
    struct Subscribing {
        static let packetID: UInt16 = 0xFFFF

        /// The part of the configuration's subscriptions that this SUBSCRIBE deals with.
        var dealtWith: Range<Int>
        /// Those of them that it names.
        var asked: [Subscription]
        /// Filters that were refused so far.
        var refused: [RefusedSubscription]
    }

    /// A broker that takes no larger packets can't be worked with.
    static let minPacketBytes = 16

    // MARK: CONNECT

    mutating func writeConnect(into output: inout ByteBuffer) {
        var clientID = self.configuration.clientID
        if clientID.isEmpty, let assigned = self.assignedClientID { clientID = assigned }
        let connect = Connect(
            version: self.version,
            clientID: clientID,
            cleanStart: self.configuration.cleanSession,
            keepAlive: self.configuration.keepAliveSeconds,
            will: self.will,
            userName: self.configuration.userName,
            password: self.configuration.password,
            properties: self.connectProperties
        )
        MQTTPacket.connect(connect).encode(into: &output, version: self.version)  // [MQTT-3.1.0-1]
    }

    private var connectProperties: MQTTProperties {
        var properties = MQTTProperties()
        guard self.version == .v5 else { return properties }
        let configuration = self.configuration
        if !configuration.cleanSession, configuration.sessionExpiry > 0 {
            properties.sessionExpiryInterval = configuration.sessionExpiry
        }
        properties.receiveMaximum = max(1, configuration.receiveMaximum)
        properties.maximumPacketSize = configuration.maxPacketBytes
        if configuration.inboundTopicAliasMaximum > 0 {
            properties.topicAliasMaximum = configuration.inboundTopicAliasMaximum
        }
        properties.requestProblemInformation = configuration.requestProblemInformation
        properties.userProperties = configuration.userProperties
        return properties
    }

    // MARK: CONNACK

    /// The first packet of a connection must be CONNACK `[MQTT-3.2.0-1]`.
    mutating func receivedFirst(
        _ frame: MQTTFrame,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        // So says a broker of 3.1.1 to a CONNECT of 5.0, in its own words.
        if frame.firstByte == 0x20, frame.body.readableBytesView.elementsEqual([0, 1]) {
            return self.fail(.versionNotSpoken(self.version), now: now)
        }
        let packet: MQTTPacket
        do { packet = try MQTTPacket(frame: frame, version: self.version, from: .server) } catch {
            return self.refuse(error, now: now, into: &output)
        }
        if case .auth = packet {  // [MQTT-4.12.0-6]
            return self.refuse(.extendedAuthentication, .protocolError, now: now, into: &output)
        }
        guard case .connack(let connAck) = packet else {
            return self.refuse("\(packet.type) before CONNACK", now: now, into: &output)
        }
        guard connAck.reasonCode != .unsupportedProtocolVersion else {
            return self.fail(.versionNotSpoken(self.version), now: now)
        }
        guard connAck.reasonCode == .success else {
            return self.fail(.refused(connAck.reasonCode, words: ReasonWords.text(of: connAck.properties)), now: now)
        }
        if connAck.sessionPresent, self.configuration.cleanSession {  // [MQTT-3.2.2-4], [MQTT-3.2.2-1 of 3.1.1]
            return self.refuse("CONNACK tells of a session that was not asked for", now: now, into: &output)
        }
        if connAck.properties.authenticationMethod != nil {  // [MQTT-4.12.0-6]
            return self.refuse(.extendedAuthentication, .protocolError, now: now, into: &output)
        }
        let server = ServerLimits(connAck.properties)
        guard server.maxPacketBytes >= Self.minPacketBytes else {
            let failure = UplinkFailure.packetsTooSmall(limit: server.maxPacketBytes)
            return self.refuse(failure, .implementationSpecificError, now: now, into: &output)
        }
        return self.accepted(server, isSessionPresent: connAck.sessionPresent, now: now, into: &output)
    }

    private mutating func accepted(
        _ server: ServerLimits,
        isSessionPresent: Bool,
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        self.state = .connected
        self.link = Link(since: now, isSessionPresent: isSessionPresent, lastProgress: now)
        self.server = server
        if let assigned = server.assignedClientID { self.assignedClientID = assigned }  // [MQTT-3.2.2-16]
        if server.keepAlive != nil { self.watch(seconds: self.keepAliveSeconds, now: now) }
        // Aliases die with the connection: what is sent again carries its topic [MQTT-3.3.2-7].
        let aliases = min(server.topicAliasMaximum, self.configuration.maxOutboundTopicAliases)
        self.outboundAliases = OutboundTopicAliases(maximum: aliases)
        var session = UplinkSession(isPresent: isSessionPresent)
        if !isSessionPresent {
            session.forgottenHeld = self.held.packetIDs
            self.held.removeAll()
        }
        var lowered: [UplinkMessage] = []
        let version = self.version
        self.window.begin(server, session: &session) { message in
            let reason = server.problem(with: message, version: version, now: now)
            if reason == nil, server.maxQoS == .atMostOnce { lowered.append(message) }
            return reason
        }
        self.subscribe(from: 0, refused: [], now: now, into: &output)
        _ = self.window.releases.resend(into: &output)
        for message in lowered {
            self.write(message, qos: .atMostOnce, packetID: 0, dup: false, now: now, into: &output)
        }
        self.resend(now: now, into: &output)
        self.keepAlive.sent(now)
        return .connected(session)
    }

    // MARK: SUBSCRIBE

    /// Asks for the next subscriptions, or tells that all were answered.
    @discardableResult
    private mutating func subscribe(
        from first: Int,
        refused: [RefusedSubscription],
        now: NIODeadline,
        into output: inout ByteBuffer
    ) -> UplinkAction {
        let all = self.configuration.subscriptions
        var refused = refused
        var asked: [Subscription] = []
        // Fixed header, packet identifier and Property Length at most.
        var bytes = 5 + 2 + 1
        var next = first
        while next < all.count, asked.count < max(1, self.configuration.filtersPerSubscribe) {
            let subscription = all[next].allowed(to: self.version)
            let size = 3 + subscription.filter.buffer.readableBytes
            if let code = self.problem(with: subscription.filter, size: size) {
                refused.append(RefusedSubscription(filter: subscription.filter, code: code))
            } else if bytes + size <= self.server.maxPacketBytes {
                asked.append(subscription)
                bytes += size
            } else {
                break
            }
            next += 1
        }
        guard !asked.isEmpty else {
            self.link.subscribing = nil
            return .subscribed(refused: refused)
        }
        self.link.subscribing = Subscribing(dealtWith: first..<next, asked: asked, refused: refused)
        let subscribe = Subscribe(packetID: Subscribing.packetID, subscriptions: asked)
        MQTTPacket.subscribe(subscribe).encode(into: &output, version: self.version)
        self.keepAlive.sent(now)
        return .none
    }

    /// Why there is no use in asking for it; `nil` if there is.
    private func problem(with filter: TopicFilter, size: Int) -> ReasonCode? {
        if !self.server.wildcardSubscriptions, filter.hasWildcard { return .wildcardSubscriptionsNotSupported }
        if !self.server.sharedSubscriptions, filter.isShared { return .sharedSubscriptionsNotSupported }
        return 8 + size <= self.server.maxPacketBytes ? nil : .packetTooLarge
    }

    mutating func received(_ subAck: SubAck, now: NIODeadline, into output: inout ByteBuffer) -> UplinkAction {
        guard let subscribing = self.link.subscribing, subAck.packetID == Subscribing.packetID else {
            let words = "SUBACK of a packet identifier not in use (\(subAck.packetID))"
            return self.refuse(words, now: now, into: &output)
        }
        guard subAck.reasonCodes.count == subscribing.asked.count else {
            let words = "SUBACK with \(subAck.reasonCodes.count) return codes for \(subscribing.asked.count) filters"
            return self.refuse(words, now: now, into: &output)
        }
        // No proof of a good link: two gateways with one client id get this far, each time one ousts the other.
        self.link.lastProgress = now
        let refused = zip(subscribing.asked, subAck.reasonCodes).filter { $1.isFailure }
            .map { RefusedSubscription(filter: $0.filter, code: $1) }
        return self.subscribe(
            from: subscribing.dealtWith.upperBound,
            refused: subscribing.refused + refused,
            now: now,
            into: &output
        )
    }
}

extension Subscription {
    /// Without what the version, or the standard, does not allow.
    fileprivate func allowed(to version: MQTTVersion) -> Subscription {
        guard version == .v5 else { return Subscription(filter: self.filter, qos: self.qos) }
        guard self.noLocal, self.filter.isShared else { return self }
        var copy = self
        copy.noLocal = false  // [MQTT-3.8.3-4]
        return copy
    }
}

extension TopicFilter {
    fileprivate var isShared: Bool { ((try? SharedSubscription.parse(self)) ?? nil) != nil }

    fileprivate var hasWildcard: Bool {
        self.buffer.readableBytesView.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
    }
}
