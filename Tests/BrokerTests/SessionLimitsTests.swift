import Broker
import MQTTCodec
import NIOCore
import Testing

/// What clients that are away, slow or greedy may hold.
@Suite("Limits of sessions")
struct SessionLimitsTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    /// Opens a session whose client leaves at once.
    private func leave(
        _ broker: LocalBroker,
        _ clientID: String,
        _ owner: SessionOwner = .unproven,
        at now: NIODeadline = start
    ) throws -> Session {
        let opened = try #require(try broker.connect(clientID, owner))
        broker.leave(opened, now: now)
        return opened.session
    }

    @Test("ends a session whose client is away for too long, that of a device later [MQTT-4.1.0-2]")
    func expires() throws {
        let broker = LocalBroker(limits: .init(unprovenExpiry: .seconds(10), provenExpiry: .seconds(100)))
        let unproven = try self.leave(broker, "a")
        #expect(try broker.subscribe(unproven, "t", .init(qos: .atLeastOnce)) == .new)
        _ = try self.leave(broker, "b", .guest, at: Self.start + .seconds(1))
        _ = try self.leave(broker, "c", .device("c"))
        let present = try #require(try broker.connect("d"))
        broker.expire(now: Self.start + .seconds(10) - .nanoseconds(1))
        #expect(broker.sessionCount == 4)
        broker.expire(now: Self.start + .seconds(10))
        #expect(broker.sessionCount == 3 && broker.subscriptionCount == 0)
        broker.expire(now: Self.start + .seconds(99))
        #expect(broker.sessionCount == 2)
        broker.expire(now: Self.start + .seconds(100))
        #expect(broker.sessionCount == 1)
        broker.disconnected(present.session, connection: FakeConnection(), now: Self.start)
        #expect(broker.sessionCount == 1)
    }

    @Test("begins to count anew when a client was back, also when its session was taken over")
    func returns() throws {
        let broker = LocalBroker(limits: .init(unprovenExpiry: .seconds(10)))
        _ = try self.leave(broker, "first")
        _ = try self.leave(broker, "middle")
        _ = try self.leave(broker, "last")
        let back = try #require(try broker.connect("middle"))
        let taking = try #require(try broker.connect("middle"))
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

    // [MQTT-4.1.0-1]
    @Test("gives the place of the absent client that proved nothing and left first, never that of a device")
    func evicts() throws {
        let broker = LocalBroker(limits: .init(sessions: 4))
        _ = try self.leave(broker, "a", at: Self.start)
        _ = try self.leave(broker, "b", at: Self.start + .seconds(1))
        _ = try self.leave(broker, "p", .device("p"), at: Self.start)
        _ = try self.leave(broker, "q", .device("q"), at: Self.start)
        #expect(broker.sessionCount == 4)
        // Half of the table is theirs: a third one takes the place of the first.
        let third = try #require(try broker.connect("c"))
        #expect(broker.sessionCount == 4)
        // A device more takes that of the second.
        #expect(try broker.connect("r", .device("r")) != nil)
        #expect(try #require(try broker.connect("p", .device("p"))).isPresent)
        #expect(try #require(try broker.connect("q", .device("q"))).isPresent)
        // Nobody is left to go: the third is present.
        #expect(third.session.connection != nil)
        #expect(try broker.connect("s", .device("s")) == nil)
        #expect(broker.sessionCount == 4)
    }

    @Test("never lets clients that proved nothing take more than half of the places")
    func half() throws {
        let broker = LocalBroker(limits: .init(sessions: 4))
        let present = [try #require(try broker.connect("a")), try #require(try broker.connect("b", .guest))]
        #expect(try broker.connect("c") == nil)
        #expect(try broker.connect("c", .guest) == nil)
        #expect(try broker.connect("p", .device("p")) != nil)
        #expect(try broker.connect("q", .device("q")) != nil)
        broker.remove(present[0].session)
        broker.remove(present[0].session)
        #expect(try broker.connect("c") != nil)
        #expect(try broker.connect("d") == nil)
    }

    @Test("queues nothing for absent clients past the bytes of all queues, and still queues for those who are here")
    func queueBudget() throws {
        let broker = LocalBroker(limits: .init(queuedBytesTotal: 1000, outbound: .init(inFlight: 1)))
        let absent = try self.leave(broker, "a", .device("a"))
        let other = try self.leave(broker, "b", .device("b"))
        var queued = 0
        while queued < 100, try absent.deliver("12345678") == .queued {
            queued += 1
        }
        #expect(queued == 3)  // Each costs 9 bytes of its own and 256 for its keeping.
        #expect(broker.queuedBytes == 3 * 265)
        #expect(try other.deliver("12345678") == .dropped)

        let present = try #require(try broker.connect("c", .device("c")))
        #expect(try present.session.deliver("1") == .sent)
        #expect(try present.session.deliver("2") == .queued)
        #expect(present.session.acknowledged(1))
        #expect(present.session.acknowledged(2))
        #expect(present.connection.sent.count == 2)
        #expect(broker.queuedBytes == 3 * 265)

        broker.remove(absent)
        #expect(broker.queuedBytes == 0)
        #expect(try absent.deliver("x") == .dropped)
        #expect(try other.deliver("12345678") == .queued)
    }

    @Test("a device with many sessions takes its share of all queues, and nobody else's")
    func deviceBudget() throws {
        let queue = OutboundQueue.Limits(inFlight: 1, inFlightBytes: 1, queuedBytes: 100)
        let broker = LocalBroker(limits: .init(queuedBytesTotal: 8 * 800, outbound: queue))
        let sessions = try (0..<10).map { try self.leave(broker, "\($0)", .device("greedy")) }
        let other = try self.leave(broker, "a", .device("other"))
        var queued = 0
        for session in sessions {
            for _ in 0..<5 where try session.deliver("12345678") == .queued { queued += 1 }
        }
        #expect(queued == 3)  // 265 bytes each, of 800.
        #expect(try other.deliver("12345678") == .queued)
        // What goes makes room again, also for sessions that come when there was none for a while.
        for session in sessions { broker.remove(session) }
        #expect(broker.queuedBytes == 265)
        #expect(try self.leave(broker, "b", .device("greedy")).deliver("12345678") == .queued)
    }

    @Test("clients that prove nothing have a budget of their own, also for what is at them and for their wills")
    func unprovenBudget() throws {
        let broker = LocalBroker(limits: .init(queuedBytesTotal: 1000))
        let guest = try #require(try broker.connect("a", .guest))
        var sent = 0
        while sent < 100, try guest.session.deliver("12345678") == .sent { sent += 1 }
        #expect(sent == 3)
        #expect(!guest.session.hold(willOf: 1000))
        broker.leave(guest)
        #expect(broker.queuedBytes == 3 * 265)
        let device = try #require(try broker.connect("a", .device("a")))
        broker.leave(device)
        #expect(try device.session.deliver("12345678") == .queued)
        #expect(device.session.hold(willOf: 1000))
        #expect(device.session.hold(willOf: 0))
        #expect(broker.queuedBytes == 4 * 265)
    }

    @Test("counts the bytes of filters, and gives them back")
    func subscriptionBytes() throws {
        let cost = 3 + 2 * Session.bytesPerLevel
        let broker = LocalBroker(limits: .init(subscriptionBytes: 2 * cost))
        let session = try #require(try broker.connect("a")).session
        let filters = try ["a/1", "a/2", "a/3"].map { try TopicFilter($0) }
        #expect(broker.subscribe(session, to: filters[0], .init(qos: .atMostOnce)) != .full)
        #expect(broker.subscribe(session, to: filters[1], .init(qos: .atMostOnce)) != .full)
        #expect(broker.subscribe(session, to: filters[2], .init(qos: .atMostOnce)) == .full)
        #expect(broker.subscribe(session, to: filters[1], .init(qos: .atLeastOnce)) != .full)
        #expect(broker.unsubscribe(session, from: filters[0]))
        #expect(broker.subscribe(session, to: filters[2], .init(qos: .atMostOnce)) != .full)
        #expect(broker.subscribe(session, to: filters[0], .init(qos: .atMostOnce)) == .full)
        broker.remove(session)
        #expect(broker.subscribe(session, to: filters[0], .init(qos: .atMostOnce)) == .full)
        #expect(broker.subscriptionCount == 0)
    }
}
