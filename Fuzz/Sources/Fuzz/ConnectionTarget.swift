import Broker
import MQTTCodec
import NIOCore

/// Any packets in any order to the server's side of a connection, whose owner answers as it should: nothing traps, nothing but
/// CONNECT comes first, what is closed stays closed, limits hold, and what is sent is what such a client takes.
struct ConnectionTarget {
    private var connection: ServerConnection
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let limits: ServerConnection.Limits
    private let acceptance: Acceptance
    private var client: ClientModel?
    private var isClosed = false
    private var mayHaveWill = false
    /// Messages of the client that the owner has not answered to the end.
    private var atLeastOnce: [UInt16] = []
    private var exactlyOnce: Set<UInt16> = []

    static func check(_ input: FuzzInput) {
        var input = input
        var target = ConnectionTarget(flags: input.byte())
        while !input.isEmpty { target.receive(Self.nextFrame(&input, target.connection.version)) }
        target.finish()
    }

    private init(flags: UInt8) {
        var limits = ServerConnection.Limits()
        if flags & 1 != 0 {
            limits.maxFiltersPerPacket = 2
            limits.receiveMaximum = 2
            limits.topicAliasMaximum = 2
            limits.outboundTopicAliasMaximum = 1
            limits.maxUserProperties = 1
        }
        limits.maxKeepAlive = UInt16(flags >> 6) * 5
        self.limits = limits
        self.acceptance = Acceptance(
            sessionPresent: flags & 2 != 0,
            assignedClientID: flags & 4 != 0 ? "assigned" : nil,
            responseInformation: "answers",
            retainAvailable: flags & 8 == 0,
            maximumQoS: flags & 16 == 0 ? .exactlyOnce : .atMostOnce
        )
        self.connection = ServerConnection(now: self.now, limits: limits)
    }

    /// A packet as on the wire; one whose length lies gets what is left: the stream itself is the matter of the frames. In
    /// place of type 0, which nobody sends, a good packet.
    private static func nextFrame(_ input: inout FuzzInput, _ version: MQTTVersion) -> MQTTFrame {
        let firstByte = input.byte()
        if firstByte >> 4 == 0, let frame = GoodPackets.frame(firstByte, version: version, &input) { return frame }
        var length = 0
        for shift in [0, 7] {
            let byte = input.byte()
            length |= Int(byte & 0x7F) << shift
            if byte < 0x80 { break }
        }
        return MQTTFrame(firstByte: firstByte, body: ByteBuffer(bytes: input.bytes(length)))
    }

    private mutating func receive(_ frame: MQTTFrame) {
        self.now = self.now + .milliseconds(Int64(frame.firstByte) * 10)
        let wasConnected = self.connection.isConnected
        let event = self.connection.received(frame, now: self.now)
        if self.isClosed {
            guard case .none = event else { fatalError("\(event) after the close") }
        }
        switch event {
        case .none: break
        case .connect(let connect):
            expect(self.client == nil && frame.type == .connect, "a CONNECT where none may be")
            self.decide(connect)
        case .close(let closure): self.close(closure)
        case .publish(let publish):
            self.take(publish)
        case .release(let packetID):
            self.connection.answered(packetID, with: .pubcomp, .success)
            self.exactlyOnce.remove(packetID)
        case .acknowledged, .recorded, .completed, .ping: break
        case .subscribe(let subscribe):
            expect(subscribe.subscriptions.count <= self.limits.maxFiltersPerPacket, "too many filters")
            let codes = subscribe.subscriptions.map { ReasonCode.granted($0.qos) }
            self.send(.suback(SubAck(packetID: subscribe.packetID, reasonCodes: codes)))
        case .unsubscribe(let unsubscribe):
            expect(unsubscribe.filters.count <= self.limits.maxFiltersPerPacket, "too many filters")
            let codes = unsubscribe.filters.map { _ in ReasonCode.noSubscriptionExisted }
            self.send(.unsuback(UnsubAck(packetID: unsubscribe.packetID, reasonCodes: codes)))
        }
        switch event {
        case .none, .connect, .close: break
        default:
            expect(wasConnected && self.client != nil, "\(event) before CONNECT")
            Tally.count("events")
        }
        if case .close(let closure) = self.connection.tick(now: self.now + .milliseconds(1)) { self.close(closure) }
        expect(self.connection.isConnected == (self.client != nil && !self.isClosed), "connected and closed")
    }

