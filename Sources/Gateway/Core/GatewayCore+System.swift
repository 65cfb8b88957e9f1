import Broker
import Devices
import MQTTCodec
import NIOCore
import Store
import Transport

extension GatewayCore {
    private static let systemLevel = "$SYS"

    /// Begins to publish `$SYS`, to those who listen there.
    func startSystemTopics() {
        guard self.systemTopics.interval > .zero else { return }
        self.systemTimer = self.loop.assumeIsolated().scheduleTask(in: TimeAmount(self.systemTopics.interval)) {
            self.publishSystemTopics()
            self.startSystemTopics()
        }
    }

    private func publishSystemTopics() {
        guard self.broker.hasSubscribers(below: Self.systemLevel) else { return }
        for message in self.systemTopics.changed(of: self.systemValues()) {
            self.distribute(message.asLive, isStored: false)
        }
    }

    /// What a new subscription gets at once.
    func sendSystemTopics(to session: Session, matching filter: TopicFilter, qos: QoS, _ identifiers: [UInt32]) {
        guard self.systemTopics.interval > .zero, filter.buffer.readableBytesView.starts(with: "$SYS/".utf8) else {
            return
        }
        for (name, value) in self.systemValues() {
            guard let message = SystemTopics.message(name, value), filter.matches(message.topic) else { continue }
            var outgoing = OutgoingMessage(message)
            self.deliver(&outgoing, to: session, qos: qos, retain: true, identifiers: identifiers, isPassing: true)
        }
    }

    /// The present value of one of these topics; nil if it is none.
    func systemMessage(on topic: TopicName) -> Message? {
        let prefix = Self.systemLevel + "/"
        guard self.systemTopics.interval > .zero, topic.buffer.readableBytesView.starts(with: prefix.utf8) else {
            return nil
        }
        let name = topic.buffer.readableBytesView.dropFirst(prefix.utf8.count)
        return self.systemValues().first { name.elementsEqual($0.name.utf8) }.flatMap { SystemTopics.message($0, $1) }
    }

    private func systemValues() -> [(name: String, value: String)] {
        let counters = self.counters
        let upTime = (NIODeadline.now() - self.started).nanoseconds / 1_000_000_000
        let connected = self.clientCount + self.sites.reduce(0) { $0 + $1.reader.observerCount }
        let sessions = self.broker.sessionCount
        var values: [(name: String, value: String)] = [
            ("broker/version", "sealgate \(Version.text)"),
            ("broker/uptime", "\(upTime) seconds"),
            ("broker/clients/connected", "\(connected)"),
            ("broker/clients/total", "\(sessions)"),
            ("broker/clients/disconnected", "\(max(sessions - connected, 0))"),
            ("broker/subscriptions/count", "\(self.broker.subscriptionCount)"),
            ("broker/retained messages/count", "\(self.broker.retained.count)"),
            ("broker/publish/messages/received", "\(counters.received)"),
            ("broker/publish/messages/sent", "\(counters.delivered)"),
            ("broker/publish/messages/dropped", "\(counters.deliveriesDropped)"),
            ("broker/bytes/received", "\(self.burst.bytesRead)"),
            ("broker/bytes/sent", "\(self.burst.bytesWritten)"),
            ("broker/store/messages/bytes", "\(self.broker.queuedBytes)"),
            ("gateway/connections/accepted", "\(counters.connectionsAccepted)"),
            ("gateway/connections/refused", "\(counters.connectionsRefused + self.limiter.refused)"),
            ("gateway/sealed/opened", "\(counters.opened)"),
            ("gateway/sealed/repeated", "\(counters.repeated)"),
            ("gateway/commands/sealed", "\(counters.commandsSealed)"),
            ("gateway/commands/waiting", "\(self.commandDesk.messages)"),
            ("gateway/commands/dropped", "\(counters.commandsDropped)"),
            ("gateway/loops", "\(counters.loopsEnded)"),
            ("gateway/without-identity", "\(counters.withoutIdentity)"),
            ("gateway/commits/failed", "\(counters.failedCommits)"),
            ("gateway/devices", "\(self.registry.count)"),
        ]
        for refusal in Refusal.allCases {
            let name = refusal.rawValue.replacing(" ", with: "-")
            values.append(("gateway/refused/\(name)", "\(counters.refused[refusal, default: 0])"))
        }
        for limit in LimitHit.allCases {
            values.append(("gateway/limits/\(limit.rawValue)", "\(counters.limits[limit, default: 0])"))
        }
        for broker in self.attached { values += broker.systemValues }
        for site in self.sites { values += site.systemValues }
        let refusals = self.limiter.refusals
        values += [
            ("gateway/limits/max_connections", "\(refusals.total)"),
            ("gateway/limits/max_connections_per_address", "\(refusals.perAddress)"),
            ("gateway/limits/connection_rate", "\(refusals.rate)"),
            ("gateway/limits/max_half_open", "\(refusals.halfOpen + refusals.displaced)"),
            ("gateway/passwords/checked", "\(self.passwords.hashed + self.passwords.recognized)"),
        ]
        values += [
            ("gateway/clock", self.wallClock.isSet ? "set" : "not set"),
            ("gateway/clock/floor", JSONText.time(self.wallClock.floor)),
        ]
        for uplink in self.uplinks {
            values += uplink.report(now: .now(), clock: self.wallClock).systemValues
            if case .devices(let devices) = uplink { values += devices.systemValues }
        }
        return values
    }
}

