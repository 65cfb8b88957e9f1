import MQTTCodec
import NIOCore
import Uplink

/// Any packets of a broker in any order to the client of an uplink, whose owner sends, answers and loses connections as it
/// comes: nothing traps, what is closed stays closed, every message is told of once, and what is sent is what that broker
/// takes.
struct UplinkTarget {
    private let version: MQTTVersion
    private var client: UplinkClient
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private var output = ByteBuffer()
    private var broker = BrokerModel()
    private var nextSequence: Int64 = 0
    /// Messages of the owner that were sent at QoS 1 or 2 and not told of.
    private var inFlight: Set<Int64> = []
    /// QoS 2: what the owner has written down.
    private var releases: [UInt16] = []
    private var held: Set<UInt16> = []
    /// What the owner has yet to answer.
    private var receipts: [UplinkReceipt] = []
    private var completions: [UInt16] = []
    /// The same, of sessions that the broker lost.
    private var lostReceipts: [UplinkReceipt] = []

    static func check(_ input: FuzzInput) {
        var input = input
        var target = UplinkTarget(flags: input.byte())
        while !input.isEmpty { target.step(&input) }
        target.finish()
    }

    private init(flags: UInt8) {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        self.version = flags & 1 != 0 ? .v5 : .v311
        configuration.version = self.version
        configuration.cleanSession = flags & 2 != 0 && flags & 4 != 0
        configuration.inFlight = flags & 8 != 0 ? 3 : 20
        configuration.receiveMaximum = flags & 16 != 0 ? 2 : 10
        configuration.inboundTopicAliasMaximum = flags & 32 != 0 ? 0 : 2
        configuration.maxOutboundTopicAliases = 2
        configuration.filtersPerSubscribe = 1
        if flags & 64 != 0 {
            configuration.subscriptions = ["a", "home/#"].compactMap { filter in
                (try? TopicFilter(filter)).map { Subscription(filter: $0, qos: .exactlyOnce) }
            }
        }
        self.client = UplinkClient(configuration: configuration, seed: 1)
        if flags & 128 != 0 {
            self.releases = [0x8003, 0x8001]
            self.held = [1, 2]
            self.client.restore(releases: self.releases, held: Array(self.held))
        }
        self.perform(self.client.start(now: self.now))
    }

    /// What happens next: the high half of the byte says what, the low one to what.
    private mutating func step(_ input: inout FuzzInput) {
        let byte = input.byte()
        let packetID = UInt16(byte & 7)
        switch byte >> 4 {
        case 0: self.receive(Self.frame(&input))
        case 1: self.connect(&input)
        case 2: self.send(QoS(rawValue: byte & 3) ?? .exactlyOnce, byte, input.byte())
        case 3: self.answerAll()
        case 4:
            self.output.clear()
            if self.client.phase == .connected || self.client.phase == .awaitingConnAck {
                self.perform(self.client.transportClosed(reason: "cut", now: self.now))
            }
        case 5: self.receive(.puback(self.answer(packetID, input.byte())))
        case 6: self.receive(.pubrec(self.answer(byte & 8 != 0 ? packetID : 0x8000 + packetID, input.byte())))
        case 7: self.receive(.pubcomp(PubAck(packetID: byte & 8 != 0 ? max(1, packetID) : 0x8000 + packetID)))
        case 8: self.receive(.publish(self.publish(QoS(rawValue: byte & 3) ?? .atLeastOnce, &input)))
        case 9: self.receive(.pubrel(PubAck(packetID: UInt16(input.byte() & 7) + 1)))
        case 10: self.now = self.now + .seconds(Int64(input.byte()))
        case 11: self.client.windowLimit = Int(byte & 15)
        case 12: self.withdraw(Int64(input.byte()))
        case 13:
            let code: ReasonCode = byte & 1 == 0 ? .success : .quotaExceeded
            self.receive(.suback(SubAck(packetID: 0xFFFF, reasonCodes: [code])))
        case 14: self.skip(input.byte(), packetID)
        default: self.receive(.disconnect(Disconnect(reasonCode: .serverBusy)))
        }
        self.perform(self.client.tick(now: self.now, into: &self.output))
        self.check()
    }

    // MARK: Of the broker

    private static func frame(_ input: inout FuzzInput) -> MQTTFrame {
        let firstByte = input.byte()
        return MQTTFrame(firstByte: firstByte, body: ByteBuffer(bytes: input.bytes(Int(input.byte() & 31))))
    }

