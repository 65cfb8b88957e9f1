import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore

/// Commands for nodes that only ever post: what waits for such a node travels in the response to its next post, one command a
/// post. For devices whose profile has `piggyback_commands = true`. Bound to the gateway's loop.
///
/// Each of them has a session of the local broker, which is stored, never ends by itself, and is subscribed to the topics of
/// the device's commands; so what was sent while the node slept, or before a restart, is there when it posts. It has a
/// connection only while a response is being made, so nothing takes its device for present.
///
/// Its client identifier is the empty one: a CONNECT with an empty client identifier is always given another
/// `[MQTT-3.1.3-6]`, so no client can take the session over.
final class Piggyback {
    typealias Command = (topic: TopicName, payload: ByteBuffer)

    /// How long a response waits for a command that has to be sealed first.
    private static let patience = TimeAmount.milliseconds(200)

    private unowned let core: GatewayCore
    private var sessions: [DeviceID: Session] = [:]
    /// Topics that a device observes, each with the number of its observations: what is published there reaches it so.
    private var observed: [DeviceID: [TopicName: Int]] = [:]
    private var hasLookedForLeftovers = false

    init(core: GatewayCore) {
        self.core = core
    }

    /// Whether it is such a session, and no client's.
    static func owns(_ session: Session) -> Bool { session.clientID.isEmpty }

    /// Whether commands may wait for this device here.
    func serves(_ device: DeviceID) -> Bool { self.sessions[device] != nil }

    // MARK: Sessions

    /// Makes the sessions fit devices and profiles: at the start, when the stored ones are restored, and when these have changed.
    func refresh() {
        var wanted: Set<DeviceID> = []
        var withoutRoom = 0
        for device in self.core.registry.devices where !device.isRevoked {
            guard let profile = self.core.registry.profile(of: device.id), profile.piggybackCommands else { continue }
            wanted.insert(device.id)
            if let session = self.session(of: device.id) {
                self.subscribe(session, to: self.filters(of: device.id, profile))
            } else {
                withoutRoom += 1
            }
        }
        for (device, session) in self.sessions where !wanted.contains(device) {
            self.core.broker.remove(session)
            self.sessions[device] = nil
        }
        self.endLeftovers(wanted)
        if withoutRoom > 0 {
            self.core.counters.count(.sessions)
            self.core.logger.warning(
                "commands can't wait for all devices with piggyback_commands: max_sessions is reached",
                metadata: ["devices": "\(withoutRoom)"]
            )
        }
    }

    /// Sessions of the last run whose devices have the rule no more.
    private func endLeftovers(_ wanted: Set<DeviceID>) {
        guard !self.hasLookedForLeftovers else { return }
        self.hasLookedForLeftovers = true
        let others = self.core.registry.devices.lazy.map(\.id).filter { !wanted.contains($0) }
        let owned = self.core.broker.sessions(ownedBy: Set(others.map { .device($0.text) }))
        for session in owned where Self.owns(session) { self.core.broker.remove(session) }
    }

    private func session(of device: DeviceID) -> Session? {
        if let known = self.sessions[device], !known.hasEnded { return known }
        let opening = self.core.broker.open(
            clientID: .empty,
            owner: .device(device.text),
            cleanStart: false,
            expiryInterval: .max
        )
        guard case .opened(let session, _, _, _) = opening else { return nil }
        session.passesOver = { [unowned self] topic in self.observed[device]?[topic] != nil }
        self.sessions[device] = session
        return session
    }

    private func filters(of device: DeviceID, _ profile: Profile) -> Set<TopicFilter> {
        var filters: Set<TopicFilter> = []
        for line in profile.subscribe where line.template.hasDevice && line.template != profile.sessionTopic {
            let filter = line.template.expand(device: device, gateway: self.core.registry.gateway)
            // Where the node publishes its session IDs.
            if !filter.buffer.readableBytesView.reversed().starts(with: "/sessionID".utf8.reversed()) {
                filters.insert(filter)
            }
        }
        return filters
    }

