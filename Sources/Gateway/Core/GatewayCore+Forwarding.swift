import Devices
import MQTTCodec
import NIOCore
import Store
import Uplink

/// Router and Spool: the ways of an admitted message to the outside brokers.
extension GatewayCore {
    /// Whether each uplink on the message's way has room for it.
    ///
    /// - Parameter device: Who sent it; nil: no device.
    /// - Returns: The uplink that has not, and refuses messages then; without a link if the device can't have one.
    func uplinkWithoutRoom(
        _ routes: [RoutedTopic],
        device: DeviceID?,
        payload: ByteBuffer
    ) -> (name: String, link: UplinkLink?)? {
        for route in routes {
            let uplink = self.uplinks[route.uplink]
            guard let link = uplink.link(for: device) else {
                // What no device sent does not take such a route, which is no reason to refuse it.
                guard device != nil else { continue }
                return (uplink.name, nil)
            }
            guard self.isKept(route, link) else { continue }
            let bytes = route.topic.buffer.readableBytes + payload.readableBytes
            if !link.makeRoom(for: route, bytes: bytes) { return (uplink.name, link) }
        }
        return nil
    }

    /// Whether each uplink has room for all of these messages together.
    ///
    /// - Returns: The name of the one that has not, and refuses messages then.
    func uplinkWithoutRoom(forAll messages: [(destination: Destination, payload: ByteBuffer)]) -> String? {
        var needs: [ObjectIdentifier: (route: RoutedTopic, link: UplinkLink, messages: Int, bytes: Int)] = [:]
        for (destination, payload) in messages {
            for route in destination.routes {
                let uplink = self.uplinks[route.uplink]
                guard let link = uplink.link(for: destination.device) else {
                    guard destination.device != nil else { continue }
                    return uplink.name
                }
                guard self.isKept(route, link) else { continue }
                let bytes = route.topic.buffer.readableBytes + payload.readableBytes
                var need = needs[ObjectIdentifier(link)] ?? (route, link, 0, 0)
                need.messages += 1
                need.bytes += bytes
                needs[ObjectIdentifier(link)] = need
            }
        }
        let full = needs.values.first { !$0.link.makeRoom(for: $0.route, messages: $0.messages, bytes: $0.bytes) }
        return full?.link.name
    }

    /// The link of a route for a message; nil, and counted, if it has none.
    private func link(_ route: RoutedTopic, _ device: DeviceID?) -> UplinkLink? {
        let link = self.uplinks[route.uplink].link(for: device)
        if link == nil { self.counters.withoutIdentity += 1 }
        return link
    }

    /// Sends a message along one route: through the spool, past it, or to the dead letters.
    ///
    /// - Parameters:
    ///   - client: Who published it.
    ///   - pending: The publisher's acknowledgement, made when an uplink wants it to wait.
    func forward(
        _ publish: Publish,
        payload: ByteBuffer,
        along route: RoutedTopic,
        device: DeviceID?,
        for client: Client,
        pending: inout PendingAcknowledgement?,
        undo: (() -> Void)?
    ) {
        guard let link = self.link(route, device) else { return }
        guard case .endToEnd = link.configuration.acknowledge, self.isKept(route, link), Self.canWait(publish) else {
            return self.forward(publish, payload: payload, along: route, device: device, by: link)
        }
        guard let (record, lane) = self.record(publish, payload: payload, along: route, device: device, by: link) else {
            return
        }
        if pending == nil, publish.qos != .atMostOnce {
            pending = PendingAcknowledgement(client: client, packetID: publish.packetID, undo: undo)
        }
        var numbered = record
        numbered.sequence = self.commits.nextNumber()
        guard !link.takeUnwritten(numbered, in: lane, waiter: pending) else { return }
        self.spool(record, in: lane, of: link)
    }

    /// Whether the publisher would send the message again after a crash. Not a will; and not at QoS 2, where a stored session
    /// remembers the identifier, and answers the repetition without taking the message again.
    private static func canWait(_ publish: Publish) -> Bool {
        switch publish.qos {
        case .atMostOnce: true
        case .atLeastOnce: publish.packetID != 0
        case .exactlyOnce: false
        }
    }

    /// Sends a message along one route without anybody who could wait for an outside broker.
    func forward(_ publish: Publish, payload: ByteBuffer, along route: RoutedTopic, device: DeviceID? = nil) {
        guard let link = self.link(route, device) else { return }
        self.forward(publish, payload: payload, along: route, device: device, by: link)
    }

