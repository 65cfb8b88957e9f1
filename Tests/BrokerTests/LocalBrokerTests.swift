import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Local broker")
struct LocalBrokerTests {
    /// The network side of a client, without a network.
    final class Connection: SessionConnection {
        struct Sent: Equatable {
            var payload: String
            var qos: QoS
            var packetID: UInt16
            var isDuplicate: Bool
        }

        var hasRoom = true
        var sent: [Sent] = []

        func send(_ message: Message, as delivery: Delivery) -> Bool {
            self.sent.append(
                Sent(
                    payload: String(buffer: message.payload),
                    qos: delivery.qos,
                    packetID: delivery.packetID,
                    isDuplicate: delivery.isDuplicate
                )
            )
            return true
        }

        func release(_ packetID: UInt16) {}
    }

    private func open(
        _ broker: LocalBroker,
        _ clientID: String,
        owner: SessionOwner = .unproven,
        isClean: Bool = true
    ) throws -> (session: Session, isPresent: Bool) {
        guard
            case .opened(let session, let isPresent, _) = broker.open(
                clientID: try MQTTString(clientID),
                owner: owner,
                isClean: isClean
            )
        else { throw Refused() }
        return (session, isPresent)
    }

    private struct Refused: Error {}

    private func message(_ text: String, qos: QoS = .atLeastOnce) throws -> Message {
        Message(topic: try TopicName("a/b"), payload: ByteBuffer(string: text), qos: qos, retain: false)
    }

    @Test("never gives the session of one identity to another, and lets nobody take a name")
    func ownership() throws {
        let broker = LocalBroker()
        let owners: [SessionOwner] = [.unproven, .guest, .device("shed"), .device("kitchen")]
        let sessions = try owners.map { try self.open(broker, "kitchen", owner: $0, isClean: false) }
        #expect(sessions.allSatisfy { !$0.isPresent })
        #expect(broker.sessionCount == owners.count)
        for (owner, session) in zip(owners, sessions) {
            let again = try self.open(broker, "kitchen", owner: owner, isClean: false)
            #expect(again.session === session.session)
            #expect(again.isPresent)
        }
        _ = try self.open(broker, "kitchen", owner: .unproven, isClean: true)
        #expect(try self.open(broker, "kitchen", owner: .device("kitchen"), isClean: false).isPresent)
    }

    @Test("hands a taken over session to the new connection and leaves nothing of a clean one")
    func takeover() throws {
        let broker = LocalBroker()
        let first = Connection()
        let old = try self.open(broker, "a").session
        old.connection = first
        #expect(broker.subscribe(old, to: try TopicFilter("a/#"), qos: .atMostOnce))
        guard
            case .opened(let new, false, let takenOver) = broker.open(
                clientID: "a",
                owner: .unproven,
                isClean: true
            )
        else { throw Refused() }
        #expect(takenOver === first)
        let second = Connection()
        new.connection = second
        broker.disconnected(old, connection: first)
        #expect(broker.sessionCount == 1)
        #expect(broker.subscriptionCount == 0)
        broker.disconnected(new, connection: second)
        #expect(broker.sessionCount == 0)
    }

    @Test("delivers once per session, with the best of overlapping subscriptions [MQTT-3.3.5-1]")
    func overlapping() throws {
        let broker = LocalBroker()
        let session = try self.open(broker, "a").session
        for (filter, qos) in [("a/#", QoS.atMostOnce), ("a/+", .atLeastOnce), ("a/b", .atMostOnce)] {
            #expect(broker.subscribe(session, to: try TopicFilter(filter), qos: qos))
        }
        var found: [QoS] = []
        broker.forEachRecipient(of: try TopicName("a/b")) { recipient, qos in
            #expect(recipient === session)
            found.append(qos)
        }
        #expect(found == [.atLeastOnce])
        broker.unsubscribe(session, from: try TopicFilter("a/+"))
        found = []
        broker.forEachRecipient(of: try TopicName("a/b")) { found.append($1) }
        #expect(found == [.atMostOnce])
    }

    @Test("keeps messages for an absent client, and sends what was in flight again with DUP, in order [MQTT-4.4.0-1]")
    func resumes() throws {
        let broker = LocalBroker(limits: .init(outbound: .init(inFlight: 2)))
        let session = try self.open(broker, "a", isClean: false).session
        let first = Connection()
        session.connection = first
        for text in ["1", "2", "3"] { _ = session.deliver(try self.message(text), qos: .atLeastOnce, retain: false) }
        #expect(first.sent.map(\.payload) == ["1", "2"])
        broker.disconnected(session, connection: first)
        #expect(session.deliver(try self.message("4"), qos: .atLeastOnce, retain: false) == .queued)
        #expect(session.deliver(try self.message("0", qos: .atMostOnce), qos: .atMostOnce, retain: false) == .dropped)

        let (again, isPresent) = try self.open(broker, "a", isClean: false)
        #expect(isPresent && again === session)
        let second = Connection()
        again.resume(on: second)
        #expect(second.sent.map(\.payload) == ["1", "2"])
        #expect(second.sent.map(\.isDuplicate) == [true, true])
        #expect(session.acknowledged(1))
        #expect(session.acknowledged(2))
        #expect(second.sent.map(\.payload) == ["1", "2", "3", "4"])
    }

    @Test("drops QoS 0 and keeps QoS 1 while the client does not read")
    func slowReader() throws {
        let broker = LocalBroker()
        let session = try self.open(broker, "a").session
        let connection = Connection()
        connection.hasRoom = false
        session.connection = connection
        #expect(session.deliver(try self.message("0"), qos: .atMostOnce, retain: false) == .dropped)
        #expect(session.deliver(try self.message("1"), qos: .atLeastOnce, retain: false) == .queued)
        #expect(connection.sent.isEmpty)
        connection.hasRoom = true
        session.pump()
        #expect(connection.sent.map(\.payload) == ["1"])
    }

    @Test("bounds sessions, subscriptions and unreleased QoS 2 messages")
    func bounds() throws {
        let broker = LocalBroker(limits: .init(sessions: 2, subscriptions: 2))
        let session = try self.open(broker, "a", owner: .device("a"), isClean: false).session
        _ = try self.open(broker, "b", owner: .device("b"), isClean: false)
        #expect(throws: Refused.self) { try self.open(broker, "c", owner: .device("c")) }
        _ = try self.open(broker, "b", owner: .device("b"), isClean: true)
        #expect(broker.subscribe(session, to: try TopicFilter("1"), qos: .atMostOnce))
        #expect(broker.subscribe(session, to: try TopicFilter("2"), qos: .atMostOnce))
        #expect(!broker.subscribe(session, to: try TopicFilter("3"), qos: .atMostOnce))
        #expect(broker.subscribe(session, to: try TopicFilter("2"), qos: .atLeastOnce))
        for packetID in 1...Session.maxInboundQoS2 { #expect(session.receivedQoS2(UInt16(packetID)) == .new) }
        #expect(session.receivedQoS2(500) == .tooMany)
        #expect(session.receivedQoS2(1) == .underWay)
        #expect(session.recorded(1))
        #expect(session.receivedQoS2(1) == .recorded)
        session.released(1)
        #expect(!session.recorded(1))
        #expect(session.receivedQoS2(500) == .new)
    }
}