    private func subscribe(_ session: Session, to filters: Set<TopicFilter>) {
        for filter in session.subscriptions.keys where !filters.contains(filter) {
            _ = self.core.broker.unsubscribe(session, from: filter)
        }
        let options = SubscriptionOptions(qos: .atLeastOnce)
        for filter in filters where session.subscriptions[filter] != options {
            switch self.core.broker.subscribe(session, to: filter, options) {
            case .new: self.core.feed.add(Subscription(filter: filter, qos: .atLeastOnce), identifier: 0, to: session)
            case .replaced: break
            case .full: self.core.counters.count(.subscriptions)
            }
        }
    }

    // MARK: Observations

    /// The device observes a topic now: its commands need not wait for a post.
    func observes(_ topic: TopicName, _ device: DeviceID) {
        self.observed[device, default: [:]][topic, default: 0] += 1
    }

    /// One observation less; when it was the last, commands wait for a post again. Those that it did not deliver do so in any
    /// case: another observation may have begun after they were sent.
    ///
    /// - Returns: False if nothing waits here for the device.
    func observesNoMore(_ topic: TopicName, _ device: DeviceID, undelivered: [Message]) -> Bool {
        let left = (self.observed[device]?[topic] ?? 1) - 1
        self.observed[device]?[topic] = left > 0 ? left : nil
        if self.observed[device]?.isEmpty ?? false { self.observed[device] = nil }
        guard let session = self.sessions[device], !session.hasEnded else { return false }
        self.core.redeliver(undelivered, to: session)
        return true
    }

    // MARK: Responses

    /// The device has posted something, and is about to be answered.
    ///
    /// - Parameters:
    ///   - sessionID: The node's own, for the command that the response brings if it has to be sealed.
    ///   - isProven: That the session ID is the device's is beyond doubt.
    ///   - room: Whether the response can take a payload of so many bytes on this topic. What it can't take does not hold up
    ///     what it can.
    ///   - done: Called once, at once if nothing waits, to send the response: with the command for it, or nil. Returns
    ///     whether the response took the command, which counts as delivered then.
    func begin(
        for device: DeviceID,
        sessionID: ByteBuffer?,
        isProven: Bool,
        room: @escaping (TopicName, Int) -> Bool = { _, _ in true },
        done: @escaping (Command?) -> Bool
    ) {
        // One response at a time brings commands.
        guard let session = self.sessions[device], !session.hasEnded, session.connection == nil,
            session.queuedCount > 0 || self.core.commandDesk[device]?.messages ?? 0 > 0
        else {
            _ = done(nil)
            return
        }
        let ride = PiggybackRide(core: self.core, session: session, room: room, done: done)
        self.putBehind(session) { room($0.topic, $0.payload.readableBytes) }
        self.core.broker.connected(session, to: ride, receiveMaximum: 1)
        if ride.command == nil, !ride.isOver {
            if let sessionID, let topic = self.topicThatWaits(for: device, ride) {
                self.core.offer(sessionID: sessionID, for: topic, of: device, isProven: isProven, source: ride)
            }
            self.core.pumpCommands(for: session)
        }
        let isComing = self.core.commandDesk[device]?.topics.contains(where: \.isLeaving) ?? false
        if ride.command == nil, isComing {
            ride.wait(Self.patience)
        } else {
            ride.finish()
        }
    }

    /// Has something that fits come first. Where nothing does, all stays as it is.
    private func putBehind(_ session: Session, _ fits: (Message) -> Bool) {
        let waiting = session.queuedMessages
        guard let index = waiting.firstIndex(where: fits), index > 0 else { return }
        let behind = session.takeFirst(index)
        self.core.redeliver(behind, to: session)
    }

    /// The ride of the device that gets this topic, if one is being made.
    func ride(of device: DeviceID, for topic: TopicName) -> PiggybackRide? {
        guard let session = self.sessions[device], let ride = session.connection as? PiggybackRide, !ride.isOver,
            self.observed[device]?[topic] == nil, session.subscriptions.keys.contains(where: { $0.matches(topic) }),
            self.core.mayReceive(session, topic)
        else { return nil }
        return ride
    }

    private func topicThatWaits(for device: DeviceID, _ ride: PiggybackRide) -> TopicName? {
        self.core.commandDesk[device]?.topics.first { topic in
            guard let first = topic.waiting.first, !topic.isLeaving else { return false }
            return self.observed[device]?[topic.topic] == nil && self.core.fits(first.message, of: device, ride)
        }?.topic
    }
}
