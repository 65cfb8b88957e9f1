import Devices
import MQTTCodec
import NIOCore
import Store
import Uplink

/// Router and Spool: the ways of an admitted message to the outside brokers.
extension GatewayCore {
    /// Whether each uplink on the message's way has room for it.
    ///
    /// - Returns: The uplink that has not, and refuses messages then.
    func uplinkWithoutRoom(_ routes: [RoutedTopic], payload: ByteBuffer) -> UplinkLink? {
        for route in routes {
            let link = self.links[route.uplink]
            guard self.isKept(route, link) else { continue }
            let bytes = route.topic.buffer.readableBytes + payload.readableBytes
            if !link.makeRoom(for: route, bytes: bytes) { return link }
        }
        return nil
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
        let link = self.links[route.uplink]
        guard case .endToEnd = link.configuration.acknowledge, self.isKept(route, link) else {
            return self.forward(publish, payload: payload, along: route, device: device)
        }
        guard let (record, lane) = self.record(publish, payload: payload, along: route, device: device) else { return }
        if pending == nil, publish.qos != .atMostOnce {
            pending = PendingAcknowledgement(client: client, packetID: publish.packetID, undo: undo)
        }
        var numbered = record
        numbered.sequence = self.commits.nextNumber()
        guard !link.takeUnwritten(numbered, in: lane, waiter: pending) else { return }
        self.spool(record, in: lane, of: link)
    }

    /// Sends a message along one route without anybody who could wait for an outside broker.
    func forward(_ publish: Publish, payload: ByteBuffer, along route: RoutedTopic, device: DeviceID? = nil) {
        let link = self.links[route.uplink]
        let limits = link.limits
        guard self.isKept(route, link) else {
            let isTaken =
                limits.objection(topic: route.topic.buffer, payloadBytes: payload.readableBytes) == nil
                && link.sendUnstored(self.unstored(publish, payload: payload, along: route, link))
            if isTaken { self.counters.forwardedUnstored += 1 } else { self.counters.droppedUnstored += 1 }
            return
        }
        guard let (record, lane) = self.record(publish, payload: payload, along: route, device: device) else { return }
        self.spool(record, in: lane, of: link)
    }

    /// Writes a record down, for which there is room.
    func spool(_ record: SpoolRecord, in lane: UplinkLane, of link: UplinkLink) {
        self.counters.spooled += 1
        link.appended(bytes: record.countedBytes, in: lane)
        self.commits.append(record)
    }

    /// The record of a message for the spool of its uplink; nil if it went to the dead letters, or was dropped.
    private func record(
        _ publish: Publish,
        payload: ByteBuffer,
        along route: RoutedTopic,
        device: DeviceID?
    ) -> (SpoolRecord, UplinkLane)? {
        let link = self.links[route.uplink]
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
        if link.speaksV5, !publish.properties.isAbsent { record.properties = publish.properties.ofMessage.serialized }
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
        _ link: UplinkLink
    ) -> UplinkMessage {
        var properties = publish.properties.isAbsent ? MQTTProperties() : publish.properties.ofMessage
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
