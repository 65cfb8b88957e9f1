import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Local broker")
struct LocalBrokerTests {
    @Test("never gives the session of one identity to another, and lets nobody take a name")
    func ownership() throws {
        let broker = LocalBroker()
        let owners: [SessionOwner] = [.unproven, .guest, .device("shed"), .device("kitchen")]
        let sessions = try owners.map { try #require(try broker.connect("kitchen", $0)) }
        #expect(sessions.allSatisfy { !$0.isPresent })
        #expect(broker.sessionCount == owners.count)
        let found = broker.sessions(ownedBy: [.device("shed"), .guest, .device("attic")])
        #expect(Set(found.map(\.owner)) == [.device("shed"), .guest] && found.count == 2)
        #expect(broker.sessions(ownedBy: [.device("attic")]).isEmpty && broker.sessions(ownedBy: []).isEmpty)
        for (owner, session) in zip(owners, sessions) {
            let again = try #require(try broker.connect("kitchen", owner))
            #expect(again.session === session.session)
            #expect(again.isPresent)
        }
        _ = try broker.connect("kitchen", .unproven, cleanStart: true)
        #expect(try #require(try broker.connect("kitchen", .device("kitchen"))).isPresent)
    }

    @Test("hands a taken over session to the new connection and leaves nothing of a clean one")
    func takeover() throws {
        let broker = LocalBroker()
        let old = try #require(try broker.connect("a", cleanStart: true, expiry: 0))
        #expect(try broker.subscribe(old.session, "a/#", .init(qos: .atMostOnce)) == .new)
        let new = try #require(try broker.connect("a", cleanStart: true, expiry: 0))
        #expect(!new.isPresent && new.takenOver === old.connection)
        broker.leave(old)
        #expect(broker.sessionCount == 1)
        #expect(broker.subscriptionCount == 0)
        broker.leave(new)
        #expect(broker.sessionCount == 0)
    }

    @Test("keeps messages for an absent client, and sends what was in flight again with DUP, in order [MQTT-4.4.0-1]")
    func resumes() throws {
        let broker = LocalBroker(limits: .init(outbound: .init(inFlight: 2)))
        let first = try #require(try broker.connect("a"))
        for text in ["1", "2", "3"] { _ = try first.session.deliver(text) }
        #expect(first.connection.payloads == ["1", "2"])
        broker.leave(first)
        #expect(try first.session.deliver("4") == .queued)
        #expect(try first.session.deliver("0", qos: .atMostOnce) == .dropped)

        let second = try #require(try broker.connect("a"))
        #expect(second.isPresent && second.session === first.session)
        #expect(second.connection.payloads == ["1", "2"])
        #expect(second.connection.sent.map(\.delivery.isDuplicate) == [true, true])
        #expect(second.session.acknowledged(1))
        #expect(second.session.acknowledged(2))
        #expect(second.connection.payloads == ["1", "2", "3", "4"])
    }

    @Test("drops QoS 0 and keeps QoS 1 while the client does not read")
    func slowReader() throws {
        let client = try #require(try LocalBroker().connect("a"))
        client.connection.hasRoom = false
        #expect(try client.session.deliver("0", qos: .atMostOnce) == .dropped)
        #expect(try client.session.deliver("1") == .queued)
        #expect(client.connection.sent.isEmpty)
        client.connection.hasRoom = true
        client.session.pump()
        #expect(client.connection.payloads == ["1"])
    }

    @Test("bounds sessions and subscriptions")
    func bounds() throws {
        let broker = LocalBroker(limits: .init(sessions: 2, subscriptions: 2))
        let session = try #require(try broker.connect("a", .device("a"))).session
        _ = try #require(try broker.connect("b", .device("b")))
        #expect(try broker.connect("c", .device("c"), cleanStart: true) == nil)
        #expect(try broker.connect("b", .device("b"), cleanStart: true) != nil)
        let outcomes = try ["1", "2", "3", "2"].map { try broker.subscribe(session, $0, .init(qos: .atMostOnce)) }
        #expect(outcomes == [.new, .new, .full, .replaced])
    }
}
