import Broker
import DequeModule
import Devices
import MQTTCodec
import NIOCore
import Store

/// Commands that wait to be sealed, and the session IDs that nodes published for them: the Sealer's memory. Bound to the
/// gateway's loop; decides, and does no I/O.
///
/// A session ID is used for one command, once: for good, as far as it is remembered, also over a restart.
final class CommandDesk {
    struct Limits: Sendable, Equatable {
        /// Topics of one device.
        var topicsPerDevice = 32
        /// Commands of one device that wait.
        var messagesPerDevice = 1_000
        /// Bytes of them.
        var bytesPerDevice = 1 << 20
        /// Bytes of all that waits.
        var bytes = 32 << 20
    }

    /// What became of a session ID.
    enum Offer: Equatable {
        /// The next command on its topic is sealed under it.
        case taken
        /// A command was sealed under it already.
        case used
        /// The device proves itself elsewhere, and this was not proven.
        case notProven
        /// The device has as many command topics as it may have.
        case full
    }

    let limits: Limits
    private var devices: [DeviceID: DeviceCommands] = [:]
    /// Topics with something that waits.
    private(set) var busy: [ObjectIdentifier: CommandTopic] = [:]
    /// Of all that waits.
    private(set) var messages = 0
    private(set) var bytes = 0

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// What is remembered of a device; nil: nothing.
    subscript(device: DeviceID) -> DeviceCommands? { self.devices[device] }

    // MARK: Session IDs

    /// Takes a session ID for the next command on `topic`, in place of the one before it.
    func offer(_ id: CommandSessionID, for topic: TopicName, of device: DeviceID) -> Offer {
        let own = self.makeDevice(device)
        guard !own.hasUsed(id) else { return .used }
        guard id.isProven || !own.provesItself else { return .notProven }
        guard let entry = own.topic(topic) ?? self.makeTopic(topic, of: own) else { return .full }
        if id.isProven { own.noteProof() }
        if id.isRetained || entry.sessionID?.isRetained ?? false { own.isChanged = true }
        entry.sessionID = id
        return .taken
    }

    /// The node takes its session ID back, if it is the node: where it proves itself, nobody else does it for it.
    ///
    /// - Parameter isProven: That it is the node is beyond doubt.
    /// - Returns: Whether it may.
    func withdraw(_ topic: TopicName, of device: DeviceID, isProven: Bool) -> Bool {
        guard let own = self.devices[device] else { return true }
        guard isProven || !own.provesItself else { return false }
        guard let entry = own.topic(topic), let id = entry.sessionID else { return true }
        if id.isRetained { own.isChanged = true }
        entry.sessionID = nil
        return true
    }

    // MARK: Commands

    /// Whether one command more may wait on the topic of `message`, and which ones leave for it: they are taken out. Nil: it
    /// may not, and all that waits stays.
    func makeRoom(for message: Message, of device: DeviceID) -> (topic: CommandTopic, displaced: [WaitingCommand])? {
        let own = self.makeDevice(device)
        let present = own.topic(message.topic)
        let leaving = present.map { Self.displaced(by: message, of: $0) } ?? []
        let freed = leaving.reduce(0) { $0 + $1.size }
        let added = WaitingCommand.size(of: message) - freed
        guard own.messages - leaving.count < self.limits.messagesPerDevice,
            own.bytes + added <= self.limits.bytesPerDevice, self.bytes + added <= self.limits.bytes,
            let entry = present ?? self.makeTopic(message.topic, of: own)
        else { return nil }
        let orders = Set(leaving.map(\.order))
        return (entry, orders.isEmpty ? [] : self.take(of: entry) { orders.contains($0.order) })
    }

    /// What waits on `topic` and would leave for `message`; not what is on its way already.
    private static func displaced(by message: Message, of topic: CommandTopic) -> [WaitingCommand] {
        guard message.retain || message.replacesWaiting else { return [] }
        // Each subscription brings what is retained again.
        return topic.waiting.dropFirst(topic.isLeaving ? 1 : 0).filter { !message.retain || $0.message.retain }
    }

    /// Adds a command for which there is room.
    func append(_ command: WaitingCommand, to topic: CommandTopic) {
        topic.waiting.append(command)
        self.count(command, of: topic, by: 1)
        self.busy[ObjectIdentifier(topic)] = topic
    }

