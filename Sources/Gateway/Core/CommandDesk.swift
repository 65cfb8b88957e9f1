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
        if id.isProven { own.provesItself = true }
        if id.isRetained || entry.sessionID?.isRetained ?? false { own.isChanged = true }
        entry.sessionID = id
        return .taken
    }

    /// The node takes its session ID back.
    func withdraw(_ topic: TopicName, of device: DeviceID) {
        guard let own = self.devices[device], let entry = own.topic(topic), let id = entry.sessionID else { return }
        if id.isRetained { own.isChanged = true }
        entry.sessionID = nil
    }

    // MARK: Commands

    /// Whether one command more may wait on `topic`, and which ones leave for it; nil: it may not.
    func makeRoom(for message: Message, of device: DeviceID) -> (topic: CommandTopic, displaced: [WaitingCommand])? {
        let own = self.makeDevice(device)
        guard let entry = own.topic(message.topic) ?? self.makeTopic(message.topic, of: own) else { return nil }
        let displaced =
            switch (message.retain, message.replacesWaiting) {
            case (true, _): self.take(of: entry, where: \.message.retain)  // Each subscription brings it again.
            case (false, true): self.takeAll(of: entry)
            case (false, false): [WaitingCommand]()
            }
        let size = WaitingCommand.size(of: message)
        guard own.messages < self.limits.messagesPerDevice, own.bytes + size <= self.limits.bytesPerDevice,
            self.bytes + size <= self.limits.bytes
        else { return nil }
        return (entry, displaced)
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
