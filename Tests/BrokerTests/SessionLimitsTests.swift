import Broker
import MQTTCodec
import NIOCore
import Testing

/// What clients that are away, slow or greedy may hold.
@Suite("Limits of sessions")
struct SessionLimitsTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private final class Connection: SessionConnection {
        var hasRoom = true
        var sent = 0

        func send(_ message: Message, as delivery: Delivery) -> Bool {
            self.sent += 1
            return true
        }

        func release(_ packetID: UInt16) {}
    }

    /// A session and its connection, which the session does not keep alive.
    private struct Opened {
        let session: Session
        let isPresent: Bool
        let connection: Connection
    }

    private func open(_ broker: LocalBroker, _ clientID: String, _ owner: SessionOwner = .unproven) throws -> Opened? {
        let clientID = try MQTTString(clientID)
        guard
            case .opened(let session, let isPresent, _) = broker.open(clientID: clientID, owner: owner, isClean: false)
        else { return nil }
        let connection = Connection()
        session.connection = connection
        return Opened(session: session, isPresent: isPresent, connection: connection)
    }

    /// Opens a session whose client leaves at once.
    private func leave(
        _ broker: LocalBroker,
        _ clientID: String,
        _ owner: SessionOwner = .unproven,
        at now: NIODeadline = start
    ) throws -> Session {
        let opened = try #require(try self.open(broker, clientID, owner))
        broker.disconnected(opened.session, connection: opened.connection, now: now)
        return opened.session
    }

    private func message(_ text: String) throws -> Message {
        Message(topic: try TopicName("t"), payload: ByteBuffer(string: text), qos: .atLeastOnce, retain: false)
    }

    @Test("ends a session whose client is away for too long, that of a device later")
    func expires() throws {
        let broker = LocalBroker(limits: .init(unprovenExpiry: .seconds(10), provenExpiry: .seconds(100)))
        let unproven = try self.leave(broker, "a")
        #expect(broker.subscribe(unproven, to: try TopicFilter("t"), qos: .atLeastOnce))
        _ = try self.leave(broker, "b", .guest, at: Self.start + .seconds(1))
        _ = try self.leave(broker, "c", .device("c"))
        let present = try #require(try self.open(broker, "d"))
        broker.expire(now: Self.start + .seconds(10) - .nanoseconds(1))
        #expect(broker.sessionCount == 4)
        broker.expire(now: Self.start + .seconds(10))
        #expect(broker.sessionCount == 3 && broker.subscriptionCount == 0)
        broker.expire(now: Self.start + .seconds(99))
        #expect(broker.sessionCount == 2)
        broker.expire(now: Self.start + .seconds(100))
        #expect(broker.sessionCount == 1)
        broker.disconnected(present.session, connection: present.connection, now: Self.start)
        #expect(broker.sessionCount == 1)
    }

    @Test("begins to count anew when a client was back, also when its session was taken over")
    func returns() throws {
        let broker = LocalBroker(limits: .init(unprovenExpiry: .seconds(10)))
        _ = try self.leave(broker, "first")
        _ = try self.leave(broker, "middle")
        _ = try self.leave(broker, "last")
        let back = try #require(try self.open(broker, "middle"))
        let taking = try #require(try self.open(broker, "middle"))
        broker.disconnected(back.session, connection: back.connection, now: Self.start)
        broker.expire(now: Self.start + .seconds(10))
        #expect(broker.sessionCount == 1)
        let leaving = Self.start + .seconds(20)
        broker.disconnected(taking.session, connection: taking.connection, now: leaving)
        broker.expire(now: leaving + .seconds(9))
        #expect(broker.sessionCount == 1)
        broker.expire(now: leaving + .seconds(10))
        #expect(broker.sessionCount == 0)
    }

    @Test("gives the place of the absent client that proved nothing and left first, never that of a device")
    func evicts() throws {
        let broker = LocalBroker(limits: .init(sessions: 4))
        _ = try self.leave(broker, "a", at: Self.start)
        _ = try self.leave(broker, "b", at: Self.start + .seconds(1))
        _ = try self.leave(broker, "p", .device("p"), at: Self.start)
        _ = try self.leave(broker, "q", .device("q"), at: Self.start)
        #expect(broker.sessionCount == 4)
        // Half of the table is theirs: a third one takes the place of the first.
        let third = try #require(try self.open(broker, "c"))
        #expect(broker.sessionCount == 4)
        // A device more takes that of the second.
        #expect(try self.open(broker, "r", .device("r")) != nil)
        #expect(try #require(try self.open(broker, "p", .device("p"))).isPresent)
        #expect(try #require(try self.open(broker, "q", .device("q"))).isPresent)
        // Nobody is left to go: the third is present.
        #expect(third.session.connection != nil)
        #expect(try self.open(broker, "s", .device("s")) == nil)
        #expect(broker.sessionCount == 4)
    }

    @Test("never lets clients that proved nothing take more than half of the places")
    func half() throws {
        let broker = LocalBroker(limits: .init(sessions: 4))
        let present = [try #require(try self.open(broker, "a")), try #require(try self.open(broker, "b", .guest))]
        #expect(try self.open(broker, "c") == nil)
        #expect(try self.open(broker, "c", .guest) == nil)
        #expect(try self.open(broker, "p", .device("p")) != nil)
        #expect(try self.open(broker, "q", .device("q")) != nil)
        broker.remove(present[0].session)
        broker.remove(present[0].session)
        #expect(try self.open(broker, "c") != nil)
        #expect(try self.open(broker, "d") == nil)
    }

    @Test("queues nothing for absent clients past the bytes of all queues, and still queues for those who are here")
    func queueBudget() throws {
        let broker = LocalBroker(limits: .init(queuedBytesTotal: 1000, outbound: .init(inFlight: 1)))
        let absent = try self.leave(broker, "a")
        let other = try self.leave(broker, "b")
        var queued = 0
        while queued < 100, absent.deliver(try self.message("12345678"), qos: .atLeastOnce, retain: false) == .queued {
            queued += 1
        }
        #expect(queued == 3)  // Each costs 9 bytes of its own and 256 for its keeping.
        #expect(broker.queuedBytes == 3 * 265)
        #expect(other.deliver(try self.message("12345678"), qos: .atLeastOnce, retain: false) == .dropped)

        let present = try #require(try self.open(broker, "c"))
        #expect(present.session.deliver(try self.message("1"), qos: .atLeastOnce, retain: false) == .sent)
        #expect(present.session.deliver(try self.message("2"), qos: .atLeastOnce, retain: false) == .queued)
        #expect(present.session.acknowledged(1))
        #expect(present.session.acknowledged(2))
        #expect(present.connection.sent == 2)
        #expect(broker.queuedBytes == 3 * 265)

        broker.remove(absent)
        #expect(broker.queuedBytes == 0)
        #expect(absent.deliver(try self.message("x"), qos: .atLeastOnce, retain: false) == .dropped)
        #expect(other.deliver(try self.message("12345678"), qos: .atLeastOnce, retain: false) == .queued)
    }

    @Test("counts the bytes of filters, and gives them back")
    func subscriptionBytes() throws {
        let cost = 3 + 2 * Session.bytesPerLevel
        let broker = LocalBroker(limits: .init(subscriptionBytes: 2 * cost))
        let session = try #require(try self.open(broker, "a")).session
        let filters = try ["a/1", "a/2", "a/3"].map { try TopicFilter($0) }
        #expect(broker.subscribe(session, to: filters[0], qos: .atMostOnce))
        #expect(broker.subscribe(session, to: filters[1], qos: .atMostOnce))
        #expect(!broker.subscribe(session, to: filters[2], qos: .atMostOnce))
        #expect(broker.subscribe(session, to: filters[1], qos: .atLeastOnce))
        broker.unsubscribe(session, from: filters[0])
        #expect(broker.subscribe(session, to: filters[2], qos: .atMostOnce))
        #expect(!broker.subscribe(session, to: filters[0], qos: .atMostOnce))
        broker.remove(session)
        #expect(!broker.subscribe(session, to: filters[0], qos: .atMostOnce))
        #expect(broker.subscriptionCount == 0)
    }
}