    /// The command that leaves now, with its session ID, which is used up with this; nil if none can.
    func next(of topic: CommandTopic) -> (command: WaitingCommand, id: CommandSessionID)? {
        guard !topic.isLeaving, let command = topic.waiting.first, let own = self.devices[topic.device],
            let id = topic.sessionID, id.isGood
        else { return nil }
        if id.isRetained { own.isChanged = true }
        topic.sessionID = nil
        // The node may have named one ID for two topics.
        guard !own.hasUsed(id) else { return nil }
        own.use(id)
        topic.isLeaving = true
        return (command, id)
    }

    /// The command that was leaving is with those who get it.
    func left(_ topic: CommandTopic) {
        guard topic.isLeaving else { return }
        topic.isLeaving = false
        self.remove(at: 0, of: topic)
    }

    /// The command that was leaving did not get away; it needs another session ID.
    func stays(_ topic: CommandTopic) { topic.isLeaving = false }

    /// Takes a command out that could not be written down.
    func remove(order: Int64) {
        for topic in self.busy.values {
            guard let index = topic.waiting.firstIndex(where: { $0.order == order }) else { continue }
            if index == 0 { topic.isLeaving = false }
            return self.remove(at: index, of: topic)
        }
    }

    /// Takes out what is worth nothing any more, but for what is leaving.
    func takeExpired(of topic: CommandTopic, now: NIODeadline) -> [WaitingCommand] {
        self.take(of: topic) { $0.message.hasExpired(now: now) }
    }

    /// Takes out all that waits on a topic, but for what is leaving.
    func takeAll(of topic: CommandTopic) -> [WaitingCommand] { self.take(of: topic) { _ in true } }

    private func take(of topic: CommandTopic, where isOver: (WaitingCommand) -> Bool) -> [WaitingCommand] {
        var taken: [WaitingCommand] = []
        for index in topic.waiting.indices.reversed() where index > 0 || !topic.isLeaving {
            guard isOver(topic.waiting[index]) else { continue }
            taken.append(topic.waiting[index])
            self.remove(at: index, of: topic)
        }
        return taken.reversed()
    }

    /// Forgets a device that is gone.
    ///
    /// - Returns: What waited for it.
    func forget(_ device: DeviceID) -> [WaitingCommand] {
        guard let own = self.devices.removeValue(forKey: device) else { return [] }
        var taken: [WaitingCommand] = []
        for topic in own.topics {
            for command in topic.waiting {
                taken.append(command)
                self.count(command, of: topic, by: -1)
            }
            topic.waiting = []
            topic.isLeaving = false
            self.busy[ObjectIdentifier(topic)] = nil
        }
        return taken
    }

    // MARK: The last run

    /// Takes what an earlier run remembered of a device.
    func restore(_ record: CommandSessionRecord, device: DeviceID) {
        self.devices[device] = DeviceCommands(record, device: device, topicLimit: self.limits.topicsPerDevice)
    }

    // MARK: Helpers

    private func makeDevice(_ device: DeviceID) -> DeviceCommands {
        if let own = self.devices[device] { return own }
        let own = DeviceCommands(device: device)
        self.devices[device] = own
        return own
    }

    /// A new topic; where there are enough, one that only has a session ID gives way.
    private func makeTopic(_ topic: TopicName, of own: DeviceCommands) -> CommandTopic? {
        if own.topics.count >= self.limits.topicsPerDevice {
            guard let index = own.topics.firstIndex(where: \.waiting.isEmpty) else { return nil }
            if own.topics[index].sessionID?.isRetained ?? false { own.isChanged = true }
            own.topics.remove(at: index)
        }
        let entry = CommandTopic(topic: topic.compacted(), device: own.device)
        own.topics.append(entry)
        return entry
    }

    private func remove(at index: Int, of topic: CommandTopic) {
        self.count(topic.waiting[index], of: topic, by: -1)
        topic.waiting.remove(at: index)
        if topic.waiting.isEmpty { self.busy[ObjectIdentifier(topic)] = nil }
    }

    private func count(_ command: WaitingCommand, of topic: CommandTopic, by sign: Int) {
        self.messages += sign
        self.bytes += sign * command.size
        guard let own = self.devices[topic.device] else { return }
        own.messages += sign
        own.bytes += sign * command.size
    }
}
