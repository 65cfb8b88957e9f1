import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("QoS 2 of a session")
struct SessionQoS2Tests {
    private let journal = FakeJournal()

    private func broker(inFlight: Int = 20) -> LocalBroker {
        let broker = LocalBroker(limits: .init(outbound: .init(inFlight: inFlight)))
        broker.journal = self.journal
        return broker
    }

    /// As after `kill -9`: a broker that knows what the journal holds.
    private func restart(_ messages: [Int64: Message]) throws -> LocalBroker {
        let broker = self.broker()
        for stored in self.journal.stored() {
            let kept = messages.reduce(into: [:]) { $0[$1.key] = KeptMessage($1.value, number: $1.key) }
            _ = broker.restore(stored, messages: kept, ends: .now() + .hours(1))
        }
        return broker
    }

    @Test("runs the four-way exchange towards the client, in memory for a session without expiry [MQTT-4.3.3-1]")
    func exchange() throws {
        let client = try #require(try self.broker().connect("a", cleanStart: true, expiry: 0))
        #expect(try client.session.deliver("1", qos: .exactlyOnce) == .sent)
        #expect(client.connection.packetIDs == [1])
        #expect(client.connection.sent.first?.delivery.qos == .exactlyOnce)
        let known = client.session.recorded(1, isFailure: false)
        #expect(known)
        #expect(client.connection.released == [1])
        #expect(client.session.queuedCount == 1)
        #expect(client.session.completed(1))
        #expect(client.session.queuedCount == 0)
        #expect(!client.session.completed(1))
        #expect(self.journal.changes.isEmpty)
    }

    @Test("a PUBREC with a failure ends the exchange without PUBREL")
    func refused() throws {
        let client = try #require(try self.broker().connect("a", cleanStart: true, expiry: 0))
        _ = try client.session.deliver("1", qos: .exactlyOnce)
        let wasKnown = client.session.recorded(1, isFailure: true)
        #expect(wasKnown)
        #expect(client.connection.released.isEmpty && client.session.queuedCount == 0)
        let isKnown = client.session.recorded(1, isFailure: false)
        #expect(!isKnown)
    }

    @Test("a PUBACK does not end QoS 2, nor a PUBREC QoS 1, nor a PUBCOMP what no PUBREC began")
    func crossed() throws {
        let client = try #require(try self.broker().connect("a", cleanStart: true, expiry: 0))
        _ = try client.session.deliver("1", qos: .exactlyOnce)
        _ = try client.session.deliver("2", qos: .atLeastOnce)
        let answers = [
            client.session.acknowledged(1), client.session.recorded(2, isFailure: false), client.session.completed(1),
        ]
        #expect(answers == [false, false, false])
        #expect(client.session.queuedCount == 2)
    }

    @Test("a stored session sends the message, and PUBREL, when they are on disk, and keeps the order")
    func waitsForDisk() throws {
        let client = try #require(try self.broker().connect("a"))
        _ = try client.session.deliver("1", qos: .exactlyOnce)
        _ = try client.session.deliver("2", qos: .atLeastOnce)
        #expect(client.connection.sent.isEmpty)
        self.journal.commit()
        #expect(client.connection.payloads == ["1", "2"])
        let isKnown = client.session.recorded(1, isFailure: false)
        #expect(isKnown && client.connection.released.isEmpty)
        self.journal.commit()
        #expect(client.connection.released == [1])
    }

    @Test("goes on where it was after a reconnection: PUBLISH with DUP, or PUBREL [MQTT-4.4.0-1], [MQTT-4.3.3-7]")
    func reconnects() throws {
        let broker = self.broker()
        let first = try #require(try broker.connect("a"))
        _ = try first.session.deliver("1", qos: .exactlyOnce)
        _ = try first.session.deliver("2", qos: .exactlyOnce)
        self.journal.commit()
        _ = first.session.recorded(1, isFailure: false)
        self.journal.commit()
        broker.leave(first)
        let second = try #require(try broker.connect("a"))
        #expect(second.isPresent && second.connection.released == [1])
        #expect(second.connection.payloads == ["2"])
        #expect(second.connection.sent.first?.delivery.isDuplicate == true)
        #expect(second.connection.packetIDs == [2])
        // A repeated PUBREC gets its PUBREL again.
        _ = second.session.recorded(1, isFailure: false)
        #expect(second.connection.released == [1, 1])
    }