    private mutating func decide(_ connect: Connect) {
        let client = ClientModel(connect, self.limits)
        guard let connAck = self.connection.accept(connect, self.acceptance, now: self.now) else {
            expect(connect.properties.maximumPacketSize != nil, "no CONNACK for a client without a limit")
            client.takeLast(self.connection.farewell(.packetTooLarge))
            self.connection.close()
            self.isClosed = true
            return
        }
        self.client = client
        self.mayHaveWill = connect.will != nil
        self.send(.connack(connAck))
        Tally.count("accepted")
    }

    private mutating func close(_ closure: ServerConnection.Closure) {
        expect(!self.isClosed, "closed twice")
        self.isClosed = true
        self.mayHaveWill = self.mayHaveWill && closure.publishesWill
        expect(!closure.description.isEmpty, "a close without a word")
        if let code = closure.reasonCode {
            let last = self.connection.farewell(code)
            if let client = self.client {
                client.takeLast(last)
            } else if let last {
                expect(last.type == .connack, "the last word to a client that was not let in is no CONNACK")
            }
        }
        Tally.count("closed")
    }

    /// A message: its answers are given at once or, for some identifiers, never; and it is sent back.
    private mutating func take(_ publish: Publish) {
        expect(publish.topic.buffer.readableBytes > 0, "a message without a topic")
        expect(publish.properties.topicAlias == nil, "an alias left")
        if self.connection.version == .v5 {
            expect(publish.qos <= self.acceptance.maximumQoS, "QoS above the maximum")
            expect(!publish.retain || self.acceptance.retainAvailable, "a retained message")
            switch publish.qos {
            case .atMostOnce: break
            case .atLeastOnce: self.atLeastOnce.append(publish.packetID)
            case .exactlyOnce: self.exactlyOnce.insert(publish.packetID)
            }
            let unanswered = self.atLeastOnce.count + self.exactlyOnce.count
            expect(unanswered <= Int(self.limits.receiveMaximum), "more than the Receive Maximum")
        }
        let isAnswered = publish.packetID % 4 != 3
        if publish.qos == .atLeastOnce, isAnswered {
            self.connection.answered(publish.packetID, with: .puback, .success)
            _ = self.atLeastOnce.popLast()
            self.send(.puback(PubAck(packetID: publish.packetID)))
        } else if publish.qos == .exactlyOnce {
            let code = isAnswered ? ReasonCode.success : .notAuthorized
            self.connection.answered(publish.packetID, with: .pubrec, code)
            if code.isFailure { self.exactlyOnce.remove(publish.packetID) }
            self.send(.pubrec(PubAck(packetID: publish.packetID, reasonCode: code)))
        }
        self.echo(publish)
    }

    private mutating func echo(_ publish: Publish) {
        var properties = publish.properties
        properties.messageExpiryInterval = nil
        let message = Message(
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            properties: properties,
            expiry: publish.properties.messageExpiryInterval.map { self.now + .seconds(Int64($0)) }
        )
        let delivery = Delivery(
            qos: publish.qos,
            retain: publish.retain,
            packetID: publish.packetID,
            subscriptionIdentifiers: publish.retain ? [1, 268_435_455] : []
        )
        guard let sent = self.connection.publish(message, as: delivery, now: self.now) else { return }
        self.client?.take(sent, of: message)
    }

    private mutating func send(_ packet: MQTTPacket) {
        guard let fitting = self.connection.fitting(packet) else { return }
        self.client?.take(fitting)
    }

    private mutating func finish() {
        if self.isClosed {
            let events = [
                self.connection.tick(now: .distantFuture), self.connection.connectTimedOut(),
                self.connection.decisionTimedOut(),
            ]
            for event in events {
                guard case .none = event else { fatalError("\(event) after the close") }
            }
        } else if self.client != nil, case .close(let closure) = self.connection.tick(now: .distantFuture) {
            self.close(closure)
        }
        let will = self.connection.takeWill()
        expect((will != nil) == self.mayHaveWill, "a will that nobody left or that was taken back, or one lost")
        expect(self.connection.takeWill() == nil, "a will twice")
    }
}