    private func answer(_ packetID: UInt16, _ code: UInt8) -> PubAck {
        let codes: [ReasonCode] = [.success, .noMatchingSubscribers, .quotaExceeded, .notAuthorized]
        return PubAck(packetID: max(1, packetID), reasonCode: codes[Int(code & 3)])
    }

    private func publish(_ qos: QoS, _ input: inout FuzzInput) -> Publish {
        let flags = input.byte()
        var publish = Publish(
            topic: Self.topic(flags >> 4),
            payload: ByteBuffer(bytes: [flags]),
            qos: qos,
            dup: flags & 8 != 0 && qos != .atMostOnce,
            packetID: qos == .atMostOnce ? 0 : UInt16(flags & 7) + 1
        )
        if self.version == .v5, flags & 0x80 != 0 {
            let alias = input.byte()
            publish.properties.topicAlias = UInt16(alias & 3) + 1
            if alias & 4 != 0 { publish.topic = TopicName(unchecked: ByteBuffer()) }
        }
        return publish
    }

    private static func topic(_ number: UInt8) -> TopicName {
        TopicName(unchecked: ByteBuffer(string: "some/topic/\(number & 3)"))
    }

    private mutating func receive(_ packet: MQTTPacket) {
        var bytes = ByteBuffer()
        packet.encode(into: &bytes, version: self.version)
        guard let frame = try? MQTTFrameDecoder.nextFrame(&bytes, maxPacketSize: .max) else { return }
        self.receive(frame)
    }

    private mutating func receive(_ frame: MQTTFrame) {
        let phase = self.client.phase
        // Before the client judges it: what it writes may be an answer to it.
        self.broker.sent(frame, version: self.version, isConnected: phase == .connected)
        let action = self.client.received(frame, now: self.now, into: &self.output)
        if phase != .connected, phase != .awaitingConnAck { expect(action == .none, "\(action) after the close") }
        self.perform(action)
    }

    private mutating func connect(_ input: inout FuzzInput) {
        if self.client.phase == .waiting, let deadline = self.client.nextDeadline {
            self.now = max(self.now, deadline)
            self.perform(self.client.tick(now: self.now, into: &self.output))
        }
        guard self.client.phase == .connecting else { return }
        self.output.clear()
        self.client.transportConnected(now: self.now, into: &self.output)
        let flags = input.byte()
        var connAck = ConnAck(sessionPresent: flags & 1 != 0)
        if self.version == .v5 {
            if flags & 2 != 0 { connAck.properties.receiveMaximum = UInt16(input.byte() & 7) + 1 }
            if flags & 4 != 0 { connAck.properties.topicAliasMaximum = UInt16(input.byte() & 3) }
            if flags & 8 != 0 { connAck.properties.maximumPacketSize = UInt32(input.byte()) + 1 }
            if flags & 16 != 0 { connAck.properties.maximumQoS = flags & 32 != 0 ? .atMostOnce : .atLeastOnce }
            if flags & 64 != 0 { connAck.properties.retainAvailable = false }
            if flags & 128 != 0 { connAck.properties.serverKeepAlive = UInt16(input.byte()) }
        }
        self.broker.connected(connAck.properties)
        self.receive(.connack(connAck))
    }

    private mutating func skip(_ firstByte: UInt8, _ packetID: UInt16) {
        let firstByte = 0x30 | firstByte & 0x0F
        self.perform(self.client.skipped(firstByte: firstByte, packetID: packetID, now: self.now, into: &self.output))
    }

    // MARK: Of the owner

    private mutating func send(_ qos: QoS, _ flags: UInt8, _ more: UInt8) {
        // QoS 2 identifiers that meet again.
        let sequence = self.nextSequence * 0x7FFE + Int64(more & 7)
        var message = UplinkMessage(
            sequence: sequence,
            topic: Self.topic(more >> 3),
            payload: ByteBuffer(repeating: 7, count: Int(more >> 5) * 4),
            qos: qos,
            retain: flags & 4 != 0,
            isRepeat: flags & 8 != 0
        )
        if more & 16 != 0 { message.properties.contentType = "text" }
        if more & 32 != 0 { message.expiry = self.now + .seconds(Int64(more)) }
        switch self.client.send(message, now: self.now, into: &self.output) {
        case .sent:
            self.nextSequence += 1
            self.inFlight.insert(sequence)
            Tally.count("sent")
        case .sentAtMostOnce: self.nextSequence += 1
        case .noRoom, .tooLarge, .expired: break
        }
    }

