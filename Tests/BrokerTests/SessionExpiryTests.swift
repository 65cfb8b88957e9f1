import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Sessions: expiry and wills")
struct SessionExpiryTests {
    private let start = NIODeadline.uptimeNanoseconds(1 << 50)
    private let broker = LocalBroker(limits: .init(unprovenExpiry: .seconds(100)))

    private func will(due: NIODeadline) throws -> PendingWill {
        let will = Will(topic: try TopicName("will"), payload: ByteBuffer(string: "gone"))
        return PendingWill(will: will, due: due, sender: self.broker)
    }

    @Test("ends a session after its own interval, which the limits cut [MQTT-3.1.2-23]")
    func ownInterval() throws {
        let short = try #require(try self.broker.connect("a", expiry: 10))
        let long = try #require(try self.broker.connect("b", expiry: .max))
        #expect(long.session.expiryInterval == 100)
        for client in [short, long] { self.broker.leave(client, now: self.start) }
        #expect(self.broker.nextDeadline == self.start + .seconds(10))
        self.broker.expire(now: self.start + .seconds(10))
        #expect(self.broker.sessionCount == 1)
        #expect(self.broker.nextDeadline == self.start + .seconds(100))
    }

    @Test("does not give a session back whose interval is over, though nobody looked in between")
    func lapsed() throws {
        let client = try #require(try self.broker.connect("a", expiry: 10))
        self.broker.leave(client, now: self.start)
        let again = try #require(try self.broker.connect("a", expiry: 10, now: self.start + .seconds(10)))
        #expect(!again.isPresent)
        #expect(client.session.hasEnded)
    }

    @Test("takes the interval that DISCONNECT brings, zero included")
    func disconnect() throws {
        for (interval, count) in [(UInt32(0), 0), (5, 1)] {
            let client = try #require(try self.broker.connect("a", expiry: 50))
            self.broker.disconnected(
                client.session,
                connection: client.connection,
                expiryInterval: interval,
                now: self.start
            )
            #expect(self.broker.sessionCount == count)
        }
        #expect(self.broker.nextDeadline == self.start + .seconds(5))
    }

    @Test("sends a will when its delay is over, or its session, whichever is first [MQTT-3.1.2-8]")
    func delayedWill() throws {
        let early = try #require(try self.broker.connect("a", expiry: 50))
        let late = try #require(try self.broker.connect("b", expiry: 5))
        for client in [early, late] { self.broker.leave(client, now: self.start) }
        early.session.hold(try self.will(due: self.start + .seconds(10)))
        late.session.hold(try self.will(due: self.start + .seconds(10)))
        #expect(self.broker.nextDeadline == self.start + .seconds(5))
        var counts: [Int] = []
        for time: TimeAmount in [.seconds(4), .seconds(5), .seconds(10), .seconds(20)] {
            self.broker.expire(now: self.start + time)
            counts.append(self.broker.takeLapsedWills().count)
        }
        #expect(counts == [0, 1, 1, 0])
        #expect(self.broker.sessionCount == 1)
    }

    @Test(
        "drops a waiting will when its client is back, and sends it when a clean start ends the session [MQTT-3.1.3-9]"
    )
    func willAndReturn() throws {
        let first = try #require(try self.broker.connect("a"))
        self.broker.leave(first)
        first.session.hold(try self.will(due: .now() + .seconds(60)))
        let second = try #require(try self.broker.connect("a"))
        #expect(second.isPresent && second.session.pendingWill == nil)
        #expect(self.broker.takeLapsedWills().isEmpty)
        self.broker.leave(second)
        second.session.hold(try self.will(due: .now() + .seconds(60)))
        _ = try #require(try self.broker.connect("a", cleanStart: true))
        #expect(self.broker.takeLapsedWills().count == 1)
    }

    @Test("a session that makes room for another one has its will sent")
    func evictedWill() throws {
        let broker = LocalBroker(limits: .init(sessions: 2))
        let first = try #require(try broker.connect("a"))
        broker.leave(first)
        first.session.hold(try self.will(due: .now() + .seconds(60)))
        _ = try #require(try broker.connect("b"))
        #expect(first.session.hasEnded && broker.takeLapsedWills().count == 1)
    }

    @Test(
        "a CONNECT that comes to nothing leaves no session that nobody can have [CONNACK larger than the client takes]"
    )
    func abandoned() throws {
        for (expiry, count) in [(UInt32(0), 0), (50, 1)] {
            let opening = self.broker.open(
                clientID: "a",
                owner: .guest,
                cleanStart: true,
                expiryInterval: expiry,
                now: self.start
            )
            guard case .opened(let session, _, _, _) = opening else { throw NoSession() }
            let connection = FakeConnection()
            session.claimant = connection
            self.broker.abandoned(session, by: FakeConnection(), now: self.start)
            #expect(self.broker.sessionCount == 1)
            self.broker.abandoned(session, by: connection, now: self.start)
            #expect(self.broker.sessionCount == count)
        }
        self.broker.expire(now: self.start + .seconds(50))
        #expect(self.broker.sessionCount == 0)
    }

    private struct NoSession: Error {}

    @Test("a session without expiry is over when its connection is taken over [MQTT-3.1.4-3]")
    func takeover() throws {
        let first = try #require(try self.broker.connect("a", cleanStart: false, expiry: 0))
        let second = try #require(try self.broker.connect("a", cleanStart: false, expiry: 0))
        #expect(!second.isPresent && second.takenOver === first.connection)
        self.broker.leave(first)
        #expect(self.broker.sessionCount == 1)
        self.broker.leave(second)
        #expect(self.broker.sessionCount == 0)
    }

    @Test("bounds the sessions of one device, and not those of another")
    func perDevice() throws {
        let broker = LocalBroker(limits: .init(sessionsPerDevice: 2))
        let first = try #require(try broker.connect("1", .device("a")))
        _ = try #require(try broker.connect("2", .device("a")))
        #expect(try broker.connect("3", .device("a")) == nil)
        #expect(try broker.connect("3", .device("b")) != nil)
        #expect(try broker.connect("1", .device("a")) != nil)
        broker.remove(first.session)
        #expect(try broker.connect("3", .device("a")) != nil)
    }
}
