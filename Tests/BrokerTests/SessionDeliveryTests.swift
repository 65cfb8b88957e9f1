import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Deliveries of a session")
struct SessionDeliveryTests {
    private let journal = FakeJournal()

    private func broker() -> LocalBroker {
        let broker = LocalBroker(limits: .init(outbound: .init(inFlight: 1)))
        broker.journal = self.journal
        return broker
    }

    @Test("does not send what has expired while it waited, and sends what was begun [MQTT-3.3.2-5]")
    func expiry() throws {
        let broker = self.broker()
        let client = try #require(try broker.connect("a"))
        let past = NIODeadline.now() - .milliseconds(1)
        _ = try client.session.deliver("1")
        #expect(try client.session.deliver("2", expiry: past) == .queued)
        _ = try client.session.deliver("3", expiry: .now() + .hours(1))
        client.session.acknowledged(1)
        #expect(client.connection.payloads == ["1", "3"])
        #expect(client.session.queuedCount == 1)
    }

    @Test("of what waits on a topic the last takes the place of the others, if it says so; what is at the client stays")
    func replaces() throws {
        let client = try #require(try self.broker().connect("a"))
        func deliver(_ text: String, on topic: String = "t", replaces: Bool = true) throws {
            let payload = ByteBuffer(string: text)
            let topic = try TopicName(topic)
            var outgoing = OutgoingMessage(
                Message(topic: topic, payload: payload, qos: .atLeastOnce, retain: false, replacesWaiting: replaces)
            )
            _ = client.session.deliver(&outgoing, qos: .atLeastOnce, retain: false)
        }
        try deliver("sent")
        for (text, topic) in [("1", "t"), ("other", "u"), ("2", "t"), ("3", "t")] { try deliver(text, on: topic) }
        try deliver("4", replaces: false)
        #expect(client.session.queuedCount == 4)
        #expect(self.journal.stored().first?.queue.count == 4)
        for packetID in UInt16(1)...4 { client.session.acknowledged(packetID) }
        #expect(client.connection.payloads == ["sent", "other", "3", "4"])
        #expect(client.session.queuedCount == 0)
        #expect(self.journal.stored().first?.queue.isEmpty == true)
    }

    @Test("drops what is over the client's Maximum Packet Size, and goes on [MQTT-3.1.2-24], [MQTT-3.1.2-25]")
    func tooLarge() throws {
        let client = try #require(try self.broker().connect("a"))
        client.connection.maxPayload = 2
        _ = try client.session.deliver("large")
        #expect(client.session.queuedCount == 0)
        _ = try client.session.deliver("ok")
        #expect(try client.session.deliver("large", qos: .atMostOnce) == .dropped)
        #expect(client.connection.payloads == ["ok"])
        #expect(self.journal.stored().first?.queue.count == 1)
    }

