import Broker
import Devices
import MQTTCodec
import NIOCore

/// One response that takes a command along: the connection of a ``Piggyback`` session for as long as the response is being
/// made. Bound to the gateway's loop.
final class PiggybackRide: SessionConnection, CommandSource {
    private unowned let core: GatewayCore
    private let session: Session
    private var done: ((Piggyback.Command?) -> Bool)?
    private var timer: Scheduled<Void>?
    /// What the response takes along.
    private(set) var command: Piggyback.Command?
    private var packetID: UInt16 = 0

    init(core: GatewayCore, session: Session, done: @escaping (Piggyback.Command?) -> Bool) {
        self.core = core
        self.session = session
        self.done = done
    }

    /// A session ID that came with the post is good until the response leaves.
    var isHere: Bool { self.done != nil }
    var hasRoom: Bool { self.done != nil && self.command == nil }

    func send(_ message: Message, as delivery: Delivery) -> Bool {
        // A filter with wildcards may match what the gateway says itself: session IDs are no commands.
        guard self.hasRoom, !self.core.registry.reserved.contains(message.topic) else { return false }
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