    private func forward(
        _ publish: Publish,
        payload: ByteBuffer,
        along route: RoutedTopic,
        device: DeviceID?,
        by link: UplinkLink
    ) {
        let limits = link.limits
        guard self.isKept(route, link) else {
            let isTaken =
                limits.objection(topic: route.topic.buffer, payloadBytes: payload.readableBytes) == nil
                && link.sendUnstored(
                    self.unstored(publish, payload: payload, along: route, device: device, by: link)
                )
            if isTaken { self.counters.forwardedUnstored += 1 } else { self.counters.droppedUnstored += 1 }
            return
        }
        guard let (record, lane) = self.record(publish, payload: payload, along: route, device: device, by: link) else {
            return
        }
        self.spool(record, in: lane, of: link)
    }

    /// Writes a record down, for which there is room.
    func spool(_ record: SpoolRecord, in lane: UplinkLane, of link: UplinkLink) {
        // What is written now must not overtake what waits in memory.
        link.writeDownAll()
        self.counters.spooled += 1
        link.appended(bytes: record.countedBytes, in: lane)
        self.commits.append(record)
    }

    /// The record of a message for the spool of its uplink; nil if it went to the dead letters, or was dropped.
    private func record(
        _ publish: Publish,
        payload: ByteBuffer,
        along route: RoutedTopic,
        device: DeviceID?,
        by link: UplinkLink
    ) -> (SpoolRecord, UplinkLane)? {
        let limits = link.limits
        let lane = link.lane(route.priority)
        var record = SpoolRecord(
            sequence: 0,
            uplink: lane.storeID,
            topic: route.topic.buffer,
            payload: payload,
            qos: min(route.qos, limits.maxQoS),
            retain: limits.retain && route.retain(publish.retain),
            device: device,
            storedAt: self.wallClock.stamp
        )
        if link.speaksV5, let properties = self.properties(of: publish, device: device, by: link) {
            record.properties = properties.serialized
        }
        record.isClockless = !self.wallClock.isSet
        if let lifetime = self.lifetime(of: publish, along: route) {
            let end = NIODeadline.now() + lifetime
            // Without a clock it is known in this run only when it ends.
            record.expiresAt =
                record.isClockless ? self.wallClock.runMilliseconds(at: end) : self.wallClock.milliseconds(at: end)
            link.hasExpiring = true
        }
        if let objection = limits.objection(topic: record.topic, payloadBytes: payload.readableBytes) {
            link.bury(record, of: lane, objection.reason, detail: objection.detail)
            return nil
        }
        guard !link.dropsNewest(for: route, bytes: record.countedBytes) else {
            self.counters.droppedBySpool += 1
            link.status.dropped += 1
            return nil
        }
        return (record, lane)
    }

    /// The properties that go out with a message; nil: none.
    private func properties(of publish: Publish, device: DeviceID?, by link: UplinkLink) -> MQTTProperties? {
        guard !publish.properties.isAbsent || link.stamp.isNeeded else { return nil }
        return link.stamp.apply(to: publish.properties.ofMessage, device: device)
    }

    /// Whether a message of this route goes through the spool.
    private func isKept(_ route: RoutedTopic, _ link: UplinkLink) -> Bool {
        min(route.qos, link.limits.maxQoS) != .atMostOnce || link.configuration.spool.keepsQoS0
    }

    /// How long the message is worth something, from now; nil: for ever.
    private func lifetime(of publish: Publish, along route: RoutedTopic) -> TimeAmount? {
        let own = publish.properties.messageExpiryInterval.map { TimeAmount.seconds(Int64($0)) }
        guard let ttl = route.ttl.map({ TimeAmount($0) }) else { return own }
        return own.map { min($0, ttl) } ?? ttl
    }

    private func unstored(
        _ publish: Publish,
        payload: ByteBuffer,
        along route: RoutedTopic,
        device: DeviceID?,
        by link: UplinkLink
    ) -> UplinkMessage {
        var properties = self.properties(of: publish, device: device, by: link) ?? MQTTProperties()
        if link.speaksV5, !self.wallClock.isSet { properties.userProperties.append(UplinkLink.clocklessMark) }
        return UplinkMessage(
            sequence: 0,
            topic: route.topic,
            payload: payload,
            qos: .atMostOnce,
            retain: link.limits.retain && route.retain(publish.retain),
            properties: properties,
            expiry: self.lifetime(of: publish, along: route).map { .now() + $0 },
            isRepeat: false
        )
    }
}
