import Broker
import DequeModule
import Devices
import Logging
import MQTTCodec
import NIOCore
import OpenSSL
import Sealing
import Transport
import Uplink

/// A broker that is there already, with the gateway as its client: takes messages from it as from a connection that proves
/// nothing, and publishes session IDs, commands and opened messages there. Bound to the gateway's loop.
///
/// A message is acknowledged to the broker when it is dealt with: stored if it was accepted, and, when accepted messages go
/// back, when the broker has that one too. So a crash in between loses none of them.
final class AttachedBroker {
    /// Receipts that may wait: a broker has no more packet identifiers.
    static let maxOwed = 65_535
    /// Bytes of messages that may wait to go there.
    static let maxWaitingBytes = 16 << 20

    let configuration: AttachedBrokerConfiguration
    unowned let core: GatewayCore
    let connector: UplinkConnector
    var machine: UplinkClient
    var outbox: AttachedOutbox
    private var echoes = EchoFilter()
    /// What is dealt with, but for the messages that have to be back at the broker first.
    var owed: Deque<(receipt: UplinkReceipt, number: Int64)> = []
    var channel: UplinkChannel?
    var current: (client: Client, connection: AttachedConnection)?
    private var lastSequence: Int64 = 0
    private var timer: Scheduled<Void>?
    private var timerDeadline: NIODeadline?
    /// The broker had kept the session, when it last let the gateway in.
    var hadSession = false
    var lastFailure: String?
    private var isDraining = false
    private var isStopped = false
    private(set) var counters = Counters()

    /// What was counted since the start, for `$SYS`.
    struct Counters {
        var received = 0
        /// Old, unasked for, or the gateway's own.
        var ignored = 0
        /// Sent back opened.
        var sentBack = 0
        var commands = 0
        /// Messages for which there was no room while the broker was away or slow.
        var dropped = 0
    }

    init(
        _ configuration: AttachedBrokerConfiguration,
        core: GatewayCore,
        machine: UplinkClient,
        connector: UplinkConnector
    ) {
        self.configuration = configuration
        self.core = core
        self.machine = machine
        self.connector = connector
        let maxCommands = core.configuration.limits.maxQueuedMessages
        self.outbox = AttachedOutbox(maxCommands: maxCommands, maxBytes: Self.maxWaitingBytes)
    }

    var name: String { self.configuration.name }
    var isConnected: Bool { self.machine.phase == .connected }
    /// Nothing waits for the broker, and the broker for nothing.
    var isDrained: Bool { !self.isConnected || self.outbox.isEmpty && self.machine.inFlightCount == 0 }

    /// As in gateway.conf, for the log; the one in use while there is one.
    var address: String { self.channel?.address ?? self.configuration.broker.name }

    // MARK: Life

    func start() {
        self.perform(self.machine.start(now: .now()))
    }

    /// The gateway stops: what comes from now on is not taken, and stays with the broker.
    func drain() {
        self.isDraining = true
        self.readOn()
    }

    /// Ends it: DISCONNECT, close.
    func stop() {
        self.isStopped = true
        self.timer?.cancel()
        self.connector.cancel()
        self.endConnection()
        guard let channel = self.channel.take() else {
            var nowhere = ByteBuffer()
            return self.machine.stop(into: &nowhere)
        }
        channel.write { self.machine.stop(into: &$0) }
        channel.close()
    }

    /// Gives the connection up, and comes back after a while: the broker then sends again what is not acknowledged.
    func reconnect(reason: String) {
        guard self.channel != nil else { return }
        self.perform(self.machine.transportClosed(reason: reason, now: .now()))
    }

    /// Reads on or not, as the disk allows.
    func readOn() {
        // When the gateway stops, the last acknowledgements have to come in yet.
        let mayRead = self.isDraining || !self.core.isCongested
        if let channel = self.channel, channel.isReading != mayRead { channel.isReading = mayRead }
    }

    // MARK: What goes there

    /// New session IDs, in the order in which they were issued. A broker that is away gets those that are valid when it is
    /// back.
    func publish(_ issued: [SessionID], of channel: SealedChannel) {
        guard self.isConnected, !issued.isEmpty else { return }
        let limit = channel.receiver.configuration.window
        for id in issued { self.outbox.append(sessionID: id.payload, topic: channel.topic, limit: limit) }
        self.pump()
    }

    /// Whether what an uplink brings on this topic goes there.
    func takes(_ topic: TopicName) -> Bool { self.configuration.commands.contains { $0.matches(topic) } }

