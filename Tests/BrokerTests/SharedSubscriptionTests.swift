import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Subscriptions: options, shared ones")
struct SharedSubscriptionTests {
    private let broker = LocalBroker()

    @Test("gives each message to one member of a group, in turn, and to plain subscribers too")
    func balances() throws {
        let members = try ["a", "b", "c"].map { try #require(try self.broker.connect($0)) }
        for member in members {
            #expect(try self.broker.subscribe(member.session, "$share/g/t/#", .init(qos: .atMostOnce)) == .new)
        }
        _ = try self.broker.subscribe(members[0].session, "t/1", .init(qos: .atMostOnce))
        for text in ["1", "2", "3"] { try self.broker.publish(text, on: "t/1") }
        let shares = members.map { member in member.connection.payloads.count }
        #expect(shares == [4, 1, 1])
    }

    @Test("two groups on one filter each get every message")
    func groups() throws {
        let first = try #require(try self.broker.connect("a"))
        let second = try #require(try self.broker.connect("b"))
        _ = try self.broker.subscribe(first.session, "$share/g/t", .init(qos: .atMostOnce))
        _ = try self.broker.subscribe(second.session, "$share/h/t", .init(qos: .atMostOnce))
        try self.broker.publish("1", on: "t")
        #expect(first.connection.payloads == ["1"] && second.connection.payloads == ["1"])
        #expect(self.broker.unsubscribe(second.session, from: try TopicFilter("$share/h/t")))
        #expect(!self.broker.unsubscribe(second.session, from: try TopicFilter("$share/g/t")))
        try self.broker.publish("2", on: "t")
        #expect(first.connection.payloads == ["1", "2"] && second.connection.payloads == ["1"])
    }

    @Test("prefers members that can take the message now, and falls back on one whose queue keeps it")
    func absentMembers() throws {
        let away = try #require(try self.broker.connect("a"))
        let here = try #require(try self.broker.connect("b"))
        for client in [away, here] {
            _ = try self.broker.subscribe(client.session, "$share/g/t", .init(qos: .atLeastOnce))
        }
        self.broker.leave(away)
        for text in ["1", "2"] { try self.broker.publish(text, on: "t") }
        #expect(here.connection.payloads == ["1", "2"])
        self.broker.leave(here)
        try self.broker.publish("3", on: "t")
        #expect(away.session.queuedCount + here.session.queuedCount == 3)
    }

    @Test("passes over a member that may not have the message")
    func refused() throws {
        let members = try ["a", "b"].map { try #require(try self.broker.connect($0)) }
        for member in members {
            _ = try self.broker.subscribe(member.session, "$share/g/t", .init(qos: .atMostOnce))
        }
        for _ in 0..<3 {
            var asked: [Session] = []
            self.broker.forEachRecipient(of: try TopicName("t"), from: nil) { session, _ in
                asked.append(session)
                return session === members[1].session
            }
            #expect(asked.last === members[1].session)
        }
    }

    @Test("merges overlapping subscriptions into one delivery with all identifiers [MQTT-3.3.4-2], [MQTT-3.3.4-4]")
    func overlapping() throws {
        let client = try #require(try self.broker.connect("a"))
        _ = try self.broker.subscribe(client.session, "a/#", .init(qos: .atMostOnce, identifier: 1))
        _ = try self.broker.subscribe(client.session, "a/+", .init(qos: .exactlyOnce, identifier: 2))
        _ = try self.broker.subscribe(client.session, "a/b", .init(qos: .atLeastOnce, retainAsPublished: true))
        var grants: [Grant] = []
        self.broker.forEachRecipient(of: try TopicName("a/b"), from: nil) { _, grant in
            grants.append(grant)
            return true
        }
        #expect(grants.count == 1)
        #expect(grants.first?.qos == .exactlyOnce && grants.first?.retainAsPublished == true)
        #expect(Set(grants.first?.identifiers ?? []) == [1, 2])
    }

    @Test("sends nothing back by a subscription with No Local, and all by another one [MQTT-3.8.3-3]")
    func noLocal() throws {
        let client = try #require(try self.broker.connect("a"))
        _ = try self.broker.subscribe(client.session, "t/#", .init(qos: .atMostOnce, noLocal: true))
        try self.broker.publish("1", on: "t/1", from: client.session)
        try self.broker.publish("2", on: "t/1", from: nil)
        #expect(client.connection.payloads == ["2"])
        _ = try self.broker.subscribe(client.session, "t/1", .init(qos: .atMostOnce))
        try self.broker.publish("3", on: "t/1", from: client.session)
        #expect(client.connection.payloads == ["2", "3"])
    }

    @Test("holds hundreds of subscribers of one filter, and lets each of them go")
    func many() throws {
        let clients = try (0..<100).map { try #require(try self.broker.connect("c\($0)")) }
        for client in clients { _ = try self.broker.subscribe(client.session, "t", .init(qos: .atMostOnce)) }
        try self.broker.publish("1", on: "t")
        #expect(clients.allSatisfy { $0.connection.payloads == ["1"] })
        for client in clients.prefix(90) { self.broker.remove(client.session) }
        try self.broker.publish("2", on: "t")
        #expect(clients.suffix(10).allSatisfy { $0.connection.payloads == ["1", "2"] })
        #expect(clients.prefix(90).allSatisfy { $0.connection.payloads == ["1"] })
        for client in clients.suffix(10) { self.broker.remove(client.session) }
        #expect(self.broker.subscriptionCount == 0)
    }
}