    private mutating func withdraw(_ number: Int64) {
        guard let sequence = self.inFlight.sorted().dropFirst(Int(number)).first else { return }
        let isWithdrawn = self.client.withdraw(sequence: sequence)
        expect(isWithdrawn == (self.client.phase != .connected), "withdrawn in a connection, or not without")
        guard isWithdrawn else { return }
        self.inFlight.remove(sequence)
        // Of a QoS 1 message too: a release that nothing waits for is ignored.
        self.releases.append(UplinkClient.exactlyOnceID(of: sequence))
    }

    private mutating func answerAll() {
        for receipt in self.receipts {
            guard receipt.packetID == 7 else {
                self.client.acknowledge(receipt, into: &self.output)
                continue
            }
            if receipt.isExactlyOnce { self.held.remove(7) }
            if self.client.abandon(receipt) {
                self.check()
                self.perform(self.client.transportClosed(reason: "not stored", now: self.now))
            }
        }
        for receipt in self.lostReceipts { self.client.acknowledge(receipt, into: &self.output) }
        self.receipts = []
        self.lostReceipts = []
        for packetID in self.releases { self.client.release(packetID: packetID, into: &self.output) }
        for packetID in self.completions { self.client.complete(packetID: packetID, into: &self.output) }
        self.completions = []
    }

    private mutating func perform(_ action: UplinkAction) {
        switch action {
        case .none, .connect, .dropped, .subscribed: break
        case .connected(let session):
            Tally.count("connected")
            for sequence in session.sentAtMostOnce + session.unsendable.map(\.sequence) { self.tell(sequence) }
            self.releases += session.unsendable.compactMap(\.releaseID)
            for packetID in session.forgottenReleases { self.complete(packetID) }
            for packetID in session.forgottenHeld {
                let isKnown = self.held.remove(packetID) != nil || self.completions.contains(packetID)
                expect(isKnown, "\(packetID) was not held")
            }
            expect(session.isPresent || self.held.isEmpty, "a held identifier was not told of")
            guard !session.isPresent else { return }
            self.lostReceipts += self.receipts
            self.receipts = []
        case .acknowledged(let sequence), .refused(let sequence, _, _): self.tell(sequence)
        case .pubrec(let sequence, let packetID):
            self.tell(sequence)
            expect(packetID == UplinkClient.exactlyOnceID(of: sequence), "another identifier")
            self.releases.append(packetID)
        case .completed(let packetID):
            self.complete(packetID)
            Tally.count("completed")
        case .message(let publish, let receipt):
            expect(publish.topic.buffer.readableBytes > 0, "a message without a topic")
            expect(publish.properties.topicAlias == nil, "an alias left")
            guard let receipt else { return }
            self.receipts.append(receipt)
            expect(receipt.isExactlyOnce == (publish.qos == .exactlyOnce), "another QoS")
            guard receipt.isExactlyOnce else { return }
            expect(self.held.insert(receipt.packetID).inserted, "a QoS 2 message came twice")
        case .released(let packetID):
            let isKnown = self.held.remove(packetID) != nil || self.completions.contains(packetID)
            expect(isKnown, "\(packetID) was not held")
            self.completions.append(packetID)
            Tally.count("released")
        case .close(let failure, _):
            expect(self.client.phase == .waiting, "closed and \(self.client.phase)")
            expect(!failure.description.isEmpty, "a close without a word")
            self.check()
            self.output.clear()
            Tally.count("closed")
        }
    }

    private mutating func tell(_ sequence: Int64) {
        expect(self.inFlight.remove(sequence) != nil, "message \(sequence) was told of twice")
    }

    private mutating func complete(_ packetID: UInt16) {
        self.releases.removeAll { $0 == packetID }
        self.client.forget(packetID: packetID)
    }

    // MARK: What must hold

    private mutating func check() {
        expect(self.client.inFlightCount >= self.inFlight.count, "a message was lost")
        while self.output.readableBytes > 0 { self.broker.receive(&self.output, version: self.version) }
    }

    private mutating func finish() {
        self.client.stop(into: &self.output)
        expect(self.client.phase == .stopped, "not stopped")
        expect(self.client.nextDeadline == nil, "stopped and waiting")
    }
}