    @Test("PUBRELs that waited for the disk go in the order of the PUBRECs [MQTT-4.6.0-4]")
    func releaseOrder() throws {
        let client = try #require(try self.broker().connect("a"))
        for text in ["1", "2", "3"] { _ = try client.session.deliver(text, qos: .exactlyOnce) }
        self.journal.commit()
        #expect(client.connection.packetIDs == [1, 2, 3])
        _ = client.session.recorded(3, isFailure: false)
        self.journal.commit()
        for packetID: UInt16 in [2, 3, 1, 2] { _ = client.session.recorded(packetID, isFailure: false) }
        #expect(client.connection.released == [3])
        self.journal.commit()
        #expect(client.connection.released == [3, 2, 3, 1])
    }

    @Test("a PUBREL that had to wait when the connection was lost goes out once on the next one [MQTT-4.4.0-1]")
    func releaseOnce() throws {
        let broker = self.broker()
        let first = try #require(try broker.connect("a"))
        _ = try first.session.deliver("1", qos: .exactlyOnce)
        self.journal.commit()
        _ = first.session.recorded(1, isFailure: false)
        broker.leave(first)
        let second = try #require(try broker.connect("a"))
        self.journal.commit()
        second.session.pump()
        #expect(first.connection.released.isEmpty && second.connection.released == [1])
    }

    @Test("survives the end of the process at every step, delivered once")
    func survives() throws {
        let client = try #require(try self.broker().connect("a"))
        _ = try client.session.deliver("1", qos: .exactlyOnce)
        self.journal.commit()
        let again = try #require(try self.restart(self.journal.messages).connect("a"))
        #expect(again.connection.packetIDs == [1])
        #expect(again.connection.sent.first?.delivery.isDuplicate == true)
        _ = again.session.recorded(1, isFailure: false)
        self.journal.commit()
        let third = try #require(try self.restart(self.journal.messages).connect("a"))
        #expect(third.connection.sent.isEmpty && third.connection.released == [1])
        #expect(third.session.completed(1))
        let fourth = try #require(try self.restart(self.journal.messages).connect("a"))
        #expect(fourth.isPresent && fourth.connection.sent.isEmpty && fourth.connection.released.isEmpty)
    }

    @Test("drains a backlog of QoS 2 a window for each commit, not a message")
    func backlog() throws {
        let broker = self.broker(inFlight: 3)
        let first = try #require(try broker.connect("a"))
        broker.leave(first)
        for text in ["1", "2", "3", "4"] { _ = try first.session.deliver(text, qos: .exactlyOnce) }
        self.journal.commit()
        let second = try #require(try broker.connect("a"))
        #expect(second.connection.sent.isEmpty)
        self.journal.commit()
        #expect(second.connection.payloads == ["1", "2", "3"])
    }

    @Test("takes a message of the client once, whatever it repeats [MQTT-4.3.3-10], [MQTT-4.3.3-12]")
    func receives() throws {
        let client = try #require(try self.broker().connect("a"))
        let session = client.session
        #expect(session.receivedQoS2(7, limit: 2) == .new)
        #expect(session.receivedQoS2(7, limit: 2) == .underWay)
        #expect(session.isHeld(7))
        #expect(session.receivedQoS2(7, limit: 2) == .recorded)
        #expect(session.receivedQoS2(8, limit: 2) == .new)
        #expect(session.receivedQoS2(9, limit: 2) == .tooMany)
        #expect(session.released(7))
        #expect(!session.released(7) && !session.isHeld(7))
        #expect(session.receivedQoS2(7, limit: 2) == .new)
        let restarted = try #require(try self.restart([:]).connect("a"))
        #expect(restarted.session.receivedQoS2(8, limit: 2) == .recorded)
    }
}
