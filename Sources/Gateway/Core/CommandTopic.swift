import Broker
import DequeModule
import Devices
import MQTTCodec
import NIOCore

/// A command that waits for a session ID of its node, or for the node itself.
struct WaitingCommand {
    /// In storage of its own. Its RETAIN flag is that of the delivery.
    let message: Message
    /// Its place among all that waits, and in the store.
    let order: Int64
    /// Under which the store has the message; 0: it does not.
    let number: Int64
    /// The batch that has to be on disk before it is sealed: until then its publisher keeps it, and may send it again.
    let batch: UInt64

    /// What keeping it counts for.
    var size: Int { Self.size(of: self.message) }

    /// What keeping `message` counts for, with its place in a queue.
    static func size(of message: Message) -> Int { message.size + 256 }
}

/// The commands on one topic, which are sealed for one device, and the session ID for the next of them. Bound to the
/// gateway's loop; changed by its ``CommandDesk`` alone.
final class CommandTopic {
    let topic: TopicName
    let device: DeviceID
    var sessionID: CommandSessionID?
    var waiting: Deque<WaitingCommand> = []
    /// The first of ``waiting`` has its session ID, and leaves when the use of that is on disk.
    var isLeaving = false
    /// Since when nobody is subscribed whom it could be sent to, nor has a session for it.
    var orphanedSince: NIODeadline?

    init(topic: TopicName, device: DeviceID) {
        self.topic = topic
        self.device = device
    }
}

/// All topics of one device, and what it used up.
final class DeviceCommands {
    /// Most session IDs that are remembered as used; older ones no node has any more.
    static let maxUsed = 128

    let device: DeviceID
    /// Digests of used session IDs, the latest last.
    private(set) var used: [UInt64] = []
    /// In the order in which they were first named.
    var topics: [CommandTopic] = []
    var messages = 0
    var bytes = 0
    /// It has published a session ID beyond doubt, in this run or an earlier one; so from then on nobody else's are taken for
    /// its.
    private(set) var provesItself = false
    /// What is on disk is another thing than ``record`` says.
    var isChanged = false

    init(device: DeviceID) {
        self.device = device
    }

    func topic(_ name: TopicName) -> CommandTopic? { self.topics.first { $0.topic == name } }

    func noteProof() {
        guard !self.provesItself else { return }
        self.provesItself = true
        self.isChanged = true
    }

    /// It proved itself in an earlier run.
    func restoreProof() { self.provesItself = true }

    func hasUsed(_ id: CommandSessionID) -> Bool { self.used.contains(id.digest) }

    func use(_ id: CommandSessionID) {
        self.remember(used: id.digest)
        self.isChanged = true
    }

    func remember(used digest: UInt64) {
        if self.used.count == Self.maxUsed { self.used.removeFirst() }
        self.used.append(digest)
    }
}
