import Broker
import Devices
import MQTTCodec
import NIOCore

/// One response that takes a command along: the connection of a ``Piggyback`` session for as long as the response is being
/// made. Bound to the gateway's loop.
final class PiggybackRide: SessionConnection, CommandSource {
    private unowned let core: GatewayCore
    private let session: Session
    private let room: (TopicName, Int) -> Bool
    private var done: ((Piggyback.Command?) -> Bool)?
    private var timer: Scheduled<Void>?
    /// What the response takes along.
    private(set) var command: Piggyback.Command?
    private var packetID: UInt16 = 0

    init(
        core: GatewayCore,
        session: Session,
        room: @escaping (TopicName, Int) -> Bool,
        done: @escaping (Piggyback.Command?) -> Bool
    ) {
        self.core = core
        self.session = session
        self.room = room
        self.done = done
    }

    /// The response has left.
    var isOver: Bool { self.done == nil }
    /// A session ID that came with the post is good until the response leaves.
    var isHere: Bool { !self.isOver }
    /// For the first that waits, if the response can take it.
    var hasRoom: Bool {
        guard !self.isOver, self.command == nil else { return false }
        return self.session.firstQueuedMessage.map { self.takes($0.topic, bytes: $0.payload.readableBytes) } ?? true
    }

    /// Whether the response can take a payload of so many bytes.
    func takes(_ topic: TopicName, bytes: Int) -> Bool { self.command == nil && self.room(topic, bytes) }

    /// Takes a command that was sealed for this response, which leaves with it.
    ///
    /// - Returns: False if the response could not: nobody has the command.
    func take(_ message: Message) -> Bool {
        guard let done = self.done, self.command == nil else { return false }
        self.done = nil
        self.timer?.cancel()
        let isTaken = done((message.topic, message.payload))
        self.core.broker.rest(self.session, connection: self)
        return isTaken
    }

    func send(_ message: Message, as delivery: Delivery) -> Bool {
        // A filter with wildcards may match what the gateway says itself: session IDs are no commands.
        guard !self.isOver, self.command == nil, !self.core.registry.reserved.contains(message.topic) else {
            return false
        }
        self.command = (message.topic, message.payload)
        self.packetID = delivery.packetID
        // The session is in the middle of sending: it is acknowledged after that.
        if self.timer != nil { self.core.loop.assumeIsolated().execute { self.finish() } }
        return true
    }

    /// Nothing is granted at QoS 2.
    func release(_ packetID: UInt16) {}

    /// Gives what comes until then, or nothing.
    func wait(_ time: TimeAmount) {
        self.timer = self.core.loop.assumeIsolated().scheduleTask(in: time) { self.finish() }
    }

    /// The response leaves.
    func finish() {
        guard let done = self.done else { return }
        self.done = nil
        self.timer?.cancel()
        // A command of a device that was revoked meanwhile goes nowhere.
        let command = self.session.hasEnded ? nil : self.command
        // What the response could not take waits for another one.
        if done(command), command != nil, self.packetID != 0 { self.session.acknowledged(self.packetID) }
        self.core.broker.rest(self.session, connection: self)
    }
}