extension Message {
    /// The same, sent because it has changed and not because somebody has subscribed.
    fileprivate var asLive: Message {
        var copy = self
        copy.retain = false
        return copy
    }
}

extension UplinkReport {
    /// What `$SYS` says of the uplink.
    fileprivate var systemValues: [(name: String, value: String)] {
        let base = "gateway/uplink/\(self.name)"
        return [
            ("\(base)/state", self.state.rawValue),
            ("\(base)/address", self.address ?? "none"),
            ("\(base)/spool/messages", "\(self.spool.messages)"),
            ("\(base)/spool/bytes", "\(self.spool.bytes)"),
            ("\(base)/spool/oldest", "\(self.spool.oldestSeconds ?? 0) seconds"),
            ("\(base)/messages/delivered", "\(self.delivered)"),
            ("\(base)/messages/dropped", "\(self.dropped)"),
            ("\(base)/messages/expired", "\(self.expired)"),
            ("\(base)/messages/dead", "\(self.dead)"),
        ]
    }
}

extension DeviceUplinks {
    /// What `$SYS` says of its devices.
    fileprivate var systemValues: [(name: String, value: String)] {
        let base = "gateway/uplink/\(self.name)/devices"
        return [
            ("\(base)/known", "\(self.deviceCount)"),
            ("\(base)/connected", "\(self.connectedCount)"),
            ("\(base)/waiting", "\(self.waitingCount)"),
        ]
    }
}

extension AttachedBroker {
    /// What `$SYS` says of it.
    fileprivate var systemValues: [(name: String, value: String)] {
        let base = "gateway/attached/\(self.name)"
        return [
            ("\(base)/state", self.isConnected ? "connected" : "disconnected"),
            ("\(base)/messages/received", "\(self.counters.received)"),
            ("\(base)/messages/ignored", "\(self.counters.ignored)"),
            ("\(base)/messages/opened", "\(self.counters.sentBack)"),
            ("\(base)/messages/commands", "\(self.counters.commands)"),
            ("\(base)/messages/dropped", "\(self.counters.dropped)"),
        ]
    }
}

extension LocalBroker.Limits {
    /// What `[limits]` says of the broker.
    init(_ limits: GatewayLimits) {
        self.init(
            sessions: limits.maxSessions ?? limits.maxConnections * 2,
            sessionsPerDevice: limits.maxSessionsPerDevice,
            subscriptions: limits.maxSubscriptions,
            queuedBytesTotal: limits.maxQueuedTotal,
            unprovenExpiry: TimeAmount(limits.sessionExpiryUnproven),
            provenExpiry: TimeAmount(limits.sessionExpiry),
            outbound: .init(
                inFlight: limits.maxInflight,
                queuedMessages: limits.maxQueuedMessages,
                queuedBytes: limits.maxQueuedBytes
            ),
            retained: .init(
                messages: limits.maxRetained,
                bytes: limits.maxRetainedBytes,
                messagesPerPublisher: limits.maxRetainedPerDevice
            )
        )
    }
}
