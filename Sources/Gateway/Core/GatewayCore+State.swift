import Broker
import MQTTCodec
import NIOCore
import Store

/// The gateway's own retained topics, below `base` of gateway.conf. They are not in the table of retained messages: a new
/// subscription, and a session that comes back, gets what is true then, and what was published meanwhile waits for nobody.
extension GatewayCore {
    private var stateNames: StateTopicNames { self.configuration.stateTopics }

    /// Says that the gateway is there, and begins to say how its uplinks are.
    func startStateTopics() {
        self.stateBoard = StateBoard(uplinks: self.uplinks.count)
        self.publishLive(self.bridgeState)
        self.publishUplinks(withFigures: true)
        self.scheduleFigures()
    }

    private func scheduleFigures() {
        let interval = TimeAmount(self.configuration.limits.stateInterval)
        self.stateTimer = self.loop.assumeIsolated().scheduleTask(in: interval) {
            self.publishUplinks(withFigures: true)
            self.scheduleFigures()
        }
    }

    /// Something about an uplink that people look at has changed. Told after the events at hand.
    func uplinkChanged(_: UplinkLink) {
        self.scheduleNews(at: .now())
    }

    private func scheduleNews(at deadline: NIODeadline) {
        guard !self.isNewsScheduled, self.stateTimer != nil else { return }
        self.isNewsScheduled = true
        self.loop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.isNewsScheduled = false
            if self.stateTimer != nil { self.publishUplinks(withFigures: false) }
        }
    }

    /// Publishes what is new of each uplink.
    ///
    /// - Parameter withFigures: Figures are reason enough.
    func publishUplinks(withFigures: Bool) {
        let now = NIODeadline.now()
        for (index, uplink) in self.uplinks.enumerated() {
            let report = uplink.report(now: now, clock: self.wallClock)
            switch self.stateBoard.due(report, of: index, withFigures: withFigures, now: now) {
            case .now?: self.publishLive(self.message(of: report))
            case .later(let deadline)?: self.scheduleNews(at: deadline)
            case nil: break
            }
        }
    }

    /// The last word, for the shutdown.
    func stopStateTopics() {
        self.stateTimer?.cancel()
        self.stateTimer = nil
        self.isOffline = true
        self.publishLive(self.bridgeState)
    }

    private var bridgeState: Message {
        let payload = self.isOffline ? UplinkLink.offline : UplinkLink.online
        return Message(topic: self.stateNames.bridge, payload: payload, qos: .atLeastOnce, retain: true)
    }

    private func message(of report: UplinkReport) -> Message {
        Message(
            topic: self.stateNames.uplink(report.name),
            payload: JSONText.encode(report),
            qos: .atLeastOnce,
            retain: true
        )
    }

    /// To those who listen now; nobody finds it in his queue later.
    private func publishLive(_ message: Message) {
        var outgoing = OutgoingMessage(message)
        self.broker.forEachRecipient(of: message.topic, from: nil) { session, grant in
            guard session.connection != nil else { return false }
            return self.deliver(
                &outgoing,
                to: session,
                qos: min(message.qos, grant.qos),
                retain: grant.retainAsPublished,
                identifiers: grant.identifiers,
                isPassing: true
            )
        }
    }

    /// The present value of one of these topics; nil if it is none.
    func stateMessage(on topic: TopicName) -> Message? {
        if topic == self.stateNames.bridge { return self.bridgeState }
        return self.uplinks.first { topic == self.stateNames.uplink($0.name) }
            .map { self.message(of: $0.report(now: .now(), clock: self.wallClock)) }
    }

    // MARK: Subscriptions

    /// Whether a filter could get any of it.
    func hasStateTopics(matching filter: TopicFilter) -> Bool {
        filter.matches(self.stateNames.bridge)
            || self.uplinks.contains { filter.matches(self.stateNames.uplink($0.name)) }
    }

    /// What a new subscription, or a session that is back, gets at once.
    func sendStateTopics(to session: Session, matching filter: TopicFilter, qos: QoS, _ identifiers: [UInt32]) {
        func send(_ message: Message) {
            var outgoing = OutgoingMessage(message)
            self.deliver(
                &outgoing,
                to: session,
                qos: min(message.qos, qos),
                retain: true,
                identifiers: identifiers,
                isPassing: true
            )
        }
        if filter.matches(self.stateNames.bridge) { send(self.bridgeState) }
        for uplink in self.uplinks where filter.matches(self.stateNames.uplink(uplink.name)) {
            send(self.message(of: uplink.report(now: .now(), clock: self.wallClock)))
        }
    }
}
