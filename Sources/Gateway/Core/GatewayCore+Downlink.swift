import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import Store

/// The way in: what an uplink brought, to the nodes here and to other uplinks.
extension GatewayCore {
    /// A message that an uplink brought: a command for the nodes.
    ///
    /// - Parameters:
    ///   - link: What brought it.
    ///   - index: The uplink's place in ``RouteTable/uplinks``.
    ///   - isHeld: It came at QoS 2, so that its identifier is to be remembered until the broker releases it.
    ///   - done: Called when the outside broker may forget it, or with false if it has to send it again.
    func receivedFromUplink(
        _ publish: Publish,
        by link: UplinkLink,
        index: Int,
        isHeld: Bool,
        _ done: @escaping (Bool) -> Void
    ) {
        if isHeld {
            let uplink = link.normalLane.storeID
            self.commits.append(.hold(.hold(uplink: uplink, packetID: publish.packetID)))
        }
        if let device = link.device, case .devices(let devices) = self.uplinks[index] { devices.received(for: device) }
        self.distribute(fromUplink: publish, by: link, index: index)
        self.commits.whenSafe {
            done(true)
        } orElse: {
            done(false)
        }
    }

    private func distribute(fromUplink publish: Publish, by link: UplinkLink, index: Int) {
        guard let incoming = self.routes.incoming(uplink: index, topic: publish.topic),
            !self.registry.reserved.contains(incoming.topic),
            incoming.device.map({ self.registry.device($0) != nil }) ?? true,
            // A device's own connection brings what is for that device, whatever its broker sends.
            link.device == nil || link.device == incoming.device
        else {
            self.counters.unroutedFromUplinks += 1
            return
        }
        self.counters.fromUplinks += 1
        var message = Message(incoming, of: publish, now: .now())
        message.isNeverSealed = !incoming.seal
        // A broker sends RETAIN only with what it had at the subscription. A later message means that this is out of date.
        if !publish.retain, let kept = self.broker.retained[message.topic], kept.publisher == nil {
            self.forgetRetained(message.topic)
        }
        // What is retained outside comes again with every connection, so it need not be on disk here.
        let sealedFor = incoming.seal ? self.registry.commandDevice(message.topic) : nil
        self.distribute(message, isStored: false, sealedFor: sealedFor)
        if sealedFor == nil { for broker in self.attached { broker.publish(command: message) } }
        self.carryOn(publish, as: message, from: index)
    }

    /// To other uplinks, by routes with `from_uplinks = true`. Two gateways, or two brokers that bridge, may close a ring that
    /// none of them sees, so each passage is counted in the message; one of MQTT 3.1.1 can't say.
    private func carryOn(_ publish: Publish, as message: Message, from index: Int) {
        self.routes.forEachOutgoing(message.topic, from: index) { route in
            guard let properties = message.properties.countingHop(limit: Self.maxHops) else {
                self.counters.loopsEnded += 1
                if self.counters.loopsEnded == 1 {
                    self.logger.warning(
                        "a message went round through gateways: not sent on; $SYS counts them",
                        metadata: ["topic": "\(Printable.text(message.topic.buffer))", "route": "\(route.line)"]
                    )
                }
                return
            }
            var onward = Publish(
                topic: message.topic,
                payload: message.payload,
                qos: message.qos,
                retain: message.retain,
                properties: properties
            )
            onward.properties.messageExpiryInterval = publish.properties.messageExpiryInterval
            if let full = self.uplinkWithoutRoom([route], device: nil, payload: message.payload) {
                self.counters.droppedBySpool += 1
                full.link?.status.dropped += 1
                return
            }
            self.forward(onward, payload: message.payload, along: route)
        }
    }

    /// Passages from uplink to uplink that a message may make.
    private static let maxHops = 4
}

extension Message {
    /// What `publish` of an uplink is here, by its route.
    init(_ incoming: IncomingTopic, of publish: Publish, now: NIODeadline) {
        self.init(
            topic: incoming.topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: incoming.retain(publish.retain),
            replacesWaiting: incoming.keep == .last
        )
        var seconds = incoming.ttl.map { $0.components.seconds }
        if !publish.properties.isAbsent {
            self.properties = publish.properties.ofMessage
            if let own = publish.properties.messageExpiryInterval { seconds = min(seconds ?? .max, Int64(own)) }
        }
        self.expiry = seconds.map { now + .seconds($0) }
    }
}

extension MQTTProperties {
    /// How often a message went from one uplink to another, in a gateway's own user property.
    private static let hopsName = "sealgate-hops"

    /// The same properties with one passage more; nil if that is more than `limit`. What is no number counts as the limit.
    func countingHop(limit: Int) -> MQTTProperties? {
        var hops = 0
        var others: [UserProperty] = []
        for property in self.userProperties {
            if property.name.description == Self.hopsName {
                hops = max(hops, Int(property.value.description) ?? limit)
            } else {
                others.append(property)
            }
        }
        guard hops < limit, let name = try? MQTTString(Self.hopsName),
            let value = try? MQTTString("\(max(hops, 0) + 1)")
        else { return nil }
        var copy = self
        copy.userProperties = others + [UserProperty(name: name, value: value)]
        return copy
    }
}