    @Test("writes a message down once for all sessions, and each of them its place")
    func writesDown() throws {
        let broker = self.broker()
        let absent = try ["a", "b"].map { try #require(try broker.connect($0)) }
        for client in absent {
            #expect(try broker.subscribe(client.session, "t", .init(qos: .atLeastOnce)) == .new)
            broker.leave(client)
        }
        try broker.publish("1", on: "t")
        #expect(self.journal.messages.count == 1)
        let number = try #require(self.journal.messages.keys.first)
        #expect(self.journal.stored().allSatisfy { $0.queue.map(\.message) == [number] })
    }

    @Test("a message that could not be written down leaves the queue again")
    func undone() throws {
        let client = try #require(try self.broker().connect("a"))
        broker(leave: client)
        _ = try client.session.deliver("1")
        let order = try #require(self.journal.stored().first?.queue.first?.order)
        client.session.undo(order: order)
        #expect(client.session.queuedCount == 0)
        client.session.undo(order: order)
    }

    private func broker(leave client: Opened) {
        client.connection.hasRoom = false
    }

    @Test("keeps what a session needs for its life after a restart, and nothing of one that ends with its connection")
    func restores() throws {
        let broker = self.broker()
        let client = try #require(try broker.connect("a", .device("a"), expiry: 100))
        let passing = try #require(try broker.connect("b", cleanStart: true, expiry: 0))
        for session in [client.session, passing.session] {
            _ = try broker.subscribe(session, "$share/g/t/+", .init(qos: .exactlyOnce, identifier: 9))
            _ = try broker.subscribe(session, "u", .init(qos: .atLeastOnce, noLocal: true, retainAsPublished: true))
            _ = try broker.subscribe(session, "gone", .init(qos: .atLeastOnce))
            #expect(broker.unsubscribe(session, from: try TopicFilter("gone")))
            #expect(!broker.unsubscribe(session, from: try TopicFilter("gone")))
        }
        let stored = self.journal.stored()
        #expect(stored.count == 1)
        let restarted = self.broker()
        let session = try #require(restarted.restore(stored[0], messages: [:], ends: .now() + .hours(1)))
        #expect(session.owner == .device("a") && session.expiryInterval == 100)
        #expect(session.subscriptions.count == 2)
        let shared = session.subscriptions[try TopicFilter("$share/g/t/+")]
        #expect(shared == SubscriptionOptions(qos: .exactlyOnce, identifier: 9))
        let plain = session.subscriptions[try TopicFilter("u")]
        #expect(plain == SubscriptionOptions(qos: .atLeastOnce, noLocal: true, retainAsPublished: true))
        #expect(restarted.subscriptionCount == 2)
        #expect(try #require(try restarted.connect("a", .device("a"))).isPresent)
        #expect(restarted.restore(stored[0], messages: [:], ends: .now()) == nil)
    }

    @Test("a clean start ends the stored session for good [MQTT-3.1.2-4]")
    func cleanStart() throws {
        let broker = self.broker()
        let first = try #require(try broker.connect("a"))
        _ = try broker.subscribe(first.session, "t", .init(qos: .atLeastOnce))
        broker.leave(first)
        let second = try #require(try broker.connect("a", cleanStart: true))
        #expect(!second.isPresent && second.session !== first.session)
        #expect(broker.subscriptionCount == 0)
        #expect(self.journal.stored().map(\.record.number) == [second.session.number])
    }

    @Test("gives up what waits when the right to it was taken away, and keeps the rest")
    func forbidden() throws {
        let broker = self.broker()
        let client = try #require(try broker.connect("a"))
        broker.leave(client)
        for topic in ["allowed", "secret", "allowed"] {
            var outgoing = OutgoingMessage(try message(topic, on: topic))
            _ = client.session.deliver(&outgoing, qos: .atLeastOnce, retain: false)
        }
        let secret = try TopicName("secret")
        broker.guardian.mayReceive = { $1 != secret }
        let again = try #require(try broker.connect("a"))
        again.session.acknowledged(1)
        #expect(again.connection.payloads == ["allowed", "allowed"])
        #expect(self.journal.stored().first?.queue.count == 1)
    }

    @Test("what is worth nothing on another connection is not written down, and goes with this one")
    func passing() throws {
        let broker = self.broker()
        let client = try #require(try broker.connect("a"))
        var outgoing = OutgoingMessage(try message("session ID", on: "t"))
        #expect(client.session.deliver(&outgoing, qos: .atLeastOnce, retain: false, isPassing: true) == .sent)
        #expect(self.journal.messages.isEmpty && self.journal.stored().first?.queue.isEmpty == true)
        broker.leave(client)
        let again = try #require(try broker.connect("a"))
        #expect(again.connection.sent.isEmpty && again.session.queuedCount == 0)
    }

    @Test("what has expired makes room for what has not")
    func expiredMakesRoom() throws {
        let broker = LocalBroker(limits: .init(outbound: .init(queuedMessages: 2)))
        let client = try #require(try broker.connect("a"))
        broker.leave(client)
        for text in ["1", "2"] { _ = try client.session.deliver(text, expiry: .now() - .seconds(1)) }
        #expect(try client.session.deliver("3") == .queued)
        #expect(client.session.queuedCount == 1)
    }
}