    /// A message that an uplink brought, if its topic is for nodes here. Never retained: what is retained outside can't be
    /// told from here when it is out of date.
    ///
    /// - Returns: Whether it is on its way there.
    @discardableResult
    func publish(command message: Message) -> Bool {
        guard self.takes(message.topic) else { return false }
        guard self.outbox.hasRoomForCommand else {
            self.countDropped()
            return false
        }
        self.counters.commands += 1
        if self.configuration.subscribe.contains(where: { $0.matches(message.topic) }) {
            self.echoes.expect(message.topic, message.payload, now: .now())
        }
        self.outbox.append(topic: message.topic, payload: message.payload, isCommand: true)
        self.pump()
        return true
    }

    /// An accepted message of this broker's, opened.
    func sendBack(topic: TopicName, payload: ByteBuffer) {
        guard let prefix = self.configuration.prefix else { return }
        var bytes = ByteBuffer(string: prefix)
        bytes.writeImmutableBuffer(topic.buffer)
        guard let target = try? TopicName(validating: bytes), self.outbox.hasRoom else { return self.countDropped() }
        self.counters.sentBack += 1
        self.outbox.append(topic: target, payload: payload)
        self.pump()
    }

    private func countDropped() {
        if self.counters.dropped == 0 {
            self.core.logger.warning(
                "attached broker away or slow: messages for it are dropped; $SYS counts them",
                metadata: ["broker": "\(self.name)"]
            )
        }
        self.counters.dropped += 1
    }

    func pump() {
        guard let channel = self.channel else { return }
        while self.machine.freeSlots > 0, channel.isWritable, let item = self.outbox.first {
            let sequence = self.lastSequence + 1
            let message = UplinkMessage(
                sequence: sequence,
                topic: item.topic,
                payload: item.payload,
                qos: .atLeastOnce,
                retain: item.retain
            )
            let outcome = channel.write { self.machine.send(message, now: .now(), into: &$0) }
            guard outcome != .noRoom else { break }
            self.lastSequence = sequence
            self.outbox.sentFirst(sequence: sequence)
            if outcome != .sent { self.outbox.acknowledged(sequence) }
        }
        self.armTimer()
    }

    // MARK: What comes from there

    /// The message with this receipt is dealt with. It is acknowledged when those that go back are at the broker, this
    /// one's among them: which they are is not asked, for they leave in order.
    func acknowledge(_ receipt: UplinkReceipt) {
        self.owed.append((receipt, self.outbox.lastNumber))
        self.payOwed()
    }

    func payOwed() {
        guard let channel = self.channel, !self.owed.isEmpty else { return }
        channel.write { output in
            while let first = self.owed.first, self.configuration.prefix == nil || self.outbox.isDone(first.number) {
                self.owed.removeFirst()
                self.machine.acknowledge(first.receipt, into: &output)
            }
        }
    }

    func received(_ publish: Publish, _ receipt: UplinkReceipt?) {
        guard !self.isDraining, let (client, connection) = self.current else { return }
        // Its own session IDs come back to the gateway wherever a filter is so wide.
        let isOwn =
            self.core.registry.reserved.contains(publish.topic)
            || self.echoes.takes(publish.topic, publish.payload)
        // A retained message is one of an earlier time, and comes again with each connection. Filters of an earlier
        // gateway.conf may still be in force at the broker.
        // But a session ID for commands is good until it is used, and which were is known.
        let mayBeOld = publish.retain && self.core.registry.commandSession(publish.topic) == nil
        let isWanted = !isOwn && !mayBeOld && self.configuration.subscribe.contains { $0.matches(publish.topic) }
        guard isWanted else {
            if !isOwn { self.counters.ignored += 1 }
            if let receipt { self.acknowledge(receipt) }
            return
        }
        if let receipt {
            // Not to read on would not do: the acknowledgements that make room come behind.
            guard self.configuration.prefix == nil || self.outbox.hasRoom else {
                return self.reconnect(reason: "too many opened messages wait for the broker to take them")
            }
            guard self.owed.count < Self.maxOwed, connection.took(receipt) else {
                return self.reconnect(reason: "the broker broke the protocol: a packet identifier is in use already")
            }
        }
        self.counters.received += 1
        client.received(publish)
    }

    func armTimer() {
        guard !self.isStopped, let deadline = self.machine.nextDeadline else { return }
        if let armed = self.timerDeadline, armed <= deadline { return }
        self.timer?.cancel()
        self.timerDeadline = deadline
        self.timer = self.core.loop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            guard let self else { return }
            self.timerDeadline = nil
            let now = NIODeadline.now()
            if let channel = self.channel {
                self.perform(channel.write { self.machine.tick(now: now, into: &$0) })
            } else {
                var nowhere = ByteBuffer()
                self.perform(self.machine.tick(now: now, into: &nowhere))
            }
        }
    }
}
